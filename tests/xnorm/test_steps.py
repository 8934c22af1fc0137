"""A step of X-Norm's training: clipping, weight decay on everything, frozen encoders; and an epoch of steps."""

import pytest
import torch
from torch import nn

from common.errors import UserError
from common.training.step import clipped_step, grad_scaler, share_buffers
from tests.golden_adapters.xnorm_loop import Features, InOrder
from xnorm.losses import Losses, cross_entropy
from xnorm.recipe import build_optimizer
from xnorm.train import train_epoch

NO_SCALER = grad_scaler("fp32")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 3))


def test_weight_decay_reaches_every_parameter_also_norms_and_biases(model):
    before = {name: parameter.detach().clone() + 1 for name, parameter in model.named_parameters()}
    for parameter, value in zip(model.parameters(), before.values(), strict=True):
        parameter.data.copy_(value)
    clipped_step(sum(p.sum() * 0 for p in model.parameters()), build_optimizer(model, 0.1, 0.5), NO_SCALER, 1.0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] * (1 - 0.1 * 0.5), msg=name)


def test_frozen_parameter_gets_neither_step_nor_decay(model):
    frozen = model[0].requires_grad_(False)
    before = frozen.weight.clone()
    optimizer = build_optimizer(model, 0.1, 0.5)
    clipped_step(model(torch.randn(4, 6)).square().sum(), optimizer, NO_SCALER, 1.0)
    assert torch.equal(frozen.weight, before)


@pytest.mark.parametrize(("clip", "kept"), [(1e6, True), (0.01, False)])
def test_gradients_are_clipped_to_the_norm_of_all(model, clip, kept):
    x = torch.randn(4, 6)
    gradients = torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    whole = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    norm = clipped_step(model(x).square().sum(), build_optimizer(model, 1e-4, 1e-4), NO_SCALER, clip)
    torch.testing.assert_close(norm, whole)
    clipped = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    torch.testing.assert_close(clipped, whole if kept else torch.tensor(clip), rtol=1e-4, atol=1e-6)


class First(nn.Module):
    """Reads the first stream alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, rgb, flow):
        return self.inner(rgb)


def loss_and_norm(output, labels):
    return Losses(cross_entropy(output, labels), {"norm": output.detach().norm()})


def epoch_of(model, run, batches, learning_rate, objective=loss_and_norm):
    optimizer = build_optimizer(model, learning_rate, weight_decay=0.0)
    return train_epoch(First(model), batches, optimizer, NO_SCALER, objective, 1.0, run, 3)


def features(count, size=4):
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(count * size, 6, generator=generator), torch.randint(0, 3, (count * size,), generator=generator)
    return InOrder(Features(x[i : i + size], x[i : i + size], y[i : i + size]) for i in range(0, len(x), size))


def test_epoch_returns_the_mean_loss_and_the_mean_of_each_term(model, run):
    batches = features(3)
    with torch.no_grad():
        outputs = [model(batch.rgb) for batch in batches]
    found = epoch_of(model, run, batches, learning_rate=0.0)
    losses = [cross_entropy(output, batch.labels) for output, batch in zip(outputs, batches, strict=True)]
    assert found["loss"] == pytest.approx(torch.stack(losses).mean().item())
    assert found["norm"] == pytest.approx(torch.stack([output.norm() for output in outputs]).mean().item())


def test_epochs_learn(model, run):
    batches = features(3)
    losses = [epoch_of(model, run, batches, learning_rate=0.05)["loss"] for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_infinite_loss_stops_before_the_update_and_names_step_and_rate(model, run):
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(UserError, match=r"step 0: the loss is inf, epoch 3, learning rate 0\.25; no checkpoint yet"):
        epoch_of(model, run, features(1), 0.25, lambda output, labels: Losses(output.sum() * torch.inf, {}))
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_buffers_are_averaged_over_processes_and_left_alone_with_one(run):
    class TwoProcesses:
        world = 2

        def sum(self, tensor):
            return tensor.add_(3.0)  # the other process's value

    norm = nn.BatchNorm1d(2)
    share_buffers(norm, TwoProcesses())
    assert norm.running_mean.tolist() == [1.5, 1.5]
    assert norm.num_batches_tracked.item() == 0
    share_buffers(norm, run.procs)
    assert norm.running_mean.tolist() == [1.5, 1.5]
