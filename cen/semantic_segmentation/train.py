"""The training loop of CEN's segmentation: three stages of SGD, penalty on the scales, best by ensemble mIoU."""

import time
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import nn

from cen.exchange import penalised_slices
from cen.semantic_segmentation.checkpoints import Start, content
from cen.semantic_segmentation.data import Batch, TrainingBatches, ValidationBatches
from cen.semantic_segmentation.evaluate import evaluate, report
from cen.semantic_segmentation.final import test
from cen.semantic_segmentation.flags import Settings
from cen.semantic_segmentation.losses import Objective
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import stage_optimizers, step
from cen.semantic_segmentation.pictures import ValidationPictures
from cen.semantic_segmentation.scales import draw_exchange, record_scales
from cen.semantic_segmentation.schedule import EpochPlan, Stages
from cen.semantic_segmentation.selection import Selection
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.state import TrainState
from common.training.step import distributed, grad_scaler, share_buffers


def train(
    settings: Settings,
    run: Run,
    model: RefineNet,
    batches: TrainingBatches,
    val_batches: ValidationBatches,
    start: Start,
) -> None:
    """Train through all stages, then test; last.pt after every epoch, best.pt at the highest mIoU of the ensemble."""
    net = distributed(model, run.device, run.procs, settings.compile, broadcast_buffers=False)
    slices = penalised_slices(model.named_parameters(), "bn2", settings.penalised_parts)
    penalty_once = settings.quirks["penalty"] == "paper"
    objective = Objective(dict(model.named_parameters()), slices, settings.lamda, settings.ignore_label, penalty_once)
    stages = Stages(settings.num_epoch, settings.lr_enc, settings.lr_dec, settings.val_every, start.epoch)
    selection, scaler = Selection(start.best_val), grad_scaler(settings.precision)
    optimizers = new_optimizers(settings, model, settings.lr_enc[0], settings.lr_dec[0])
    parts: dict[str, Any] = {"stages": stages, "selection": selection, "optimizers": optimizers, "scaler": scaler}
    state = TrainState(run.device, run.procs, start.epoch - 1, **parts)
    state.load_state_dict(start.ours)
    pictures = ValidationPictures(run, settings.look, val_batches.samples)

    for plan in stages.plans(state.epoch):
        if plan.opens_stage:
            run.print(f"Training Stage {plan.stage}")
            stages.seconds = 0.0
            optimizers[:] = new_optimizers(settings, model, plan.lr_enc, plan.lr_dec)

        began = time.monotonic()
        loss = train_epoch(net, batches.of(plan.epoch), optimizers, scaler, objective, settings, run, plan)
        losses = run.procs.gather(loss)
        seconds = time.monotonic() - began
        stages.seconds += seconds
        if not settings.freeze_bn[plan.stage]:
            share_buffers(model, run.procs)
        run.trained(plan.epoch, len(batches) * settings.batch_size, seconds)
        run.record(plan.epoch, "train", loss=fmean(losses), lr_enc=plan.lr_enc, lr_dec=plan.lr_dec)
        record_scales(model, slices, settings.streams, settings.bn_threshold, run, plan.epoch)

        is_best = False
        if plan.validates:
            validation = evaluate(model, val_batches, settings.input, settings.num_classes, run, pictures.see)
            report(run, plan.epoch, validation, selection.seen)
            pictures.draw(plan.epoch)
            draw_exchange(model, settings.streams, settings.bn_threshold, run, plan.epoch)
            is_best = selection.take(plan.epoch, validation)
        if plan.closes_stage:
            run.print(f"Stage {plan.stage} finished, time spent {stages.seconds / 60:.3f}min")

        state.epoch = plan.epoch
        best = content(model, plan.epoch, selection.stored) if is_best else None
        run.save(plan.epoch, {**content(model, plan.epoch, selection.stored), "ours": state.state_dict()}, best)

    test(settings, run, model, val_batches, selection, state.epoch)


def train_epoch(
    net: nn.Module,
    batches: Iterable[Batch],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler,
    objective: Objective,
    settings: Settings,
    run: Run,
    plan: EpochPlan,
) -> float:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    Returns the mean loss of this process's share.
    """
    net.train()
    if settings.freeze_bn[plan.stage]:
        freeze_norms(net)
    rates = f"learning rates {plan.lr_enc:g} (encoder) and {plan.lr_dec:g} (decoder)"
    watch = LossWatch(run.device, f"epoch {plan.epoch}, {rates}", run.last)
    for index, batch in enumerate(run.progress(batches, f"epoch {plan.epoch}")):
        inputs = [batch[key].to(run.device, non_blocking=True) for key in settings.input]
        target = batch["mask"].to(run.device, non_blocking=True)
        with run.autocast():
            outputs, _ = net(inputs)
        loss = objective(outputs, target, run.procs)
        watch.add(loss)
        step(loss, optimizers, scaler)
        if settings.print_loss:
            run.note(f"step: {index:<3d}: loss={loss.item():.2f}")
    return watch.mean()


def new_optimizers(settings: Settings, model: nn.Module, lr_enc: float, lr_dec: float) -> list[torch.optim.Optimizer]:
    """The optimizers that a stage begins with."""
    return stage_optimizers(model, (lr_enc, lr_dec), settings.momenta, settings.decays, settings.optim_dec)


def freeze_norms(model: nn.Module) -> None:
    """Batch norms use their stored statistics and leave them; scale and shift still learn."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
