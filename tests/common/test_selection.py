"""Which epoch is the best, when training ends, and that both go on from a checkpoint as if nothing had happened."""

import pytest
import torch
from torch import nn

from common.training.selection import Best, EarlyStopping

NAN, INF = float("nan"), float("inf")


def epochs_kept(best, scores):
    return [epoch for epoch, score in enumerate(scores, start=1) if best.update(epoch, score)]


def weighing(value):
    """A model whose only weight has this value."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


@pytest.mark.parametrize(
    ("higher", "start", "scores", "kept"),
    [
        (True, None, [0.5, 0.7, 0.7, 0.6, 0.8], [1, 2, 5]),
        (False, None, [3.0, 2.0, 2.0, 2.5, 1.0], [1, 2, 5]),
        (True, None, [0.0, 0.0], [1]),
        (True, None, [NAN, NAN, 0.1, NAN, 0.2], [1, 2, 3, 5]),
        (False, None, [NAN, INF, 1.0], [1, 2, 3]),
        (True, 0.0, [0.0, NAN, 0.1, 0.1], [3]),
        (False, 1e8, [1e8, INF, NAN, 5.0, 5.0, 4.0], [4, 6]),
        (False, 10_000.0, [20_000.0, 10_000.0], []),
    ],
)
def test_epoch_is_kept_where_it_is_strictly_better_than_all_before(higher, start, scores, kept):
    best = Best(higher=higher, score=start)
    assert epochs_kept(best, scores) == kept
    assert best.epoch == (kept[-1] if kept else None)
    if kept:
        assert best.score == pytest.approx(scores[kept[-1] - 1], nan_ok=True)
    else:
        assert best.score == start


def test_weights_are_a_copy_of_the_best_epochs_own():
    best, model = Best(higher=True), weighing(1.0)
    best.update(1, 0.9, model)
    nn.init.constant_(model.weight, 2.0)
    best.update(2, 0.8, model)
    assert best.restore(model) == 1
    assert model.weight.item() == 1.0


def test_nothing_can_be_restored_before_an_epoch_is_kept():
    with pytest.raises(ValueError, match="no epoch was kept"):
        Best(higher=True).restore(weighing(1.0))
    best = Best(higher=True)
    best.update(1, 0.5)  # without a model
    with pytest.raises(ValueError, match="no epoch was kept"):
        best.restore(weighing(1.0))


@pytest.mark.parametrize("stop", range(6))
def test_best_goes_on_from_its_state(stop, tmp_path):
    scores = [NAN, 0.5, 0.4, 0.6, 0.6]
    straight, first, second = (Best(higher=True) for _ in range(3))
    for epoch, score in enumerate(scores):
        straight.update(epoch, score, weighing(epoch))
    for epoch, score in enumerate(scores[:stop]):
        first.update(epoch, score, weighing(epoch))
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for epoch, score in enumerate(scores[stop:], start=stop):
        second.update(epoch, score, weighing(epoch))
    assert (second.epoch, second.score) == (straight.epoch, straight.score) == (3, 0.6)
    assert second.weights["weight"].item() == 3.0


def epochs_run(stopping, scores):
    """How many epochs a loop makes that stops where it is told to."""
    for epoch, score in enumerate(scores, start=1):
        stopping.update(epoch, score)
        if stopping.over:
            return epoch
    return len(scores)


@pytest.mark.parametrize(
    ("higher", "start", "patience", "scores", "epochs"),
    [
        # Eight epochs in a row that are no better; the first has to beat the start.
        (True, 0.0, 8, [0.5, *[0.5] * 20], 9),
        (True, 0.0, 8, [0.0] * 20, 8),
        (True, 0.0, 8, [0.5, *[0.4] * 7, 0.6, *[0.5] * 20], 17),
        (False, 10_000.0, 8, [3.0, *[3.5] * 20], 9),
        (False, 10_000.0, 8, [2e4] * 20, 8),
        # Ends as soon as as many epochs have waited; a patience of 0 ends after the first, whatever it brings.
        (False, 1e8, 3, [5.0, 4.0, 4.0, 4.5, 4.1, 1.0], 5),
        (False, 1e8, 0, [5.0, 4.0], 1),
        # NaN is no better than anything that is a number.
        (True, 0.0, 3, [NAN] * 9, 3),
        (False, 1e8, 2, [2.0, NAN, NAN, 1.0], 3),
    ],
)
def test_training_ends_after_so_many_epochs_without_a_better_one(higher, start, patience, scores, epochs):
    assert epochs_run(EarlyStopping(Best(higher=higher, score=start), patience), scores) == epochs


def test_early_stopping_keeps_the_best_epochs_weights():
    stopping, model = EarlyStopping(Best(higher=False), patience=2), weighing(0.0)
    for epoch, score in enumerate([3.0, 1.0, 2.0], start=1):
        nn.init.constant_(model.weight, epoch)
        assert stopping.update(epoch, score, model) == (epoch < 3)
    assert stopping.best.restore(model) == 2
    assert (model.weight.item(), stopping.waited, stopping.over) == (2.0, 1, False)


@pytest.mark.parametrize("stop", range(5))
def test_early_stopping_goes_on_from_its_state(stop):
    scores = [0.5, 0.6, 0.6, 0.5, 0.7, 0.7]
    straight, first, second = (EarlyStopping(Best(higher=True, score=0.0), patience=2) for _ in range(3))
    assert epochs_run(straight, scores) == 4
    for epoch, score in enumerate(scores[:stop], start=1):
        first.update(epoch, score)
    second.load_state_dict(first.state_dict())
    for epoch, score in enumerate(scores[stop:4], start=stop + 1):
        second.update(epoch, score)
    assert second == straight
    assert second.over
