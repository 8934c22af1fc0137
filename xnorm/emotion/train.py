"""The training loop of emotion recognition: that of `xnorm.train`, over token features."""

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from common.cuda import autocast
from common.errors import UserError
from common.metrics.classification import classification_scores
from common.run import Run
from common.training.batches import index_batches
from common.training.loss_watch import LossWatch
from common.training.step import distributed
from xnorm.emotion.data import Clips
from xnorm.emotion.evaluate import logits_of, test
from xnorm.evaluate import published_line
from xnorm.exchange_statistics import ExchangeStatistics
from xnorm.pictures import write_confusion, write_curves, write_exchange
from xnorm.progress import Progress
from xnorm.schedule import plateau
from xnorm.steps import build_optimizer, update


def train(
    args: Namespace, run: Run, model: nn.Module, data: Mapping[str, Clips], names: Sequence[str], progress: Progress
) -> None:
    """Train until early stopping or --num_epochs, then test the epoch of the highest validation accuracy.

    last.pt after every epoch, best.pt whenever the validation accuracy is the highest so far.
    """
    net = distributed(model, run.device, run.procs, args.compile)
    optimizer = build_optimizer(args, model)
    scheduler, scaler = plateau(optimizer, args.when), torch.amp.GradScaler(enabled=args.precision == "fp16")
    progress.restore_random(run)
    progress.restore(optimizer, scheduler, scaler)

    for epoch in range(progress.done + 1, args.num_epochs + 1):
        if progress.stopping.over:
            break
        run.print(f"Epoch: {epoch}/{args.num_epochs}")
        began, rate = time.monotonic(), optimizer.param_groups[0]["lr"]
        loss = train_epoch(args, run, net, data["train"], optimizer, scaler, epoch)
        run.trained(epoch, len(data["train"]), time.monotonic() - began)
        with ExchangeStatistics(exchange_encoders(model), dim=-1) as statistics:
            logits = logits_of(args, run, model, data["valid"])
        valid = classification_scores(logits, data["valid"].labels, names)
        run.print(published_line(valid))
        run.record(epoch, "train", loss=loss, lr=rate)
        run.record(epoch, "valid", **valid)
        if statistics.encoders:
            run.record(epoch, "exchange", **statistics.means(run.procs))
        is_best = progress.take(epoch, valid["acc"], valid["loss"], model)
        scheduler.step(valid["loss"])
        progress.save(run, model, optimizer, scheduler, scaler, is_best)

    model.load_state_dict(progress.weights)
    logits = test(args, run, model, data["test"], names, progress.selected)
    if run.procs.first:
        write_confusion(run, logits, data["test"].labels, names)
        write_curves(run, progress.selected)
        write_exchange(run)


def train_epoch(
    args: Namespace,
    run: Run,
    net: nn.Module,
    clips: Clips,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    epoch: int,
) -> float:
    """One pass over the clips; net is the model as it is called (compiled, distributed). Returns the mean loss."""
    net.train()
    procs = run.procs
    watch = LossWatch(run.device, f"epoch {epoch}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    batches = index_batches(len(clips), args.batch_size, args.seed, epoch, procs.rank, procs.world, args.max_steps)
    for step, indices in enumerate(run.progress(batches, f"epoch {epoch}")):
        *inputs, labels = clips.batch(indices, run.device)
        with autocast(run.device, args.precision):
            logits = net(*inputs)
        loss = F.cross_entropy(logits.float(), labels)
        watch.add(loss, len(indices))
        whole = min(args.batch_size, len(clips) - step * args.batch_size)
        share = len(indices) * procs.world / whole  # so that the processes' mean is the batch's
        update(loss * share, optimizer, scaler, args.clip)
    mean, samples = watch.mean(), sum(watch.weights)
    total, count = procs.sum(torch.tensor([mean * samples, samples], dtype=torch.float64, device=run.device)).tolist()
    return total / count


def exchange_encoders(model: nn.Module) -> dict[str, nn.Module]:
    """The encoders of every exchange, by the stream that they change and the layer: "text_l0", "audio_l0", ..."""
    exchanges = dict(getattr(model, "exchanges", {}))
    first = {f"text_l{number}": exchange.second_to_first for number, exchange in exchanges.items()}
    return first | {f"audio_l{number}": exchange.first_to_second for number, exchange in exchanges.items()}


def check_batches(args: Namespace, samples: int, world: int) -> None:
    """Raises UserError where a batch does not reach every process."""
    if args.batch_size % world:
        raise UserError(f"--batch_size {args.batch_size} cannot be shared by {world} processes: take a multiple")
    if samples < world:
        raise UserError(f"{samples} training clips cannot be shared by {world} processes")
