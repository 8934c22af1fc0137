"""One epoch and one step of DynMM's loop: what is trained, what stays, clipping, means, real gating."""

import pytest
import torch
from torch import nn

from common.training.step import clipped_step, grad_scaler
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.batches import training_batches
from dynmm.modality.evaluate import evaluate
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.networks.gating import Gating
from dynmm.modality.train import CLIP, train_epoch

SCALER = grad_scaler("fp32")


def epoch(run, net, split, task, gating, *, lr=1e-2, wd=1e-2, batch_size=16, max_steps=None):
    """Train an epoch; returns its losses, and the entries of the state dict that changed."""
    if gating.freeze:
        net.freeze_experts()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=wd)
    batches = training_batches(len(split), batch_size, seed=0, epoch=0, limit=max_steps)
    still = net.experts() if gating.still else ()
    losses = train_epoch(net, split, batches, optimizer, SCALER, task, gating, run, 0, still)
    return losses, {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("mode", ["official", "eval"])
def test_frozen_experts_keep_their_weights_and_their_statistics_drift_only_as_published(run, films, film_net, mode):
    net, gating = film_net(hard=True), Gating(reg=0.1, freeze=True, still=mode == "eval")
    _, changed = epoch(run, net, films(), GenreTask(), gating)
    drifted = {name for name in changed if not name.startswith("gate.")}
    assert {name for name in changed if name.startswith("gate.")} == {
        f"gate.{part}" for part in ("fc.weight", "fc.bias", "fc2.weight", "fc2.bias")
    }
    assert bool(drifted) == (mode == "official")
    assert all("running_" in name or "num_batches" in name for name in drifted)
    assert all(expert.training == (mode == "official") for expert in net.experts())
    assert net.gate.training


def test_frozen_clip_experts_keep_their_weights(run, clips, clip_net):
    _, changed = epoch(run, clip_net(hard=True), clips(), SentimentTask(16), Gating(reg=0.1, freeze=True))
    assert changed
    assert all(name.startswith("gate.") for name in changed)


def test_joint_training_leaves_the_unused_image_expert_bit_equal(run, films, film_net):
    _, changed = epoch(run, film_net(), films(), GenreTask(), Gating(reg=0.1))
    assert not any(name.startswith("image_") for name in changed)
    for part in ("text_encoder", "text_head", "branch3", "gate"):
        assert any(name.startswith(part) for name in changed), part


def test_losses_of_an_epoch_are_means_over_samples(run, clips, clip_net):
    net, split, task = clip_net(padding="masked"), clips(21), SentimentTask(16)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    losses, _ = epoch(run, net, split, task, Gating(reg=0.3), lr=0.0, wd=0.0)
    expected = evaluate(net, split, task, run, 16, reg=0.3).losses
    assert losses == pytest.approx(expected, rel=1e-5)
    assert losses.total == pytest.approx(losses.task + 0.3 * losses.cost)


@pytest.mark.parametrize(("length", "clipped"), [(4.0, 4.0), (20.0, 8.0)])
def test_gradient_is_clipped_to_norm_eight(length, clipped):
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    norm = clipped_step(weight @ torch.tensor([0.6, 0.8]) * length, optimizer, SCALER, CLIP)
    assert norm.item() == pytest.approx(length)
    torch.testing.assert_close(weight.detach(), torch.tensor([-0.6, -0.8]) * clipped, atol=1e-4, rtol=1e-4)


def test_step_forgets_the_gradient_before():
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for _ in range(2):
        clipped_step(weight.sum(), optimizer, SCALER, CLIP)
    assert weight.item() == -2


@pytest.mark.parametrize("real_gating", ["inference", "always"])
def test_real_gating_in_training_runs_the_chosen_expert_alone(run, films, film_net, monkeypatch, real_gating):
    net, seen = film_net(hard=True), []
    run_expert = net.run_expert
    monkeypatch.setattr(
        net, "run_expert", lambda number, inputs, *rest: (seen.append(len(inputs[0])), run_expert(number, inputs))[1]
    )
    losses, _ = epoch(run, net, films(), GenreTask(), Gating(reg=0.1, real_gating=real_gating), batch_size=20)
    assert 0 < losses.cost < 1
    filled_up = 4  # at most: in each of two batches a group of one gets a second sample for batch norm's sake
    assert sum(seen) == 80 if real_gating == "inference" else 40 <= sum(seen) <= 40 + filled_up


def test_max_steps_ends_an_epoch(run, films, film_net):
    net = film_net()
    epoch(run, net, films(), GenreTask(), Gating(reg=0.1), max_steps=1)
    assert int(net.branch3.encoders[0].op0.num_batches_tracked) == 1
