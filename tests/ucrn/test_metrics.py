"""The score blocks as printed, the swapped F1, and which epoch the test set selects."""

import numpy as np
import pytest
import torch

from common.metrics.sentiment import weighted_f1
from common.training.selection import Best
from ucrn.evaluate import Evaluation, score
from ucrn.metrics import epoch_lines, epoch_scores, final_lines, final_scores
from ucrn.train import selection_score

PRED = np.array([0.4, -1.6, 2.2, 0.0, -0.3, 1.9, 1.1], np.float32)
TRUTH = np.array([1.0, -1.4, 2.0, 1.2, 0.0, 2.6, -0.8], np.float32)


def evaluation(pred, truth):
    fused = np.zeros((len(pred), 0))
    return Evaluation(np.asarray(pred), np.asarray(truth), fused, {}, {}, l1=0.0, mjsd=0.0, loss=0.0)


def test_block_of_an_epoch_has_the_published_words_spaces_and_rounding():
    corr = round(float(np.corrcoef(PRED, TRUTH)[0, 1]), 4)
    # Signs with zero as positive: predicted + - + + - + +, true + - + + + + -.
    f1 = round((5 / 7) * (2 * 4 / 10) + (2 / 7) * (2 * 1 / 4), 4)
    # Without the true zero, and with zero as negative: predicted + - + - + +, true + - + + + -.
    non0_f1 = round((4 / 6) * (2 * 3 / 8) + (2 / 6) * (2 * 1 / 4), 4)
    assert epoch_lines(epoch_scores(PRED, TRUTH)) == [
        "Has0_acc_2:  0.7143",
        f"Has0_F1_score:  {f1}",
        "Non0_acc_2:  0.6667",
        f"Non0_F1_score:  {non0_f1}",
        "Mult_acc_5: 0.4286",
        "Mult_acc_7: 0.2857",  # the 1.9 for 2.6 is right among five classes alone
        "MAE:  0.7286",
        f"Corr:  {corr}",
        "-" * 50,
    ]


def test_final_block_has_the_published_words_and_no_rounding():
    scores = final_scores(PRED, TRUTH)
    lines = final_lines(scores, swapped=True)
    assert [line.split(":")[0] for line in lines[:-1]] == [
        *("MAE", "Correlation Coefficient", "mult_acc_7", "mult_acc_5", "F1 score", "Accuracy")
    ]
    assert lines[4] == f"F1 score:  {scores['f1_swapped']}"
    assert lines[5] == f"Accuracy:  {4 / 6}"
    assert lines[6] == "-" * 50
    assert final_lines(scores, swapped=False)[4] == f"F1 score:  {scores['f1']}"


def test_swapped_f1_weighs_by_the_predicted_classes():
    scores = final_scores([1, 1, 1, -1], [1, 1, -1, -1])
    assert scores["f1"] == pytest.approx(0.5 * 0.8 + 0.5 * 2 / 3)
    assert scores["f1_swapped"] == pytest.approx(0.75 * 0.8 + 0.25 * 2 / 3)


def test_zero_is_negative_with_and_without_the_true_zeros():
    pred, truth = np.array([0.0, 0.0, 0.1]), np.array([1.0, 0.0, 0.0])
    assert final_scores(pred, truth)["acc2"] == 0
    assert final_scores(pred, truth, exclude_zero=False)["acc2"] == pytest.approx(1 / 3)
    kept = final_scores(pred, truth, exclude_zero=False)
    assert kept["f1"] == pytest.approx(weighted_f1(truth > 0, pred > 0))


def test_classes_and_errors_of_the_final_block_are_over_all_clips():
    scores = final_scores(np.array([0.4, 9.0]), np.array([0.0, 3.0]))
    assert scores["acc7"] == scores["acc5"] == 1
    assert scores["mae"] == pytest.approx(3.2)


def test_record_has_percent_where_a_share_is_meant():
    found = score(evaluation(PRED, TRUTH))
    assert found["has0_acc2"] == pytest.approx(500 / 7)
    assert found["non0_acc2"] == pytest.approx(400 / 6)
    assert found["f1_swapped"] == pytest.approx(100 * final_scores(PRED, TRUTH)["f1_swapped"])
    assert found["mae"] == pytest.approx(float(np.abs(PRED - TRUTH).mean()))
    assert -1 <= found["corr"] <= 1


def test_regression_selects_by_the_rounded_f1_with_zero_as_positive():
    truth = np.where(np.arange(100_000) < 60_000, 1.0, -1.0)
    good, better = (np.where(np.arange(100_000) < hits, truth, -truth) for hits in (90_000, 90_001))
    first, second = (selection_score(evaluation(pred, truth), "regression") for pred in (good, better))
    assert first == second
    assert selection_score(evaluation(PRED, TRUTH), "regression") == epoch_scores(PRED, TRUTH)["has0_f1"]


def test_classification_selects_by_the_unrounded_swapped_f1_without_zeros():
    truth = np.where(np.arange(100_000) < 60_000, 1.0, -1.0)
    good, better = (np.where(np.arange(100_000) < hits, truth, -truth) for hits in (90_000, 90_001))
    first, second = (selection_score(evaluation(pred, truth), "classification") for pred in (good, better))
    assert first < second
    found = selection_score(evaluation([1.0, 1, 1, -1, 0], [1.0, 1, -1, -1, 0]), "classification")
    assert found == pytest.approx(0.75 * 0.8 + 0.25 * 2 / 3)


def chosen(scores, losses):
    """Epochs that the two rules select, of test scores and validation losses."""
    by_test, by_valid, model = Best(higher=True), Best(higher=False), torch.nn.Linear(1, 1)
    for epoch, (f1, loss) in enumerate(zip(scores, losses, strict=True), start=1):
        torch.nn.init.constant_(model.weight, epoch)
        by_test.update(epoch, f1, model)
        by_valid.update(epoch, loss, model)
    for selected in (by_test, by_valid):
        assert selected.weights["weight"].item() == selected.epoch  # the weights of that epoch, not the last ones
    return by_test.epoch, by_valid.epoch


def test_each_rule_selects_by_its_own_score_and_keeps_the_first_of_equals():
    assert chosen([0.5, 0.7, 0.7, 0.6], [3.0, 2.0, 1.0, 1.0]) == (2, 3)
    assert chosen([0.0, 0.0], [1.0, 2.0]) == (1, 1)


def test_first_epoch_is_selected_whatever_its_score():
    assert chosen([float("nan")], [float("nan")]) == (1, 1)


def test_finite_validation_loss_replaces_one_that_is_no_number():
    assert chosen([0.5, 0.4], [float("nan"), 1.0]) == (1, 2)
