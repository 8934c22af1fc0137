"""The training loop of UCRN: L1 and divergence, clipped gradients, plateau schedule, best by the F1 on the test set."""

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from common.errors import UserError
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.selection import Best
from common.training.state import TrainState
from common.training.step import clip_and_step, distributed, grad_scaler
from ucrn.checkpoints import content
from ucrn.data import Clips, training_batches
from ucrn.evaluate import Evaluation, evaluate, gate_statistics, score
from ucrn.final import test
from ucrn.flags import Settings
from ucrn.losses import Objective
from ucrn.metrics import RULE, epoch_lines, epoch_scores, final_lines, final_scores
from ucrn.model import MODALITIES, UCRN, WIDTH
from ucrn.pictures import draw_curves
from ucrn.schedule import Schedule, build_cosine, build_cyclic, build_plateau, build_warmup


def train(
    settings: Settings, run: Run, model: UCRN, data: Mapping[str, Clips], start: Mapping[str, Any] | None
) -> None:
    """Train all epochs, then test the epochs that the two rules have chosen.

    Writes last.pt after each epoch, and best.pt after one that --quirk select_on prefers to all before it.
    data: train, valid and test.
    start: what one of our checkpoints holds as "ours"; training goes on from there as if it had never stopped. None: a
    fresh start.
    """
    # A projection has no gradient where its modality is left out, or has the network's own width already.
    widths = [getattr(model, f"proj_{modality}").in_channels for modality in MODALITIES]
    unused = len(model.active) < len(MODALITIES) or WIDTH in widths
    net = distributed(model, run.device, run.procs, settings.compile, find_unused_parameters=unused)
    objective = Objective(settings.jsd, settings.true_js)
    optimizer, scaler = build_optimizer(model, settings.optim, settings.lr), grad_scaler(settings.precision)
    schedule = build_schedule(settings, optimizer)
    by_test, by_valid = Best(higher=True), Best(higher=False)
    chosen = by_valid if settings.quirks["select_on"] == "valid_loss" else by_test
    state = TrainState(
        run.device, run.procs,
        schedule=schedule, optimizer=optimizer, scaler=scaler, by_test=by_test, by_valid=by_valid,
    )  # fmt: skip
    state.load_state_dict(start)

    for epoch in range(state.epoch + 1, settings.num_epochs + 1):
        began = time.monotonic()
        batches = training_batches(
            len(data["train"]), settings.batch_size, settings.seed, epoch, run.procs, settings.max_steps,
            settings.official_order,
        )  # fmt: skip
        loss = train_epoch(net, data["train"], batches, optimizer, scaler, objective, settings, run, epoch)
        seconds = time.monotonic() - began  # of training alone; the published line has the evaluations in it
        run.trained(epoch, len(data["train"]), seconds)
        run.record(epoch, "train", loss=fmean(run.procs.gather(loss)), lr=schedule.lr)

        evaluations = {split: evaluate(model, data[split], objective, run) for split in ("train", "valid", "test")}
        valid, tested = evaluations["valid"], evaluations["test"]
        schedule.step(valid.loss)
        report(run, epoch, seconds, evaluations, settings.train_mode, settings.swapped_f1)

        state.epoch = epoch
        by_test.update(epoch, selection_score(tested, settings.train_mode), model)
        by_valid.update(epoch, valid.loss, model)
        best = None
        if chosen.epoch == epoch:
            run.print(f"Saved model at {run.best}")
            best = {**content(model), "epoch": epoch, "score": chosen.score}
        run.save(epoch, {**content(model), "ours": state.state_dict()}, best)

    test(settings, run, model, data, {"clean": by_valid, "official": by_test})
    if run.procs.first:
        draw_curves(run)


