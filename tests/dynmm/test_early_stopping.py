"""When DynMM's loop keeps a checkpoint and when it ends."""

import pytest

from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.train import early_stopping


def start(higher):
    return early_stopping(GenreTask() if higher else SentimentTask(32))


def run(higher, scores):
    """Epochs kept, and epochs begun."""
    stopping, kept = start(higher), []
    for epoch, score in enumerate(scores):
        if stopping.update(epoch, score):
            kept.append(epoch)
        if stopping.over:
            return kept, epoch + 1
    return kept, len(scores)


def test_training_ends_after_eight_epochs_without_a_better_score():
    assert run(True, [0.5] + [0.4] * 20) == ([0], 9)
    assert run(False, [1.0] + [1.5] * 20) == ([0], 9)


def test_a_better_score_at_the_last_moment_starts_the_count_anew():
    assert run(True, [0.5] + [0.4] * 7 + [0.6] + [0.1] * 20) == ([0, 8], 17)


def test_an_equal_score_is_no_better_one():
    assert run(True, [0.5, 0.5, 0.6])[0] == [0, 2]
    assert run(False, [0.5, 0.5, 0.4])[0] == [0, 2]


def test_a_score_of_zero_is_never_kept():
    assert run(True, [0.0] * 20) == ([], 8)


def test_a_loss_of_ten_thousand_or_nan_is_never_kept():
    assert run(False, [10000.0, float("nan"), 20000.0]) == ([], 3)


@pytest.mark.parametrize("higher", [True, False])
def test_state_goes_on_where_it_was(higher):
    scores = [0.5, 0.7, 0.4, 0.6, 0.6, 0.3]
    whole, first = start(higher), start(higher)
    for epoch, score in enumerate(scores):
        whole.update(epoch, score)
        saved, first = first.state_dict(), start(higher)
        first.load_state_dict(saved)
        first.update(epoch, score)
    assert first == whole
