"""One step of training: the model as it is called, gradients, clipping, and what processes share of its statistics."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from common.processes import Processes


def distributed(
    model: nn.Module, device: torch.device, procs: Processes, compiled: bool = False, **options: Any
) -> nn.Module:
    """The model as training calls it: distributed over the processes, compiled where asked for.

    options: of DistributedDataParallel, for example find_unused_parameters.
    """
    net: nn.Module = model
    if procs.world > 1:
        ids = [device.index] if device.type == "cuda" else None
        net = DistributedDataParallel(model, device_ids=ids, **options)
    return cast(nn.Module, torch.compile(net)) if compiled else net


def share_buffers(model: nn.Module, procs: Processes) -> None:
    """Give all processes the mean of their batch norm statistics: each has seen its share of the samples."""
    for buffer in model.buffers() if procs.world > 1 else ():
        if buffer.is_floating_point():
            procs.sum(buffer).div_(procs.world)


def grad_scaler(precision: str) -> torch.amp.GradScaler:
    """The scaler of `--precision fp16`; with any other precision it changes nothing."""
    return torch.amp.GradScaler(enabled=precision == "fp16")


def clipped_step(loss: Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
    """One step on a loss: its gradients alone, clipped, then the optimizer's step. Returns as `clip_and_step`."""
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    return clip_and_step(optimizer, scaler, clip)


def clip_and_step(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
    """Clip the gradients that are there to norm `clip` over all of the optimizer's parameters, then step.

    Returns the norm before the clipping, a scalar on the device.
    """
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
    scaler.step(optimizer)
    scaler.update()
    return norm
