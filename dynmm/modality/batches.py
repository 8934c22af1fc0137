"""Whole splits as tensors, and the order in which an epoch's batches take their samples.

A split is small enough to lie on the device as a whole: a batch is then a selection by index, and no loader process
stands between. The order is a function of seed and epoch alone.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from common.errors import UserError
from common.processes import Processes
from common.training.batches import index_batches


class Batch(NamedTuple):
    """What network(inputs, lengths) is called with, and labels (B, C) for its answer.

    size: samples of the whole batch, over all processes.
    """

    inputs: Any
    lengths: Tensor | None
    labels: Tensor
    size: int


class Split(Protocol):
    """One split of a data set as tensors."""

    labels: Tensor

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, device: torch.device, share: slice = slice(None)) -> Batch:
        """The samples of `indices` (int64 on the CPU), of which this process takes `share`, on the device."""
        ...


def shuffled(size: int, batch_size: int, seed: int, epoch: int, limit: int | None = None) -> list[Tensor]:
    """The batches of a training epoch: int64 indices, every sample once, the last batch as small as it comes.

    limit: end the epoch after so many batches.
    """
    return [torch.from_numpy(batch) for batch in index_batches(size, batch_size, seed, epoch, limit=limit)]


def in_order(size: int, batch_size: int) -> list[Tensor]:
    """All samples in their order, as validation and test take them."""
    return list(torch.arange(size).split(batch_size))


def check_shares(size: int, batch_size: int, procs: Processes, least: int = 1) -> None:
    """Raises UserError where a process would get fewer than `least` samples of a training batch.

    least: 2 for a network with batch norm, which cannot train on a single sample.
    """
    if batch_size % procs.world:
        raise UserError(f"--batch-size {batch_size} cannot be shared by {procs.world} processes: take a multiple")
    last = size % batch_size or batch_size
    if min(last, batch_size) // procs.world < least:
        raise UserError(
            f"--batch-size {batch_size}: the last batch of {size} training samples holds {last}, expected at least "
            f"{least} for each of {procs.world} process{'es' if procs.world > 1 else ''}; take another batch size"
        )


def shares(procs: Processes) -> slice:
    """The part of a training batch that this process takes."""
    return slice(procs.rank, None, procs.world)


def own_batches(batches: list[Tensor], procs: Processes) -> Iterator[Tensor]:
    """Of an evaluation's batches, those that this process takes: whole ones, for a batch's padding counts."""
    return iter(batches[procs.rank :: procs.world])
