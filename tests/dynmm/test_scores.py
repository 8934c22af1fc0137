"""DynMM's scores, the lines that are printed of them, and the summaries over repetitions."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from common.metrics.sentiment import sentiment_scores
from dynmm.modality.affect import summaries as affect
from dynmm.modality.affect.scores import SentimentTask, summed_loss
from dynmm.modality.imdb import summaries as imdb
from dynmm.modality.imdb.scores import GenreTask, genre_scores
from dynmm.modality.results import Evaluation, Losses


@pytest.fixture
def sentiment():
    """Predictions that are too high by 0.6, and labels with zeros."""
    labels = torch.tensor([[-2.0], [-0.5], [0.0], [0.0], [0.4], [3.0], [1.0]])
    return labels + 0.6, labels


def test_logit_of_zero_is_negative():
    assert genre_scores(torch.zeros(4, 3), torch.ones(4, 3)) == {"micro": 0, "macro": 0, "weighted": 0}


def test_genre_without_positives_lowers_the_macro_mean():
    truth = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    scores = genre_scores(truth * 20 - 10, truth)
    assert scores == {"micro": 1.0, "macro": 0.5, "weighted": 1.0}


def test_genre_scores_are_those_of_the_whole_split():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 5, generator=generator)
    truth = (torch.rand(50, 5, generator=generator) < 0.4).float()
    expected = f1_score(truth.numpy(), (logits > 0).numpy(), average="macro")
    assert GenreTask().metrics(logits, truth)["f1_macro"] == pytest.approx(100 * expected)


def test_neutral_clips_count_as_positive_in_the_published_accuracy_and_not_in_the_usual_one(sentiment):
    pred, labels = sentiment
    found = SentimentTask(32).metrics(pred, labels)
    assert found["acc2"] == pytest.approx(100 * 6 / 7)
    assert found["non0_acc2"] == pytest.approx(100 * 4 / 5)
    assert found["mae"] == pytest.approx(0.6)


def test_usual_scores_stand_beside_the_published_ones_in_per_cent(sentiment):
    pred, labels = sentiment
    found, usual = SentimentTask(32).metrics(pred, labels), sentiment_scores(pred, labels)
    assert found["corr_scores"] == pytest.approx(1)
    for name in ("has0_f1", "non0_acc2", "non0_f1", "acc5", "acc7", "weighted_acc2"):
        assert found[name] == pytest.approx(100 * usual[name])


def test_quirk_corr_tells_signs_from_scores(sentiment):
    official = SentimentTask(32).metrics(*sentiment)
    scores = SentimentTask(32, corr_of_scores=True).metrics(*sentiment)
    assert (
        official["corr"]
        == official["corr_signs"]
        == pytest.approx(np.corrcoef([0, 1, 1, 1, 1, 1, 1], [0, 0, *[1] * 5])[0, 1])
    )
    assert scores["corr"] == scores["corr_scores"] == pytest.approx(1)


def test_quirk_loss_scale_multiplies_by_the_size_of_a_batch():
    pred, labels = torch.full((64, 1), 0.5), torch.zeros(64, 1)
    assert SentimentTask(32).metrics(pred, labels)["loss"] == pytest.approx(0.5)
    official = SentimentTask(32, summed_loss=True).metrics(pred, labels)
    assert official["loss"] == pytest.approx(16)
    assert official["mae"] == pytest.approx(0.5)


def test_summed_loss_weighs_a_small_last_batch_by_its_square():
    pred = torch.tensor([[1.0], [1.0], [1.0]])
    assert summed_loss(pred, torch.zeros(3, 1), 2) == pytest.approx((2 * 2 + 1 * 1) / 3)


def test_correlation_of_constant_signs_is_none_and_printed_as_nan():
    task = SentimentTask(32)
    found = task.metrics(torch.ones(3, 1), torch.tensor([[1.0], [-1.0], [2.0]]))
    assert found["corr"] is None
    assert task.test_line(found).endswith("Corr nan")


def test_classes_are_tested_by_the_larger_logit():
    logits, labels = torch.tensor([[2.0, -2.0], [-2.0, 2.0], [-2.0, 2.0]]), torch.tensor([[-1.0], [0.0], [2.0]])
    found = SentimentTask(32, classes=True).metrics(logits, labels)
    assert found == {"loss": pytest.approx(0.01815, abs=1e-5), "acc2": 100, "corr": pytest.approx(1)}


def evaluation(**metrics):
    return Evaluation(torch.zeros(1), None, Losses(0.75, 0.5, 0.25), metrics)


def test_lines_of_an_epoch_are_the_published_ones():
    lines = GenreTask().epoch_lines(3, Losses(1.23456, 0.98765, 0.5), evaluation(f1_micro=41.23, f1_macro=12.34), 2)
    assert lines == [
        "-" * 50,
        "Epoch 3 | Train loss 1.2346 | Train CE loss 0.9877 | Val loss 0.7500 | patience 2",
        "f1 micro: 0.412 | f1 macro: 0.123",
    ]
    lines = SentimentTask(32).epoch_lines(3, Losses(1.23456, 0.98765, 0.5), evaluation(), 2)
    assert lines == ["Epoch 3 | train loss 1.235 | valid loss 0.750"]


def test_selection_is_macro_f1_or_the_loss_with_the_cost():
    assert GenreTask().selection_score(evaluation(f1_macro=12.0)) == 12.0
    assert SentimentTask(32).selection_score(evaluation()) == 0.75


def finals(**columns):
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [{"official": row, "clean": {}} for row in rows]


def test_summary_of_genres():
    lines = imdb.static_summary(finals(f1_micro=[50.0, 52.0], f1_macro=[40.0, 41.0]))
    assert lines == [
        "[50.0000, 52.0000]",
        "[40.0000, 41.0000]",
        "Finish 2 runs",
        "f1 micro 51.00 ± 1.00",
        "f1 macro 40.50 ± 0.50",
    ]


def test_macro_f1_of_the_dynamic_script_has_its_own_deviation_and_the_best_run_is_by_macro():
    columns = {"f1_micro": [50.0, 54.0], "f1_macro": [41.0, 40.0], "flops": [1.0, 3.0], "weight_e2": [0.1, 0.2]}
    lines = imdb.dynamic_summary(finals(**columns))
    assert lines[-2] == (
        "Test f1 micro 52.00 ± 2.00 | f1 macro 40.50 ± 0.50 | Flop saving 2.00 ± 1.00M | "
        "Branch selection ratio 0.150 ± 0.050"
    )
    assert lines[-1] == "Best result [50.0000, 41.0000, 1.0000]"


def test_deviations_of_loss_and_corr_have_the_digits_of_their_script():
    columns = finals(acc2=[70.0, 72.0], loss=[0.5, 0.6], corr=[0.1, 0.3])
    assert affect.static_summary(columns, 2)[-3:] == [
        "Test Accuracy 71.00 ± 1.00",
        "Loss 0.5500 ± 0.05",
        "Corr 0.2000 ± 0.10",
    ]
    assert affect.static_summary(columns, 4)[-2:] == ["Loss 0.5500 ± 0.0500", "Corr 0.2000 ± 0.1000"]


def test_quirk_best_run_takes_the_highest_loss_or_the_lowest():
    columns = {
        "acc2": [70.0, 72.0],
        "loss": [0.6, 0.5],
        "corr": [None, 0.3],
        "flops": [9.0, 8.0],
        "weight_e2": [1.0, 0.0],
    }
    assert affect.dynamic_summary(finals(**columns), highest_loss=True)[-1].startswith(
        "Best result [70.0000, 0.6000, nan"
    )
    fixed = affect.dynamic_summary(finals(**columns), highest_loss=False)
    assert fixed[-1] == "Best result [72.0000, 0.5000, 0.3000, 8.0000, 0.0000]"
    assert fixed[-3:-1] == ["FLOP 8.50 ± 0.50", "Ratio 0.500 ± 0.50"]
