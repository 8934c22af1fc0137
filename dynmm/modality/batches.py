"""Whole splits as tensors, and the order in which batches take their samples.

A split is small enough to lie on the device as a whole: a batch is then a selection by index, and no loader process
stands between. The order is a function of seed and epoch alone.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from common.processes import Processes
from common.training.batches import fitting_device, index_batches


class Batch(NamedTuple):
    """What network(inputs, lengths) is called with, and labels (B, K) for its answer.

    inputs: a list of one tensor a modality, or the tensor of the one modality that the split gives.
    size: samples of the whole batch, over all processes.
    """

    inputs: list[Tensor] | Tensor
    lengths: Tensor | None
    labels: Tensor
    size: int


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    inputs: float32, one tensor a modality: (N, C), or (N, T, C) with a sample's steps first and zeros after them.
    labels: (N, K). lengths: int64 (N,), steps of each sample, the same in all modalities; on the CPU, so that a
    batch's longest is known without waiting for the device; None where the inputs have no time. needs: int8 (N,), what
    a stand-in planted (0 the text decides, 1 all modalities are needed), or None. only: the place of the one modality
    that batches give, None for all. dropped: samples that were left out.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor
    lengths: Tensor | None = None
    needs: np.ndarray | None = None
    only: int | None = None
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def used(self) -> tuple[Tensor, ...]:
        """The inputs that batches give."""
        return self.inputs if self.only is None else (self.inputs[self.only],)

    def on(self, device: torch.device) -> "Split":
        """The same with what batches give on the device, if it fits there; lengths stay."""
        place = fitting_device(sum(x.numel() * x.element_size() for x in self.used), device)
        inputs = tuple(x.to(place) if self.only in (None, number) else x for number, x in enumerate(self.inputs))
        return replace(self, inputs=inputs, labels=self.labels.to(place))

    def batch(self, indices: Tensor, device: torch.device, share: slice = slice(None)) -> Batch:
        """The samples of `indices` (int64 on the CPU), of which this process takes `share`, on the device.

        Sequences are cut after the longest of all `indices`.
        """
        own = indices[share]
        rows = own.to(self.labels.device, non_blocking=True)
        cut, lengths = self.used, None
        if self.lengths is not None:
            longest = int(self.lengths[indices].max())
            cut = tuple(x[:, :longest] for x in self.used)
            lengths = self.lengths[own].to(device, non_blocking=True)
        inputs = [x.index_select(0, rows).to(device, non_blocking=True) for x in cut]
        labels = self.labels[rows].to(device, non_blocking=True)
        return Batch(inputs if self.only is None else inputs[0], lengths, labels, len(indices))

    def example(self, device: torch.device) -> tuple[list[Tensor] | Tensor, Tensor | None]:
        """Inputs and lengths of one sample of zeros, as long as samples of this split can be."""
        inputs = [torch.zeros(1, *x.shape[1:], device=device) for x in self.used]
        lengths = None if self.lengths is None else torch.tensor([inputs[0].shape[1]], device=device)
        return inputs if self.only is None else inputs[0], lengths


@dataclass(frozen=True)
class Data:
    """A data set: splits train, valid and test; facts: what run.json says of it; notes: lines for the log."""

    splits: dict[str, Split]
    facts: dict[str, Any]
    notes: list[str]

    def on(self, device: torch.device) -> "Data":
        """The same with each split on the device, if it fits there."""
        return replace(self, splits={name: split.on(device) for name, split in self.splits.items()})


def training_batches(size: int, batch_size: int, seed: int, epoch: int, limit: int | None = None) -> list[Tensor]:
    """The batches of a training epoch: int64 indices, every sample once, the last batch as small as it comes.

    limit: end the epoch after so many batches.
    """
    return [torch.from_numpy(batch) for batch in index_batches(size, batch_size, seed, epoch, limit=limit)]


def batches_in_order(size: int, batch_size: int) -> list[Tensor]:
    """All samples in their order, as validation and test take them."""
    return list(torch.arange(size).split(batch_size))


def own_samples(procs: Processes) -> slice:
    """The part of a training batch that this process takes."""
    return slice(procs.rank, None, procs.world)


def own_batches(batches: list[Tensor], procs: Processes) -> list[Tensor]:
    """Of an evaluation's batches, those that this process takes: whole ones, for a batch's padding counts."""
    return batches[procs.rank :: procs.world]


def check_shares(size: int, batch_size: int, procs: Processes, least: int = 1) -> None:
    """Raises UserError where a process would get fewer than `least` samples of a training batch."""
    if batch_size % procs.world:
        raise UserError(f"--batch-size {batch_size} cannot be shared by {procs.world} processes: take a multiple")
    last = size % batch_size or batch_size
    if min(last, batch_size) // procs.world < least:
        raise UserError(
            f"--batch-size {batch_size}: the last batch of {size} training samples holds {last}, expected at least "
            f"{least} for each of {procs.world} process{'es' if procs.world > 1 else ''}; take another batch size"
        )
