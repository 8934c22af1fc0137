"""The training loop of CEN's segmentation: three stages of SGD, penalty on the scales, best by ensemble mIoU."""

import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cen.exchange import ScaleSlice, penalised_slices, scale_penalty
from cen.semantic_segmentation.evaluate import report, validate
from cen.semantic_segmentation.losses import segmentation_loss
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import stage_optimizers, update
from cen.semantic_segmentation.pictures import ValidationPictures
from cen.semantic_segmentation.pretrained import MADE_BY
from cen.semantic_segmentation.progress import Progress
from cen.semantic_segmentation.scales import draw_exchange, record_scales
from cen.semantic_segmentation.schedule import EpochPlan, epoch_plans
from common.cuda import autocast
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.state import random_states
from common.training.step import distributed


def train(
    args: Namespace,
    run: Run,
    model: RefineNet,
    batches: DataLoader,
    val_batches: Iterable[dict[str, Tensor]],
    start: dict[str, Any],
) -> None:
    """Train through all stages; last.pt after every epoch, best.pt when the ensemble's mIoU is the best so far.

    batches: of `training_batches`; val_batches: of `validation_batches`.
    start: {"epoch_start", "best_val"} of a fresh start or a published checkpoint, or one of our checkpoints,
    behind whose epoch training goes on exactly as if it had never stopped.
    """
    slices = penalised_slices(model.named_parameters(), "bn2", penalised_parts(args))
    net = distributed(model, run.device, run.procs, args.compile, broadcast_buffers=not all(args.freeze_bn))
    pictures = ValidationPictures(run, args, len(val_batches.dataset))
    progress = Progress(start)
    optimizers, scaler = [], torch.amp.GradScaler(enabled=args.precision == "fp16")

    for plan in epoch_plans(args.num_epoch, args.lr_enc, args.lr_dec, args.val_every, progress.plan_start):
        if plan.epoch <= progress.done:
            continue
        if plan.opens_stage:
            run.print(f"Training Stage {plan.stage}")
            progress.stage_seconds = 0.0
        if plan.opens_stage or not optimizers:
            optimizers = stage_optimizers(model, args, plan)
        progress.restore(optimizers, scaler, run.procs, same_stage=not plan.opens_stage)

        began = time.monotonic()
        batches.batch_sampler.epoch = plan.epoch
        losses = run.procs.gather(train_epoch(net, model, batches, optimizers, scaler, slices, plan, args, run))
        seconds = time.monotonic() - began
        progress.stage_seconds += seconds
        run.trained(plan.epoch, len(batches) * args.batch_size, seconds)
        run.record(plan.epoch, "train", loss=fmean(losses), lr_enc=plan.lr_enc, lr_dec=plan.lr_dec)
        record_scales(model, slices, args, plan.epoch, run)

        is_best = False
        if plan.validates:
            validation = validate(
                model, val_batches, args.input, args.num_classes, run.device, args.precision, run.procs, pictures.see
            )
            report(run, plan.epoch, validation, progress.seen)
            pictures.write(plan.epoch)
            draw_exchange(model, args, plan.epoch, run)
            is_best = progress.take(plan.epoch, validation)
        if plan.closes_stage:
            run.print(f"Stage {plan.stage} finished, time spent {progress.stage_seconds / 60:.3f}min")
        rng = random_states(run.device, run.procs)
        state = progress.state(plan.epoch, optimizers, scaler, rng)
        weights = {f"module.{name}": value for name, value in model.state_dict().items()}
        content = {"segmenter": weights, "made_by": MADE_BY}
        best = {**content, "epoch_start": plan.epoch, "best_val": progress.score.best} if is_best else None
        run.save(plan.epoch, {**content, **state}, best)
        run.procs.wait()

    finish(args, run, model, val_batches, progress)


def train_epoch(
    net: nn.Module,
    model: RefineNet,
    batches: Iterable[dict[str, Tensor]],
    optimizers: Sequence[torch.optim.Optimizer],
    scaler: torch.amp.GradScaler,
    slices: Sequence[ScaleSlice],
    plan: EpochPlan,
    args: Namespace,
    run: Run,
) -> float:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    Returns the mean loss of this process's share.
    """
    parameters = dict(model.named_parameters())
    model.train()
    if args.freeze_bn[plan.stage]:
        freeze_norms(model)
    rates = f"learning rates {plan.lr_enc:g} (encoder) and {plan.lr_dec:g} (decoder)"
    watch = LossWatch(run.device, f"epoch {plan.epoch}, {rates}", run.last)
    for step, batch in enumerate(run.progress(batches, f"epoch {plan.epoch}")):
        inputs = [batch[key].to(run.device, non_blocking=True) for key in args.input]
        target = batch["mask"].to(run.device, non_blocking=True)
        kept = run.procs.sum((target != args.ignore_label).sum()) / run.procs.world
        with autocast(run.device, args.precision):
            outputs, _ = net(inputs)
        outputs = [output.float() for output in outputs]
        penalty = scale_penalty(parameters, slices)
        loss = segmentation_loss(
            outputs, target, penalty, args.lamda, args.ignore_label, args.quirks["penalty"] == "paper", kept
        )
        watch.add(loss)
        update(loss, optimizers, scaler)
        if args.print_loss:
            run.note(f"step: {step:<3d}: loss={loss.item():.2f}")
    return watch.mean()


def freeze_norms(model: nn.Module) -> None:
    """Batch norms use their stored statistics and leave them; scale and shift still learn."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def penalised_parts(args: Namespace) -> int:
    """Into how many parts the scales are cut: the paper's M, and 2 as in the authors' code for up to two streams."""
    return 2 if args.quirks["penalised_parts"] == "official" else max(2, len(args.input))


def finish(
    args: Namespace, run: Run, model: RefineNet, val_batches: Iterable[dict[str, Tensor]], progress: Progress
) -> None:
    """The end of the log and the final scores.

    official: the best epoch, selected on the images that it is scored on, as published; clean: the last
    epoch, which nothing selected.
    """
    if progress.last is None or progress.last["epoch"] != progress.done:
        validation = validate(model, val_batches, args.input, args.num_classes, run.device, args.precision, run.procs)
        report(run, progress.done, validation, progress.seen)
        progress.last = {"epoch": progress.done, **validation.metrics()}
    run.print(f"All stages are now finished. Best Val is {progress.score.best:.3f}")
    if progress.best is None and progress.score.best > 0:
        run.print("test  official  no epoch was better than the checkpoint that training went on from")
        finals = {"clean": progress.last}
    else:
        finals = {"official": progress.best or progress.last, "clean": progress.last}
    for protocol, scores in finals.items():
        run.record(split="test", final=True, protocol=protocol, **scores)
        kind = "best epoch, selected on these images" if protocol == "official" else "last epoch"
        run.print(
            f"test  {protocol:<8s}  pixel_acc {scores['pixel_acc']:.2f}  mean_acc {scores['mean_acc']:.2f}  "
            f"miou {scores['miou']:.2f}  ({kind}: {scores['epoch']})"
        )
