"""The training loop of X-Norm and its baselines: AdamW, clipped gradients, plateau schedule, early stopping."""

import time
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader

from common.datasets.epic_kitchens.reader import EpicKitchens
from common.metrics.classification import classification_scores
from common.processes import Processes
from common.run import Run
from common.training.step import distributed
from xnorm.blending import EstimateBatches, estimated_weights, held_rows
from xnorm.checkpoints import write_published
from xnorm.data import evaluation_batches, training_batches
from xnorm.evaluate import TestSet, logits_and_labels, published_line, test
from xnorm.exchange_statistics import ExchangeStatistics, encoders_of
from xnorm.losses import objective
from xnorm.pictures import write_confusion, write_curves, write_exchange
from xnorm.progress import Progress
from xnorm.schedule import plateau
from xnorm.steps import build_optimizer, train_epoch


@dataclass(frozen=True)
class Batches:
    """What the loop reads: the training rows, those of gb's estimate (or None), the validation rows."""

    train: DataLoader
    estimate: EstimateBatches | None
    valid: DataLoader


def open_batches(
    args: Namespace, splits: Mapping[str, EpicKitchens], device: torch.device, procs: Processes
) -> Batches:
    """Training and validation; for gb without --gb-weights also the parts of the training rows that it estimates on."""
    estimate, train_set = None, splits["train"]
    if args.fusion == "gb" and not args.gb_weights:
        held = held_rows(len(train_set), args.batch_size)
        fit, kept = range(held, len(train_set)), range(held)
        estimate = EstimateBatches(
            training_batches(args, train_set, device, procs, fit),
            training_batches(args, train_set, device, procs, kept, shuffle=False),
        )
    valid = evaluation_batches(args, splits["val"], device, procs)
    return Batches(training_batches(args, train_set, device, procs), estimate, valid)


def train(args: Namespace, run: Run, model: nn.Module, batches: Batches, test_set: TestSet, progress: Progress) -> None:
    """Train until early stopping or --num_epochs, then test the epoch of the highest validation accuracy.

    last.pt after every epoch, best.pt whenever the validation accuracy is the highest so far. progress: where to
    begin; behind a checkpoint training goes on exactly as if it had never stopped.
    """
    progress.restore_random(run)
    gb_weights = estimated_weights(args, run, model, batches.estimate, progress)
    criterion = partial(objective, args=args, gb_weights=gb_weights)
    net = distributed(model, run.device, run.procs, args.compile)
    optimizer = build_optimizer(args, model)
    scheduler, scaler = plateau(optimizer, args.when), torch.amp.GradScaler(enabled=args.precision == "fp16")
    progress.restore(optimizer, scheduler, scaler)

    for epoch in range(progress.done + 1, args.num_epochs + 1):
        if progress.stopping.over:
            break
        run.print(f"Epoch: {epoch}/{args.num_epochs}")
        began, rate = time.monotonic(), optimizer.param_groups[0]["lr"]
        batches.train.batch_sampler.epoch = epoch
        losses = train_epoch(args, run, net, model, batches.train, criterion, optimizer, scaler, f"epoch {epoch}")
        run.trained(epoch, len(batches.train) * args.batch_size, time.monotonic() - began)

        with ExchangeStatistics(encoders_of(model), dim=1) as statistics:
            valid = classification_scores(*logits_and_labels(args, run, model, batches.valid), test_set.names)
        run.print(published_line(valid))
        run.record(epoch, "train", **losses, lr=rate)
        run.record(epoch, "valid", **valid)
        if statistics.encoders:
            run.record(epoch, "exchange", **statistics.means(run.procs))

        is_best = progress.take(epoch, valid["acc"], valid["loss"], model)
        scheduler.step(valid["loss"])
        progress.save(run, model, optimizer, scheduler, scaler, is_best)

    finish(args, run, model, test_set, progress)


def finish(args: Namespace, run: Run, model: nn.Module, test_set: TestSet, progress: Progress) -> None:
    """Test the selected epoch; pictures; with --ckpt_path its weights as the published script saves them."""
    model.load_state_dict(progress.weights)
    logits, labels = test(args, run, model, test_set, progress.selected)
    if run.procs.first:
        if args.ckpt_path is not None:
            run.note(f"written: {write_published(args, progress.weights)}")
        write_confusion(run, logits, labels, test_set.names)
        write_curves(run, progress.selected)
        write_exchange(run)
