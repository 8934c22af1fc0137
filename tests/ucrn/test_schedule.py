"""UCRN's learning rates: plateau, the two schedules that are fed with the loss, warmup, and going on exactly."""

import math
import warnings

import pytest
import torch

from tests.support.ucrn_runs import settings_of
from ucrn.train import build_optimizer, build_schedule

LOSSES = [1.0, 0.9, 0.95, 1.2, 1.0, 0.95, 0.89, 0.889999, 0.9, 0.91, 0.92, 0.93, 0.94]


def scheduled(quirk="official", **given):
    settings = settings_of("--quirk", f"schedule_step={quirk}", **{"optim": "SGD", "lr": 0.1, "when": 2, **given})
    optimizer = build_optimizer(torch.nn.Linear(2, 1), settings.optim, settings.lr)
    return build_schedule(settings, optimizer), optimizer


def rates(schedule, losses):
    """The rate before the first epoch and after each."""
    found = [schedule.lr]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in losses:
            schedule.optimizer.step()
            schedule.step(loss)
            found.append(schedule.lr)
    return found


@pytest.mark.parametrize("name", ["default", "cycliclr", "salr", "anything"])
def test_any_other_word_is_the_plateau(name):
    schedule, _ = scheduled(schedule=name, when=3)
    losses = [1.0, 0.9, *[0.95] * 3, 0.95, *[0.8] * 3]
    assert rates(schedule, losses) == pytest.approx([0.1] * 6 + [0.01] * 4)


def test_plateau_falls_at_the_epoch_behind_its_patience_without_progress():
    schedule, _ = scheduled(when=0)
    assert rates(schedule, [1.0, 1.0, 1.0]) == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_gain_of_less_than_a_ten_thousandth_is_no_progress():
    slow, _ = scheduled(when=1)
    assert rates(slow, [1.0, 0.99995, 0.9999001])[-1] == pytest.approx(0.01)
    quick, _ = scheduled(when=1)
    assert rates(quick, [1.0, 0.99985, 0.9997])[-1] == 0.1


CYCLIC = {"schedule": "CyclicLR", "base_lr": 1e-3, "max_lr": 1e-1, "step_up": 10}


@pytest.mark.parametrize("loss", [0.0, 0.5, 4.0])
def test_cyclic_takes_the_loss_for_the_iteration_and_moves_adams_first_moment(loss):
    schedule, optimizer = scheduled(**CYCLIC, optim="Adam")
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    found = rates(schedule, [3.0, loss])
    assert found[0] == pytest.approx(1e-3)
    assert found[2] == pytest.approx(1e-3 + (1e-1 - 1e-3) * loss / 10)
    beta1, beta2 = optimizer.param_groups[0]["betas"]
    assert beta1 == pytest.approx(0.9 - 0.1 * loss / 10)
    assert beta2 == 0.999


def test_cyclic_moves_the_momentum_of_sgd_and_leaves_optimizers_without_one():
    schedule, optimizer = scheduled(**CYCLIC)
    rates(schedule, [5.0])
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.85)
    schedule, _ = scheduled(**CYCLIC, optim="Adagrad")
    assert rates(schedule, [5.0])[1] == pytest.approx((1e-3 + 1e-1) / 2)


def test_cosine_takes_the_loss_for_the_epoch_and_stands_still():
    schedule, _ = scheduled(schedule="calr")
    found = rates(schedule, LOSSES)
    assert found[1:] == pytest.approx([0.1 * (1 + math.cos(math.pi * loss / 1000)) / 2 for loss in LOSSES])
    assert min(found) > 0.0999


def test_quirk_counts_epochs_instead():
    schedule, _ = scheduled(**CYCLIC, quirk="epoch")
    expected = [1e-3 + (1e-1 - 1e-3) * (epoch if epoch <= 10 else 20 - epoch) / 10 for epoch in range(14)]
    assert rates(schedule, LOSSES) == pytest.approx(expected)
    schedule, _ = scheduled(schedule="calr", quirk="epoch")
    expected = [0.1 * (1 + math.cos(math.pi * epoch / 1000)) / 2 for epoch in range(14)]
    assert rates(schedule, LOSSES) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["CyclicLR", "calr"])
def test_quirk_differs_from_the_published_step(name):
    official, counted = (
        rates(scheduled(**{**CYCLIC, "schedule": name}, quirk=q)[0], LOSSES) for q in ("official", "epoch")
    )
    assert official != pytest.approx(counted, rel=1e-6)


@pytest.mark.parametrize("quirk", ["official", "epoch"])
def test_warmup_rises_to_the_rate_and_then_falls_in_steps(quirk):
    schedule, _ = scheduled(schedule="warmup", warm_epoch=4, stepper_size=3, quirk=quirk)
    expected = [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]
    assert rates(schedule, [1.0] * 10) == pytest.approx(expected)


@pytest.mark.parametrize("warm_epoch", [0, 1])
def test_warmup_may_be_left_out(warm_epoch):
    schedule, _ = scheduled(schedule="warmup", warm_epoch=warm_epoch, stepper_size=2)
    found = rates(schedule, [1.0] * 5)
    assert found[:2] == [0.1, 0.1]
    assert found[-1] == pytest.approx(0.1 / 10 ** ((5 - warm_epoch) // 2))


def test_warmup_with_another_stepper_is_the_plateau_as_published():
    schedule, _ = scheduled(schedule="warmup", lr_stepper="cosine", when=0)
    assert rates(schedule, [1.0, 1.0]) == pytest.approx([0.1, 0.1, 0.01])


@pytest.mark.parametrize("quirk", ["official", "epoch"])
@pytest.mark.parametrize("optim", ["SGD", "Adam"])
@pytest.mark.parametrize("name", ["default", "CyclicLR", "calr", "warmup"])
def test_restored_schedule_goes_on_as_if_it_had_never_stopped(name, optim, quirk):
    given = {**CYCLIC, "schedule": name, "optim": optim, "quirk": quirk, "stepper_size": 2, "warm_epoch": 3, "when": 1}
    whole, straight = scheduled(**given)
    expected = rates(whole, LOSSES)
    for stop in (1, 3, 4, 9):
        first, before = scheduled(**given)
        rates(first, LOSSES[:stop])
        second, after = scheduled(**given)
        second.load_state_dict(first.state_dict())
        after.load_state_dict(before.state_dict())
        assert rates(second, LOSSES[stop:]) == expected[stop:]
        for key in ("lr", "momentum", "betas"):
            assert after.param_groups[0].get(key) == straight.param_groups[0].get(key)
