"""One step of training: the model as it is called, clipped gradients, and statistics shared by processes."""

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


def place(model: nn.Module, device: torch.device, memory_format: torch.memory_format | None = None) -> nn.Module:
    """The model on its device, its weights in the memory format if one is given; in place. Returns the model."""
    if memory_format is not None:
        model.to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's hints leave it out
    return model.to(device)


def share_buffers(model: nn.Module, procs: Processes) -> None:
    """Set floating-point buffers (batch norm statistics) to their mean over the processes; call it after an epoch.

    Each process has seen its share of the samples only.
    """
    for buffer in model.buffers() if procs.world > 1 else ():
        if buffer.is_floating_point():
            procs.sum(buffer).div_(procs.world)


def grad_scaler(precision: str) -> torch.amp.GradScaler:
    """The scaler of `--precision fp16`; with any other precision it changes nothing."""
    return torch.amp.GradScaler(enabled=precision == "fp16")


def clipped_step(loss: Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
    """One step on a loss: old gradients cleared, backward, then `clip_and_step`, whose norm it returns."""
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    return clip_and_step(optimizer, scaler, clip)


def clip_and_step(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
    """Clip the optimizer's gradients, all together, to norm `clip`, then step.

    Returns the norm before clipping, a scalar on the device.
    """
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip)
    scaler.step(optimizer)
    scaler.update()
    return norm
