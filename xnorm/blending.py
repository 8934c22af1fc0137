"""Gradient-Blending's estimate before training: each head trained alone for a few epochs, and what its losses say."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from common.run import Run
from common.training.state import TrainState
from common.training.step import distributed, grad_scaler
from xnorm.checkpoints import content
from xnorm.data import Batch, Batches
from xnorm.flags import Settings
from xnorm.losses import Losses, cross_entropy
from xnorm.methods.gradient_blending import HEADS, Blended, Estimate, blending_weights
from xnorm.recipe import build_optimizer
from xnorm.train import train_epoch

NAMES = ("unimodal 0", "unimodal 1", "multimodal ")  # of the heads, in the published log


def estimate_weights(
    settings: Settings, run: Run, model: nn.Module, data: Mapping[str, Batches], start: Mapping[str, Any] | None
) -> Estimate:
    """The estimate of the weights of the heads' losses, empty where there is nothing to estimate.

    For each head a deep copy of the same fresh model is trained on the loss of that head alone, --num_gb_epochs long.
    last.pt after every such epoch. data: fit, the training rows of the estimate, shuffled, and held, its validation
    rows; both are augmented, and of both the incomplete last batch is dropped. start: what one of our checkpoints
    holds, after which the estimate goes on exactly as if it had never stopped; None for a fresh start.
    """
    estimate = Estimate()
    state = TrainState(run.device, run.procs, estimate=estimate)
    state.load_state_dict(start)
    if not settings.method.heads or settings.gb_weights or estimate.weights:
        return estimate
    for head in range(len(estimate.losses), len(HEADS)):
        train_head(settings, run, model, data, estimate, state, head)
    first = estimate.first if settings.quirks["gb_formula"] == "paper" else None
    estimate.weights = blending_weights(estimate.losses, first)
    run.print(f"weights: {estimate.weights}")
    named: dict[str, Any] = dict(zip(HEADS, estimate.weights, strict=True))
    run.record(0, "blending", **named)
    save(run, model, state)
    return estimate


def train_head(
    settings: Settings,
    run: Run,
    model: nn.Module,
    data: Mapping[str, Batches],
    estimate: Estimate,
    state: TrainState,
    head: int,
) -> None:
    """Train a head's own network to the end, from where the estimate stands, and add its losses to the estimate."""
    copy = deepcopy(model)
    net = distributed(copy, run.device, run.procs, settings.compile, find_unused_parameters=True)
    optimizer = build_optimizer(copy, settings.learning_rate, settings.weight_decay)
    scaler = grad_scaler(settings.precision)
    # Draws of their own: numbers of epochs after those of the training.
    before = settings.num_epochs + 1 + head * (settings.num_gb_epochs + 2)
    done = 0
    if estimate.network is not None:
        done = estimate.network["epoch"]
        copy.load_state_dict(estimate.network["model"])
        optimizer.load_state_dict(estimate.network["optimizer"])
        scaler.load_state_dict(estimate.network["scaler"])
    else:
        run.print(f"At gb_estimate {NAMES[head]}")
        if settings.quirks["gb_formula"] == "paper":
            estimate.first = [*estimate.first, measure_losses(copy, data, head, run, before)]

    def objective(output: Blended, labels: Tensor) -> Losses:
        return Losses(cross_entropy(output[head], labels), {})

    for epoch in range(done + 1, settings.num_gb_epochs + 1):
        run.print(f"Epoch: {epoch}/{settings.num_gb_epochs}")
        batches, stage = data["fit"].of_epoch(before + epoch), f"estimate of {HEADS[head]}, "
        train_epoch(net, batches, optimizer, scaler, objective, settings.clip, run, epoch, stage)
        if epoch < settings.num_gb_epochs:
            states = {"model": copy.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            estimate.network = {**states, "epoch": epoch}
            save(run, model, state)
    losses = measure_losses(copy, data, head, run, before + settings.num_gb_epochs + 1)
    estimate.losses, estimate.network = [*estimate.losses, losses], None
    save(run, model, state)


def save(run: Run, model: nn.Module, state: TrainState) -> None:
    """last.pt within the estimate, before the first epoch of the training."""
    run.save(0, {**content(model.state_dict()), "ours": state.state_dict()})


def measure_losses(
    model: nn.Module, data: Mapping[str, Batches], head: int, run: Run, epoch: int
) -> tuple[float, float]:
    """(L_t, L_v): mean cross-entropy of one head in eval mode on both parts of the training rows, augmented by the
    draws of `epoch`."""
    fit, held = (mean_loss(model, data[part].of_epoch(epoch), head, run) for part in ("fit", "held"))
    return fit, held


@torch.inference_mode()
def mean_loss(model: nn.Module, batches: Iterable[Batch], head: int, run: Run) -> float:
    """Mean over the samples of all batches and processes."""
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=run.device)
    for rgb, flow, labels in batches:
        with run.autocast():
            output = model(rgb, flow)
        sums += torch.stack([cross_entropy(output[head], labels).double() * len(labels), sums.new_tensor(len(labels))])
    total, samples = run.procs.sum(sums).tolist()
    return total / samples
