"""The training loop of UCRN: L1 and divergence, clipped gradients, plateau schedule, best by the F1 on the test set."""

import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.cuda import autocast, random_states
from common.errors import UserError
from common.losses import LossWatch
from common.run import Run
from common.training import wrapped
from ucrn.checkpoints import content
from ucrn.data import Clips, training_batches
from ucrn.evaluate import Evaluation, evaluate, named_gates, recorded
from ucrn.losses import objective
from ucrn.metrics import RULE, epoch_lines, epoch_scores, final_lines, final_scores
from ucrn.model import MODALITIES, UCRN, WIDTH
from ucrn.pictures import write_curves, write_gates, write_scatter
from ucrn.progress import Progress
from ucrn.robustness import damaged_scores
from ucrn.schedule import Schedule


def train(
    args: Namespace, run: Run, model: UCRN, data: Mapping[str, Clips], ours: Mapping[str, Any] | None = None
) -> None:
    """Train all epochs; last.pt after each, best.pt when the selection of --quirk select_on finds a better one.

    data: train, valid and test. ours: what one of our checkpoints holds, behind whose epoch training goes on exactly
    as if it had never stopped.
    """
    widths = [getattr(model, f"proj_{modality}").in_channels for modality in MODALITIES]
    unused = len(model.active) < len(MODALITIES) or WIDTH in widths
    net = wrapped(model, run.device, run.procs, args.compile, find_unused_parameters=unused)
    optimizer = build_optimizer(args, model)
    schedule, scaler = Schedule(optimizer, args), torch.amp.GradScaler(enabled=args.precision == "fp16")
    progress = Progress(ours)
    progress.restore(optimizer, schedule, scaler, run.procs)

    for epoch in range(progress.done + 1, args.num_epochs + 1):
        began = time.monotonic()
        batches = training_batches(args, len(data["train"]), epoch, run.procs)
        losses = run.procs.gather(train_epoch(net, data["train"], batches, optimizer, scaler, args, run, epoch))
        seconds = time.monotonic() - began  # of training alone; the published line has the evaluations in it
        valid, test = (evaluate(args, run, model, data[split]) for split in ("valid", "test"))
        lr = schedule.lr
        schedule.step(valid.loss)
        run.trained(epoch, len(data["train"]), seconds)
        evaluations = {"train": evaluate(args, run, model, data["train"]), "valid": valid, "test": test}
        run.print(RULE)
        run.print(
            f"Epoch {epoch:2d} | Time {seconds:5.4f} sec | Valid Loss {valid.loss:5.4f} | Test Loss {test.loss:5.4f}"
        )
        run.print(RULE)
        run.record(epoch, "train", loss=fmean(losses), lr=lr)
        report(args, run, epoch, model, evaluations)

        progress.take(epoch, selection_score(args, test), valid.loss, model)
        chosen = progress.by_valid if args.quirks["select_on"] == "valid_loss" else progress.by_test
        is_best = chosen.epoch == epoch
        if is_best:
            run.print(f"Saved model at {run.best}")
        state = progress.state(epoch, optimizer, schedule, scaler, random_states(run.device, run.procs))
        best = {**content(model), "epoch": epoch, "score": chosen.score} if is_best else None
        run.save(epoch, {**content(model), "ours": state}, best)
        run.procs.wait()

    finish(args, run, model, data, progress)


