"""When X-Norm's loops keep a checkpoint, halve the rate and end."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from common.training.state import TrainState
from common.training.step import grad_scaler
from tests.golden_adapters.xnorm_loop import Features, InOrder, LinearHeads
from tests.support.xnorm_runs import settings_of
from xnorm.emotion import train as emotion
from xnorm.emotion.data import Clips
from xnorm.emotion.flags import read_flags
from xnorm.emotion.model import build_model
from xnorm.methods.gradient_blending import Estimate
from xnorm.recipe import build_optimizer, build_plateau, build_selection, keep_best
from xnorm.train import train

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_best_accuracy_is_strict_and_starts_at_zero():
    best, _ = build_selection(patience=5)
    assert [best.update(epoch, accuracy) for epoch, accuracy in enumerate((0.0, 12.5, 12.5, 25.0, 12.5), 1)] == [
        *(False, True, False, True, False)
    ]
    assert (best.epoch, best.score) == (4, 25.0)


def test_early_stopping_counts_an_equal_loss_as_no_progress():
    _, stopping = build_selection(patience=2)
    for epoch, (loss, over) in enumerate(((1.0, False), (1.0, False), (0.9, False), (0.9, False), (0.9, True)), 1):
        stopping.update(epoch, loss)
        assert stopping.over == over


def test_a_first_loss_of_a_hundred_million_is_no_progress():
    _, stopping = build_selection(patience=1)
    stopping.update(1, 1e8)
    assert stopping.over


def test_rate_is_halved_after_more_than_when_bad_epochs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = build_plateau(optimizer, when=2), []
    for loss in (1.0, 1.0, 1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5]


@pytest.fixture
def model():
    return nn.Linear(1, 1, bias=False)


def take(best, model, *accuracies):
    """Epochs whose weight is their number; whether each was kept."""
    kept = []
    for epoch, accuracy in enumerate(accuracies, 1):
        nn.init.constant_(model.weight, epoch)
        kept.append(keep_best(best, epoch, accuracy, model))
    return kept


def test_first_epoch_is_kept_while_the_accuracy_is_zero(model):
    best, _ = build_selection(patience=5)
    assert take(best, model, 0.0, 0.0) == [True, False]
    assert (best.epoch, best.score, best.weights["weight"].item()) == (1, 0.0, 1.0)


def test_later_better_epoch_replaces_it(model):
    best, _ = build_selection(patience=5)
    assert take(best, model, 0.0, 12.5, 12.5) == [True, True, False]
    assert (best.epoch, best.weights["weight"].item()) == (2, 2.0)


def test_state_of_a_checkpoint_goes_on_where_it_was(model, run):
    def parts():
        optimizer, (best, stopping) = build_optimizer(model, 1e-4, 1e-4), build_selection(patience=3)
        schedule = build_plateau(optimizer, 1)
        named = {"schedule": schedule, "optimizer": optimizer, "best": best, "stopping": stopping}
        return best, stopping, TrainState(run.device, run.procs, scaler=grad_scaler("fp32"), **named)

    best, stopping, state = parts()
    take(best, model, 0.0, 25.0)
    stopping.update(1, 2.0)
    stopping.update(2, 3.0)
    state.epoch = 2
    again_best, again_stopping, again = parts()
    again.load_state_dict(state.state_dict())
    assert (again.epoch, again_best.epoch, again_best.score) == (2, 2, 25.0)
    assert again_stopping == stopping
    assert torch.equal(again_best.weights["weight"], best.weights["weight"])


@pytest.fixture
def overfit():
    """Three heads, training batches that they can learn, and rows with the labels exchanged: the validation loss
    rises while the training loss falls."""
    torch.manual_seed(0)
    rgb, flow = torch.randn(12, 6), torch.randn(12, 4)
    labels = torch.arange(12) % 3
    batch, wrong = Features(rgb, flow, labels), Features(rgb, flow, (labels + 1) % 3)
    return LinearHeads(6, 4, 3), {"train": InOrder([batch] * 8), "val": InOrder([wrong]), "test": InOrder([batch])}


def halvings(rate, losses):
    """The rate of each epoch where one that is no better than the best before it halves the rate (--when 0)."""
    rates, lowest = [rate], losses[0]
    for loss in losses[1:]:
        rates.append(rates[-1] if loss < lowest * (1 - 1e-4) else rates[-1] / 2)
        lowest = min(lowest, loss)
    return [rates[0], *rates[:-1]]


def small_settings(**changes):
    flags = ["--gb-weights", "0.2", "0.5", "0.3", "--num_classes", "3", "--batch_size", "12", "--learning_rate", "0.05"]
    return settings_of("gb", *flags, "--when", "0", **{"num_epochs": 5, **changes})


def test_rate_follows_the_validation_loss_not_the_training_loss(overfit, run):
    model, data = overfit
    train(small_settings(), run, model, data, None, Estimate())
    training, valid = ([entry["loss"] for entry in run.history(split)] for split in ("train", "valid"))
    rates = [entry["lr"] for entry in run.history("train")]
    assert training == sorted(training, reverse=True)
    assert rates == halvings(0.05, valid) != halvings(0.05, training)


def test_training_ends_by_the_validation_loss(overfit, run):
    model, data = overfit
    train(small_settings(num_epochs=30, patience=2), run, model, data, None, Estimate())
    losses = [entry["loss"] for entry in run.history("valid")]
    assert len(losses) == losses.index(min(losses)) + 1 + 2 < 30


def test_best_file_holds_the_kept_weights_and_no_optimizer(overfit, run):
    model, data = overfit
    train(small_settings(num_epochs=1), run, model, data, None, Estimate())
    _, last, best = run.saved[-1]
    assert set(best) == {"model", "made_by", "epoch", "accuracy"}
    assert all(torch.equal(best["model"][name], value) for name, value in last["model"].items())


def test_given_blending_weights_weigh_the_heads(overfit, run):
    model, data = overfit
    train(small_settings(num_epochs=1), run, model, data, None, Estimate(weights=[1.0, 0.0, 0.0]))
    found = run.history("train")[0]
    names = ("cross_entropy_rgb", "cross_entropy_flow", "cross_entropy")
    expected = sum(weight * found[name] for weight, name in zip((0.2, 0.5, 0.3), names, strict=True))
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_estimated_blending_weights_weigh_the_heads(overfit, run):
    model, data = overfit
    train(small_settings(num_epochs=1, gb_weights=()), run, model, data, None, Estimate(weights=[0.0, 1.0, 0.0]))
    found = run.history("train")[0]
    assert found["loss"] == pytest.approx(found["cross_entropy_flow"], rel=1e-5)


def test_rate_of_the_emotion_task_follows_the_validation_loss_not_the_training_loss(run):
    torch.manual_seed(0)
    real = torch.ones(12, 3, dtype=torch.bool)
    labels = torch.arange(12) % 3
    clips = Clips(Path(), Path(), torch.randn(12, 3, 5), real, torch.randn(12, 3, 4), real, labels)
    data = {"train": clips, "valid": replace(clips, labels=(labels + 1) % 3), "test": clips}
    flags = ["--fusion", "early", "--width", "8", "--heads", "2", "--layers", "1", "--dropout", "0", "--when", "0"]
    settings = read_flags([*flags, "--num_epochs", "5", "--batch_size", "3", "--learning_rate", "0.01"])
    model = build_model("early", settings.sizes, (5, 4), 3)
    emotion.train(settings, run, model, data, ["a", "b", "c"], None)
    training, valid = ([entry["loss"] for entry in run.history(split)] for split in ("train", "valid"))
    rates = [entry["lr"] for entry in run.history("train")]
    assert training == sorted(training, reverse=True)
    assert rates == halvings(0.01, valid) != halvings(0.01, training)
