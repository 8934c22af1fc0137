"""The processes that torchrun started: who is who, sums and gathers, the group that they form."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

TORCHRUN = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


@dataclass(frozen=True)
class Processes:
    """This process among those that torchrun started; alone: rank 0 of 1."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the one that writes and prints."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The tensor summed over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """The small value of every process, in the order of the ranks."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def gather_rows(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """The whole arrays (N, ...), of which the process of rank r has the rows r, r + world, r + 2 world, ...

        arrays: this process's rows; nothing where it has none.
        """
        shares = [share for share in self.gather(arrays) if share]
        rows = [rank + self.world * np.arange(len(share[0])) for rank, share in enumerate(shares)]
        order = np.argsort(np.concatenate(rows))
        return [np.concatenate(parts)[order] for parts in zip(*shares, strict=True)]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()


def processes() -> Processes:
    """Read torchrun's environment."""
    return Processes(*(int(os.environ.get(key, default)) for key, default in TORCHRUN.items()))


@contextlib.contextmanager
def process_group(device: torch.device, procs: Processes) -> Iterator[None]:
    """The group of torchrun's processes: nccl on CUDA, gloo on the CPU; nothing for a single process."""
    if procs.world == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()
