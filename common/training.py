"""Parts that training loops call around a network: as it is called, and what its processes share."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from common.cuda import Processes


def wrapped(model: nn.Module, device: torch.device, procs: Processes, compiled: bool, **options: bool) -> nn.Module:
    """The model as training calls it: distributed over the processes, compiled where asked for.

    options: of DistributedDataParallel, for example find_unused_parameters.
    """
    net: nn.Module = model
    if procs.world > 1:
        ids = [device.index] if device.type == "cuda" else None
        net = DistributedDataParallel(model, device_ids=ids, **options)
    return torch.compile(net) if compiled else net


def share_buffers(model: nn.Module, procs: Processes) -> None:
    """Give all processes the mean of their batch norm statistics: each has seen its share of the samples."""
    for buffer in model.buffers() if procs.world > 1 else ():
        if buffer.is_floating_point():
            procs.sum(buffer).div_(procs.world)
