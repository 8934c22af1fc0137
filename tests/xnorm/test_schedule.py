"""When X-Norm's loop keeps a checkpoint, halves the rate and ends."""

import pytest
import torch
from torch import nn

from xnorm.progress import Progress
from xnorm.schedule import BestAccuracy, EarlyStopping, plateau


def test_best_accuracy_is_strict_and_starts_at_zero():
    best = BestAccuracy()
    assert [best.update(epoch, accuracy) for epoch, accuracy in enumerate((0.0, 12.5, 12.5, 25.0, 12.5), 1)] == [
        *(False, True, False, True, False)
    ]
    assert (best.epoch, best.accuracy) == (4, 25.0)


def test_early_stopping_counts_an_equal_loss_as_no_progress():
    stopping = EarlyStopping(patience=2)
    for loss, over in ((1.0, False), (1.0, False), (0.9, False), (0.9, False), (0.9, True)):
        stopping.update(loss)
        assert stopping.over == over


def test_a_first_loss_of_a_hundred_million_is_no_progress():
    stopping = EarlyStopping(patience=1)
    stopping.update(1e8)
    assert stopping.over


def test_rate_is_halved_after_more_than_when_bad_epochs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = plateau(optimizer, when=2), []
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5]


@pytest.fixture
def model():
    return nn.Linear(1, 1, bias=False)


def take(progress, model, *accuracies):
    """Epochs whose weight is their number; whether each was kept."""
    kept = []
    for epoch, accuracy in enumerate(accuracies, progress.done + 1):
        nn.init.constant_(model.weight, epoch)
        kept.append(progress.take(epoch, accuracy, 1.0, model))
    return kept


def test_first_epoch_is_kept_while_the_accuracy_is_zero(model):
    progress = Progress(patience=5)
    assert take(progress, model, 0.0, 0.0) == [True, False]
    assert (progress.selected, progress.weights["weight"].item()) == (1, 1.0)


def test_later_better_epoch_replaces_it(model):
    progress = Progress(patience=5)
    assert take(progress, model, 0.0, 12.5, 12.5) == [True, True, False]
    assert (progress.selected, progress.weights["weight"].item()) == (2, 2.0)


def test_state_of_a_checkpoint_goes_on_where_it_was(model, run):
    progress = Progress(patience=3)
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler, scaler = plateau(optimizer, 1), torch.amp.GradScaler(enabled=False)
    take(progress, model, 0.0, 25.0)
    progress.save(run, model, optimizer, scheduler, scaler, is_best=False)
    again = Progress(3, run.saved[-1][1]["ours"])
    again.restore_random(run)
    again.restore(optimizer, scheduler, scaler)
    assert (again.done, again.best, again.stopping) == (2, progress.best, progress.stopping)
    assert again.selected == 2
    assert torch.equal(again.weights["weight"], progress.weights["weight"])


def test_best_file_holds_the_kept_weights_and_no_optimizer(model, run):
    progress = Progress(patience=3)
    optimizer = torch.optim.AdamW(model.parameters())
    is_best = take(progress, model, 12.5)[0]
    progress.save(run, model, optimizer, plateau(optimizer, 1), torch.amp.GradScaler(enabled=False), is_best)
    best = run.saved[-1][2]
    assert set(best) == {"model", "made_by", "epoch", "accuracy"}
    assert best["model"]["weight"].item() == 1.0