def train_epoch(
    net: nn.Module,
    clips: Clips,
    batches: Iterable[np.ndarray],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    args: Namespace,
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
        whole = min(args.batch_size, len(clips) - step * args.batch_size)
        optimizer.zero_grad()
        l1, total = backward(net, clips, indices, whole, scaler, args, run)
        watch.add(total, whole)
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(net.parameters(), args.clip)
        scaler.step(optimizer)
        scaler.update()
        l1s.append(l1)
        if step and step % args.log_interval == 0:
            milliseconds = 1000 * (time.monotonic() - began) / len(l1s)
            run.print(
                f"Epoch {epoch:2d} | Batch {step:3d}/{len(clips) // args.batch_size:3d} | "
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
    args: Namespace,
    run: Run,
) -> tuple[Tensor, Tensor]:
    """Gradients of this process's share of a batch of `whole` clips, in --batch_chunk parts that add up to it.

    Returns its L1 and its total loss, detached; their mean over the processes is that of the batch.
    """
    sums = torch.zeros(2, device=run.device)
    parts = min(args.batch_chunk, whole // run.procs.world)  # the same on every process
    for part in np.array_split(indices, parts):
        text, audio, vision, labels = clips.batch(part, run.device)
        with autocast(run.device, args.precision):
            output = net(text, audio, vision)
        losses = objective(output, labels, args.jsd, args.quirks["mjsd"] == "jsd", whole / run.procs.world)
        scaler.scale(losses.total).backward()
        sums += torch.stack([losses.l1.detach(), losses.total.detach()])
    return sums[0], sums[1]


def build_optimizer(args: Namespace, model: nn.Module) -> torch.optim.Optimizer:
    """torch.optim.<--optim> over all parameters; SGD with momentum 0.9, all else at torch's defaults."""
    options = {"momentum": 0.9} if args.optim == "SGD" else {}
    try:
        return getattr(torch.optim, args.optim)(model.parameters(), lr=args.lr, **options)
    except (TypeError, ValueError) as error:
        raise UserError(f"--optim {args.optim} --lr {args.lr}: {error}") from error


def selection_score(args: Namespace, test: Evaluation) -> float:
    """What the published script takes the best epoch by, on the test set: the rounded F1 with zeros as positive; in
    its classification mode the F1 without zeros, arguments swapped."""
    if args.train_mode == "regression":
        return epoch_scores(test.prediction, test.truth)["has0_f1"]
    return final_scores(test.prediction, test.truth)["f1_swapped"]


def report(args: Namespace, run: Run, epoch: int, model: UCRN, evaluations: Mapping[str, Evaluation]) -> None:
    """Print and record the scores of all splits after an epoch; train's loss here is that in eval mode."""
    run.print(f"Epoch {epoch}: scores on {', '.join(evaluations)}")
    for split, found in evaluations.items():
        if args.train_mode == "regression":
            lines = epoch_lines(epoch_scores(found.prediction, found.truth))
        else:
            swapped = args.quirks["final_f1"] == "official"
            lines = final_lines(final_scores(found.prediction, found.truth), swapped)
        for line in lines:
            run.print(line)
        name = "train_eval" if split == "train" else split
        run.record(
            epoch, name, loss=found.loss, l1=found.l1, mjsd=found.mjsd, **recorded(found), **named_gates(model, found)
        )


def finish(args: Namespace, run: Run, model: UCRN, data: Mapping[str, Clips], progress: Progress) -> None:
    """The end of the log and the final scores.

    official: the epoch of the highest F1 on the test set, as published; clean: of the lowest validation loss.
    """
    finals = {}
    for protocol, selected in (("clean", progress.by_valid), ("official", progress.by_test)):
        model.load_state_dict(selected.weights)
        test = evaluate(args, run, model, data["test"])
        scores = {**recorded(test), **named_gates(model, test), "epoch_selected": selected.epoch}
        if args.robustness:
            scores |= damaged_scores(args, run, model, data)
        run.record(selected.epoch, "test", final=True, protocol=protocol, **scores)
        finals[protocol] = scores
    swapped = args.quirks["final_f1"] == "official"
    for line in final_lines(final_scores(test.prediction, test.truth), swapped):
        run.print(line)
    for protocol, scores in reversed(finals.items()):
        kind = "highest F1 on the test set" if protocol == "official" else "lowest validation loss"
        run.print(
            f"test  {protocol:<8s}  mae {scores['mae']:.4f}  corr {scores['corr']:.4f}  acc7 {scores['acc7']:.2f}  "
            f"acc2 {scores['non0_acc2']:.2f}  f1 {scores['non0_f1']:.2f}  (epoch {scores['epoch_selected']}: {kind})"
        )
    if run.procs.first:
        write_scatter(run, test)
        write_gates(run, model, test)
        write_curves(run)