def train_epoch(
    net: nn.Module,
    clips: Clips,
    batches: list[np.ndarray],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    objective: Objective,
    settings: Settings,
    run: Run,
    epoch: int,
) -> float:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    Returns the mean total loss over the clips.
    """
    net.train()
    watch = LossWatch(run.device, f"epoch {epoch}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    l1s: list[Tensor] = []
    began = time.monotonic()
    for step, indices in enumerate(run.progress(batches, f"epoch {epoch}")):
        whole = min(settings.batch_size, len(clips) - step * settings.batch_size)
        optimizer.zero_grad()
        l1, total = backward(net, clips, indices, whole, scaler, objective, settings.batch_chunk, run)
        watch.add(total, whole)
        clip_and_step(optimizer, scaler, settings.clip)
        l1s.append(l1)
        if step and step % settings.log_interval == 0:
            milliseconds = 1000 * (time.monotonic() - began) / len(l1s)
            run.print(
                f"Epoch {epoch:2d} | Batch {step:3d}/{len(clips) // settings.batch_size:3d} | "
                f"Time/Batch(ms) {milliseconds:5.2f} | Train Loss {torch.stack(l1s).mean().item():5.4f}"
            )
            l1s, began = [], time.monotonic()
    return watch.mean()


def backward(
    net: nn.Module,
    clips: Clips,
    indices: np.ndarray,
    whole: int,
    scaler: torch.amp.GradScaler,
    objective: Objective,
    chunks: int,
    run: Run,
) -> tuple[Tensor, Tensor]:
    """Gradients of this process's share of a batch of `whole` clips, in `chunks` parts that add up to it.

    Returns its L1 and its total loss, detached; their mean over the processes is that of the batch.
    """
    sums = torch.zeros(2, device=run.device)
    parts = min(chunks, whole // run.procs.world)  # the same on every process
    for part in np.array_split(indices, parts):
        text, audio, vision, labels = clips.batch(part, run.device)
        with run.autocast():
            output = net(text, audio, vision)
        losses = objective(output, labels, whole / run.procs.world)
        scaler.scale(losses.total).backward()
        sums += torch.stack([losses.l1.detach(), losses.total.detach()])
    return sums[0], sums[1]


def build_optimizer(model: nn.Module, optim: str, lr: float) -> torch.optim.Optimizer:
    """torch.optim.<optim> over all parameters; SGD with momentum 0.9, all else at torch's defaults.

    Raises UserError for a class that needs more than a rate, and for a rate that it does not take.
    """
    options = {"momentum": 0.9} if optim == "SGD" else {}
    try:
        return getattr(torch.optim, optim)(model.parameters(), lr=lr, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"--optim {optim} --lr {lr}: {error}") from error


def build_schedule(settings: Settings, optimizer: torch.optim.Optimizer) -> Schedule:
    """`--schedule`: CyclicLR, calr (cosine with restarts), warmup, and for any other word the plateau."""
    scheduler: LRScheduler | ReduceLROnPlateau
    if settings.schedule == "CyclicLR":
        scheduler = build_cyclic(optimizer, settings.base_lr, settings.max_lr, settings.step_up)
    elif settings.schedule == "calr":
        scheduler = build_cosine(optimizer)
    elif settings.schedule == "warmup" and settings.lr_stepper == "steplr":
        scheduler = build_warmup(optimizer, settings.warm_epoch, settings.stepper_size)
    else:
        scheduler = build_plateau(optimizer, settings.when)
    return Schedule(optimizer, scheduler, fed_with_loss=settings.quirks["schedule_step"] == "official")


def selection_score(tested: Evaluation, train_mode: str) -> float:
    """What the published script takes the best epoch by, on the test set: the rounded F1 with zeros as positive; in
    its classification mode the F1 without zeros, arguments swapped."""
    if train_mode == "regression":
        return epoch_scores(tested.prediction, tested.truth)["has0_f1"]
    return final_scores(tested.prediction, tested.truth)["f1_swapped"]


def report(
    run: Run,
    epoch: int,
    seconds: float,
    evaluations: Mapping[str, Evaluation],
    train_mode: str,
    swapped_f1: bool,
) -> None:
    """Print and record the scores of all splits after an epoch; train's loss here is that in eval mode."""
    losses = " | ".join(f"{split.title()} Loss {evaluations[split].loss:5.4f}" for split in ("valid", "test"))
    for line in (RULE, f"Epoch {epoch:2d} | Time {seconds:5.4f} sec | {losses}", RULE):
        run.print(line)
    run.print(f"Epoch {epoch}: scores on {', '.join(evaluations)}")
    for split, found in evaluations.items():
        if train_mode == "regression":
            lines = epoch_lines(epoch_scores(found.prediction, found.truth))
        else:
            lines = final_lines(final_scores(found.prediction, found.truth), swapped_f1)
        for line in lines:
            run.print(line)
        name = "train_eval" if split == "train" else split
        scores: dict[str, Any] = {**score(found), **gate_statistics(found)}
        run.record(epoch, name, loss=found.loss, l1=found.l1, mjsd=found.mjsd, **scores)
