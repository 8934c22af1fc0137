"""A loss that is not finite ends the epoch, with its step; on CUDA without waiting at every step."""

import pytest
import torch

from common.errors import UserError
from common.training.loss_watch import EVERY, LossWatch

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
CONTEXT = "epoch 4, learning rate 0.1; last good checkpoint: runs/last.pt"


def feed(watch, losses):
    """How many losses were taken before the error, and its message."""
    for step, loss in enumerate(losses):
        try:
            watch.add(torch.tensor(loss))
        except UserError as error:
            return step, str(error)
    return len(losses), None


@pytest.mark.parametrize(("bad", "shown"), [(float("nan"), "nan"), (float("inf"), "inf"), (-float("inf"), "-inf")])
def test_cpu_stops_at_the_first_loss_that_is_not_finite(bad, shown):
    step, message = feed(LossWatch(CPU, CONTEXT), [1.0, 0.5, bad, 0.1, bad])
    assert step == 2
    assert message == f"step 2: the loss is {shown}, {CONTEXT}"


@pytest.mark.parametrize("bad_step", [0, 3, EVERY - 1, EVERY, EVERY + 7])
def test_cuda_is_looked_at_every_25_steps_and_the_first_bad_one_is_named(bad_step):
    losses = [1.0] * 60
    losses[bad_step] = float("nan")
    losses[bad_step + 2] = float("inf")
    step, message = feed(LossWatch(CUDA, CONTEXT), losses)
    assert step == (bad_step // EVERY + 1) * EVERY - 1
    assert message.startswith(f"step {bad_step}: the loss is nan, ")


def test_end_of_the_epoch_looks_at_the_rest():
    watch = LossWatch(CUDA, CONTEXT)
    assert feed(watch, [1.0] * EVERY + [2.0, float("inf"), 3.0]) == (EVERY + 3, None)
    with pytest.raises(UserError, match=f"step {EVERY + 1}: the loss is inf"):
        watch.mean()


@pytest.mark.parametrize("device", [CPU, CUDA])
@pytest.mark.parametrize("steps", [1, EVERY, EVERY + 1])
def test_mean_is_over_every_step(device, steps):
    losses = torch.rand(steps)
    watch = LossWatch(device, CONTEXT)
    for loss in losses:
        watch.add(loss)
    assert watch.mean() == pytest.approx(losses.mean().item())


def test_graph_of_a_loss_is_not_kept():
    watch = LossWatch(CPU, CONTEXT)
    weight = torch.ones(1, requires_grad=True)
    watch.add((weight * 2).sum())
    assert not watch.losses[0].requires_grad


def test_each_loss_is_looked_at_once(monkeypatch):
    seen = []
    finite = torch.Tensor.isfinite
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda losses: (seen.append(len(losses)), finite(losses))[1])
    watch = LossWatch(CUDA, CONTEXT)
    feed(watch, [1.0] * (2 * EVERY + 3))
    watch.mean()
    watch.mean()
    assert seen == [EVERY, EVERY, 3]


def test_epoch_without_steps_has_an_error_of_its_own():
    with pytest.raises(UserError):
        LossWatch(CPU, CONTEXT).mean()


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_mean_is_weighted_by_the_samples_of_each_step(device):
    watch = LossWatch(device, CONTEXT)
    for loss, samples in ((1.0, 8), (2.0, 8), (7.0, 2)):
        watch.add(torch.tensor(loss), samples)
    assert watch.mean() == pytest.approx((8 + 16 + 14) / 18)


def test_weight_of_a_loss_is_one_unless_given():
    watch = LossWatch(CPU, CONTEXT)
    watch.add(torch.tensor(4.0))
    watch.add(torch.tensor(1.0), 3)
    assert watch.mean() == pytest.approx(7 / 4)
