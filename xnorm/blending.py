"""Gradient-Blending's estimate before training: each head trained alone for a few epochs, and what its losses say."""

from argparse import Namespace
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common.cuda import autocast
from common.errors import UserError
from common.run import Run
from common.training.step import distributed
from xnorm.evaluate import on_device
from xnorm.gradient_blending import HEADS, blending_weights
from xnorm.losses import Objective, Output, cross_entropy
from xnorm.progress import Progress
from xnorm.steps import build_optimizer, train_epoch

NAMES = ("unimodal 0", "unimodal 1", "multimodal ")  # of the heads, in the published log
HELD_SHARE = 0.1


@dataclass(frozen=True)
class EstimateBatches:
    """fit: of the estimate's training rows, shuffled; held: of its validation rows. Both are augmented, and of both the
    incomplete last batch is dropped."""

    fit: DataLoader
    held: DataLoader


def held_rows(rows: int, batch_size: int) -> int:
    """How many of the training rows, from the first on, the estimate validates on: a tenth, rounded down.

    Raises UserError where that is less than a batch.
    """
    held = int(HELD_SHARE * rows)
    if held < batch_size:
        raise UserError(
            f"--batch_size {batch_size}: gb's estimate validates on a tenth of the {rows} training rows, which is less "
            "than one batch; take a smaller one, or give --gb-weights"
        )
    return held


def estimated_weights(
    args: Namespace, run: Run, model: nn.Module, batches: EstimateBatches | None, progress: Progress
) -> list[float] | None:
    """The weights of the three heads' losses, None for a method without them.

    For each head a deep copy of the same fresh model is trained on the loss of that head alone, --num_gb_epochs long.
    last.pt after every such epoch; behind one, the estimate goes on exactly as if it had never stopped.
    """
    if args.fusion != "gb" or args.gb_weights:
        return args.gb_weights or None
    found = progress.estimate or {"first": [], "losses": [], "network": None, "weights": None}
    for head in range(len(found["losses"]), len(HEADS)):
        found = estimate_head(args, run, model, batches, found, head, progress)
    if found["weights"] is None:
        first = found["first"] if args.quirks["gb_formula"] == "paper" else None
        found = {**found, "weights": blending_weights(found["losses"], first)}
        run.print(f"weights: {found['weights']}")
        run.record(0, "blending", **dict(zip(HEADS, found["weights"], strict=True)))
        progress.save_estimate(run, model, found)
    return found["weights"]


def estimate_head(
    args: Namespace,
    run: Run,
    model: nn.Module,
    batches: EstimateBatches,
    found: dict[str, Any],
    head: int,
    progress: Progress,
) -> dict[str, Any]:
    """Train a head's own network to the end; returns how far the estimate is then, with the losses of this head.

    found: "first" and "losses", (L_t, L_v) of each head before and after its training; "network": the state of the one
    in training, where a checkpoint was written in the middle of it.
    """
    copy = deepcopy(model)
    net = distributed(copy, run.device, run.procs, args.compile, find_unused_parameters=True)
    optimizer, scaler = build_optimizer(args, copy), torch.amp.GradScaler(enabled=args.precision == "fp16")
    # Draws of their own: numbers of epochs behind those of the training.
    start = args.num_epochs + 1 + head * (args.num_gb_epochs + 2)
    done = 0
    if found["network"] is not None:
        done = found["network"]["epoch"]
        copy.load_state_dict(found["network"]["model"])
        optimizer.load_state_dict(found["network"]["optimizer"])
        scaler.load_state_dict(found["network"]["scaler"])
    else:
        run.print(f"At gb_estimate {NAMES[head]}")
        if args.quirks["gb_formula"] == "paper":
            found = {**found, "first": [*found["first"], losses_of(args, run, copy, batches, head, start)]}

    def loss_of_head(output: Output, labels: Tensor) -> Objective:
        return Objective(cross_entropy(output[head], labels), {})

    for epoch in range(done + 1, args.num_gb_epochs + 1):
        run.print(f"Epoch: {epoch}/{args.num_gb_epochs}")
        batches.fit.batch_sampler.epoch = start + epoch
        what = f"estimate of {HEADS[head]}, epoch {epoch}"
        train_epoch(args, run, net, copy, batches.fit, loss_of_head, optimizer, scaler, what)
        if epoch < args.num_gb_epochs:
            states = {"model": copy.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
            progress.save_estimate(run, model, {**found, "network": {**states, "epoch": epoch}})
    losses = losses_of(args, run, copy, batches, head, start + args.num_gb_epochs + 1)
    found = {**found, "losses": [*found["losses"], losses], "network": None}
    progress.save_estimate(run, model, found)
    return found


def losses_of(
    args: Namespace, run: Run, model: nn.Module, batches: EstimateBatches, head: int, epoch: int
) -> tuple[float, float]:
    """Mean cross-entropy of one head in eval mode on both parts of the training rows, augmented by `epoch`'s draws."""
    for part in (batches.fit, batches.held):
        part.batch_sampler.epoch = epoch
    return mean_loss(args, run, model, batches.fit, head), mean_loss(args, run, model, batches.held, head)


@torch.inference_mode()
def mean_loss(args: Namespace, run: Run, model: nn.Module, batches: DataLoader, head: int) -> float:
    """Mean over the samples of all batches and processes."""
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=run.device)
    for batch in batches:
        rgb, flow, labels = on_device(args, run.device, batch)
        with autocast(run.device, args.precision):
            output = model(rgb, flow)
        sums += torch.stack([cross_entropy(output[head], labels).double() * len(labels), sums.new_tensor(len(labels))])
    total, samples = run.procs.sum(sums).tolist()
    return total / samples
