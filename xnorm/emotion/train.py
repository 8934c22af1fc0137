"""The training loop of emotion recognition: that of `xnorm.train`, over token features."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from common.checkpoint import cpu_state
from common.run import Run
from common.training.batches import index_batches
from common.training.loss_watch import LossWatch
from common.training.state import TrainState
from common.training.step import clipped_step, distributed, grad_scaler
from xnorm.checkpoints import content
from xnorm.emotion.data import Clips
from xnorm.emotion.evaluate import evaluate
from xnorm.emotion.final import test
from xnorm.emotion.flags import Settings
from xnorm.emotion.model import exchange_encoders
from xnorm.evaluate import published_line
from xnorm.exchange_statistics import ExchangeStatistics
from xnorm.pictures import draw_curves, draw_exchange
from xnorm.recipe import build_optimizer, build_plateau, build_selection, keep_best


def train(
    settings: Settings,
    run: Run,
    model: nn.Module,
    data: Mapping[str, Clips],
    names: Sequence[str],
    start: Mapping[str, Any] | None,
) -> None:
    """Train until early stopping or --num_epochs, then test the epoch of the highest validation accuracy.

    last.pt after every epoch, best.pt whenever the validation accuracy is the highest so far. data: train, valid and
    test. names: of the emotions. start: what one of our checkpoints holds, behind whose epoch training goes on exactly
    as if it had never stopped; None for a fresh start.
    """
    net = distributed(model, run.device, run.procs, settings.compile)
    optimizer = build_optimizer(model, settings.learning_rate, settings.weight_decay)
    schedule, scaler = build_plateau(optimizer, settings.when), grad_scaler(settings.precision)
    best, stopping = build_selection(settings.patience)
    state = TrainState(
        run.device, run.procs,
        schedule=schedule, optimizer=optimizer, scaler=scaler, best=best, stopping=stopping,
    )  # fmt: skip
    state.load_state_dict(start)

    for epoch in range(state.epoch + 1, settings.num_epochs + 1):
        if stopping.over:
            break
        run.print(f"Epoch: {epoch}/{settings.num_epochs}")
        began, rate = time.monotonic(), optimizer.param_groups[0]["lr"]
        batches = index_batches(
            len(data["train"]), settings.batch_size, settings.seed, epoch, run.procs.rank, run.procs.world,
            settings.max_steps,
        )  # fmt: skip
        size, clip = settings.batch_size, settings.clip
        loss = train_epoch(net, data["train"], batches, optimizer, scaler, size, clip, run, epoch)
        run.trained(epoch, len(data["train"]), time.monotonic() - began)
        run.record(epoch, "train", loss=loss, lr=rate)

        with ExchangeStatistics(exchange_encoders(model), dim=-1) as statistics:
            valid = evaluate(model, data["valid"], run).scores(names)
        run.print(published_line(valid))
        run.record(epoch, "valid", **valid)
        if statistics.encoders:
            run.record(epoch, "exchange", **statistics.means(run.procs))

        state.epoch = epoch
        is_best = keep_best(best, epoch, valid["acc"], model)
        stopping.update(epoch, valid["loss"])
        schedule.step(valid["loss"])
        kept = {**content(cpu_state(model)), "epoch": epoch, "accuracy": best.score} if is_best else None
        run.save(epoch, {**content(model.state_dict()), "ours": state.state_dict()}, kept)

    tested = best.restore(model)
    test(run, model, data["test"], names, tested)
    if run.procs.first:
        draw_curves(run, tested)
        draw_exchange(run)


def train_epoch(
    net: nn.Module,
    clips: Clips,
    batches: Sequence[np.ndarray],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    batch_size: int,
    clip: float,
    run: Run,
    epoch: int,
) -> float:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    batches: indices of this process's share of each; batch_size: clips of a whole one. clip: largest norm of the
    gradient. Returns the mean loss over the clips of all processes.
    """
    net.train()
    procs = run.procs
    watch = LossWatch(run.device, f"epoch {epoch}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    for step, indices in enumerate(run.progress(batches, f"epoch {epoch}")):
        *inputs, labels = clips.batch(indices, run.device)
        with run.autocast():
            logits = net(*inputs)
        loss = F.cross_entropy(logits.float(), labels)
        watch.add(loss, len(indices))
        whole = min(batch_size, len(clips) - step * batch_size)
        share = len(indices) * procs.world / whole  # so that the processes' mean is the batch's
        clipped_step(loss * share, optimizer, scaler, clip)
    mean, samples = watch.mean(), sum(watch.weights)
    total, count = procs.sum(torch.tensor([mean * samples, samples], dtype=torch.float64, device=run.device)).tolist()
    return total / count
