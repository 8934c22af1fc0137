"""Batches that are a function of seed, epoch and index alone; and on which device a whole data set is kept.

A resumed run, another number of workers or of processes sees the same samples in the same order.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from common.errors import UserError


class Draw(NamedTuple):
    """One sample of one epoch: what a data set is asked for."""

    seed: int
    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody misses

    def rng(self) -> np.random.Generator:
        """The generator of this sample's augmentation."""
        return _generator(self.seed, self.epoch, 1 + self.index)


def _generator(seed: int, epoch: int, stream: int) -> np.random.Generator:
    """stream 0 shuffles the epoch, stream 1 + i augments sample i."""
    return np.random.default_rng([seed % 2**32, epoch, stream])


class ShuffledBatches(Sampler[list[Draw]]):
    """Shuffled batches of an epoch, the incomplete last one dropped; each process gets its share of each batch.

    size: number of samples; batch_size: over all processes. Set `epoch` before each pass; `limit` ends an
    epoch after so many batches (None: all).
    Raises UserError if a batch cannot be shared evenly, or if there are fewer samples than one batch.
    """

    def __init__(
        self, size: int, batch_size: int, seed: int, rank: int = 0, world: int = 1, limit: int | None = None
    ) -> None:
        if batch_size % world:
            raise UserError(f"--batch-size {batch_size} cannot be shared by {world} processes: take a multiple")
        if size < batch_size:
            raise UserError(f"--batch-size {batch_size} is larger than the training set ({size} samples)")
        self.size, self.batch_size, self.seed, self.rank, self.world = size, batch_size, seed, rank, world
        self.limit = limit
        self.epoch = 0

    def __len__(self) -> int:
        batches = self.size // self.batch_size
        return batches if self.limit is None else min(batches, self.limit)

    def __iter__(self) -> Iterator[list[Draw]]:
        order = _generator(self.seed, self.epoch, 0).permutation(self.size)
        for batch in range(len(self)):
            chosen = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield [Draw(self.seed, self.epoch, int(index)) for index in chosen[self.rank :: self.world]]


def index_batches(
    size: int, batch_size: int, seed: int, epoch: int, rank: int = 0, world: int = 1, limit: int | None = None
) -> list[np.ndarray]:
    """Shuffled indices (int64) of an epoch's batches, for data that is indexed as a whole; the last may be smaller.

    The order is a function of seed and epoch. batch_size: over all processes, each of which gets its share of every
    batch; a last batch that does not reach all of them is left out. limit: as many batches at most.
    """
    return cut_batches(_generator(seed, epoch, 0).permutation(size), batch_size, rank, world, limit)


def cut_batches(
    order: np.ndarray, batch_size: int, rank: int = 0, world: int = 1, limit: int | None = None
) -> list[np.ndarray]:
    """A given order in batches, as `index_batches` cuts its own."""
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batch[rank::world] for batch in batches[:limit] if len(batch) >= world]


class Share(Sampler[int]):
    """Every world-th sample in order, from `rank` on: all samples once over the processes."""

    def __init__(self, size: int, rank: int = 0, world: int = 1) -> None:
        self.indices = range(rank, size, world)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


def fitting_device(size: int, device: torch.device) -> torch.device:
    """Where data of so many bytes are kept: on a CUDA device in at most half of what is free there, else on the CPU."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if size <= free / 2 else torch.device("cpu")
