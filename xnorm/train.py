"""The training loop of X-Norm and its baselines: AdamW, clipped gradients, plateau schedule, early stopping."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from common.checkpoint import cpu_state
from common.datasets.epic_kitchens.reader import EpicKitchens
from common.processes import Processes
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.state import TrainState
from common.training.step import clipped_step, distributed, grad_scaler, share_buffers
from xnorm.checkpoints import content
from xnorm.data import (
    Batch,
    Batches,
    Loading,
    check_rows,
    evaluated_rows,
    evaluation_batches,
    held_rows,
    training_batches,
)
from xnorm.evaluate import evaluate, published_line
from xnorm.exchange_statistics import ExchangeStatistics, encoders_of
from xnorm.final import test
from xnorm.flags import Settings
from xnorm.losses import Losses, Objective, Output
from xnorm.methods.gradient_blending import Estimate
from xnorm.pictures import draw_curves, draw_exchange
from xnorm.recipe import build_optimizer, build_plateau, build_selection, keep_best
from xnorm.transforms import EvalTransform, TrainTransform


def open_batches(
    settings: Settings, splits: Mapping[str, EpicKitchens], device: torch.device, procs: Processes
) -> dict[str, Batches]:
    """The batches of each split: train, val, and test with all of its rows.

    For gb without --gb-weights also those of the parts of the training rows that its estimate trains and validates on,
    fit and held. Raises UserError for a batch size that does not fit.
    """
    loading = Loading(
        settings.batch_size, settings.num_workers, settings.cache, device, procs, settings.channels_last
    )  # fmt: skip
    center = EvalTransform(settings.crop_size)
    batches: dict[str, Batches] = {}
    if "train" in splits:
        shared, flip_u = settings.quirks["crop"] == "shared", settings.quirks["flip_u"] == "fixed"
        transform = TrainTransform(settings.crop_size, shared, flip_u)
        source = splits["train"], transform, loading, settings.seed, settings.max_steps
        if settings.method.heads and not settings.gb_weights:
            held = held_rows(len(splits["train"]), settings.batch_size)
            batches["fit"] = training_batches(*source, rows=range(held, len(splits["train"])))
            batches["held"] = training_batches(*source, rows=range(held), shuffle=False)
        check_rows(splits["val"], settings.batch_size, settings.keeps_last_batch)
        rows = evaluated_rows(len(splits["val"]), settings.batch_size, settings.keeps_last_batch)
        batches["val"] = evaluation_batches(splits["val"], center, loading, rows)
        batches["train"] = training_batches(*source)
    check_rows(splits["test"], settings.batch_size, settings.keeps_last_batch)
    batches["test"] = evaluation_batches(splits["test"], center, loading, len(splits["test"]))
    return batches


def train(
    settings: Settings,
    run: Run,
    model: nn.Module,
    data: Mapping[str, Batches],
    start: Mapping[str, Any] | None,
    estimate: Estimate,
) -> None:
    """Train until early stopping or --num_epochs, then test the epoch of the highest validation accuracy.

    last.pt after every epoch, best.pt whenever the validation accuracy is the highest so far. data: train, val and
    test. start: what one of our checkpoints holds, behind whose epoch training goes on exactly as if it had never
    stopped; None for a fresh start. estimate: of the weights of gb's heads, empty for other methods.
    """
    net = distributed(model, run.device, run.procs, settings.compile)
    weights = settings.loss_weights(heads=settings.gb_weights or estimate.weights)

    def objective(output: Output, labels: Tensor) -> Losses:
        return settings.method.objective(output, labels, weights)

    optimizer = build_optimizer(model, settings.learning_rate, settings.weight_decay)
    schedule, scaler = build_plateau(optimizer, settings.when), grad_scaler(settings.precision)
    best, stopping = build_selection(settings.patience)
    state = TrainState(
        run.device, run.procs,
        schedule=schedule, optimizer=optimizer, scaler=scaler, best=best, stopping=stopping, estimate=estimate,
    )  # fmt: skip
    if start is not None and start["epoch"]:  # else it is from within the estimate, which has gone on since
        state.load_state_dict(start)

    for epoch in range(state.epoch + 1, settings.num_epochs + 1):
        if stopping.over:
            break
        run.print(f"Epoch: {epoch}/{settings.num_epochs}")
        began, rate = time.monotonic(), optimizer.param_groups[0]["lr"]
        batches = data["train"].of_epoch(epoch)
        losses = train_epoch(net, batches, optimizer, scaler, objective, settings.clip, run, epoch)
        run.trained(epoch, len(batches) * settings.batch_size, time.monotonic() - began)
        run.record(epoch, "train", **losses, lr=rate)

        with ExchangeStatistics(encoders_of(model), dim=1) as statistics:
            valid = evaluate(model, data["val"], run).scores(settings.class_names)
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
    test(settings, run, model, data["test"], tested)
    if run.procs.first:
        draw_curves(run, tested)
        draw_exchange(run)


def train_epoch(
    net: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    objective: Objective,
    clip: float,
    run: Run,
    epoch: int,
    stage: str = "",
) -> dict[str, Any]:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    clip: largest norm of the gradient. stage: what the epoch belongs to, for errors and the progress bar.
    Returns means over the steps of all processes: "loss", and the objective's terms by their names.
    """
    net.train()
    what = f"{stage}epoch {epoch}"
    watch = LossWatch(run.device, f"{what}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    terms: dict[str, list[Tensor]] = defaultdict(list)
    for rgb, flow, labels in run.progress(batches, what):
        with run.autocast():
            output = net(rgb, flow)
        losses = objective(output, labels)
        watch.add(losses.total)
        clipped_step(losses.total, optimizer, scaler, clip)
        for name, value in losses.parts.items():
            terms[name].append(value)
    own = {"loss": watch.mean(), **{name: torch.stack(values).mean().item() for name, values in terms.items()}}
    share_buffers(net, run.procs)
    everybodys = run.procs.gather(own)
    return {name: fmean(one[name] for one in everybodys) for name in own}
