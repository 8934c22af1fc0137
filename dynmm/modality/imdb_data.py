"""MM-IMDB as DynMM reads it: the features as stored, without normalisation."""

from argparse import Namespace
from dataclasses import dataclass, replace

import numpy as np
import torch
from common.readers.mm_imdb import MMIMDB, SPLITS
from torch import Tensor

from common.provenance import describe_dataset
from common.training.batches import fitting_device
from dynmm.modality.batches import Batch

MODALITIES = ("text", "image")


@dataclass(frozen=True)
class Films:
    """One split. text: float32 (N, 300); image: float32 (N, 4096); labels: float32 (N, 23), 0 or 1.

    needs: int8 (N,), what a stand-in planted (0 the text decides, 1 the picture is needed too), or None. only: 0 or 1
    where batches give the text or the image alone, None for both.
    """

    text: Tensor
    image: Tensor
    labels: Tensor
    needs: np.ndarray | None = None
    only: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def on(self, device: torch.device) -> "Films":
        """The same with what batches give on the device, if it fits there."""
        place = fitting_device(sum(x.numel() * x.element_size() for x in self._given()), device)
        moved = {name: getattr(self, name).to(place) for name in (*self._names(), "labels")}
        return replace(self, **moved)

    def batch(self, indices: Tensor, device: torch.device, share: slice = slice(None)) -> Batch:
        """inputs: [text (B, 300), image (B, 4096)], or one of them; lengths: None."""
        rows = indices[share].to(self.labels.device, non_blocking=True)
        inputs = [x.index_select(0, rows).to(device, non_blocking=True) for x in self._given()]
        labels = self.labels[rows].to(device, non_blocking=True)
        return Batch(inputs if self.only is None else inputs[0], None, labels, len(indices))

    def _names(self) -> tuple[str, ...]:
        return MODALITIES if self.only is None else (MODALITIES[self.only],)

    def _given(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._names()]


def read_films(reader: MMIMDB) -> Films:
    """All of a split."""
    text, image, genres = (torch.from_numpy(np.asarray(x, np.float32)) for x in reader.arrays())
    return Films(text, image, genres, reader.needs)


def open_films(args: Namespace, only: int | None = None) -> tuple[dict[str, Films], dict[str, object], list[str]]:
    """The splits of --data-path and --sizes, what run.json says of them, and a line for the log.

    only: 0 the text or 1 the image alone. Raises UserError as the reader does.
    """
    sizes = None if args.sizes is None else tuple(args.sizes)
    readers = {name: MMIMDB(args.data_path, name, sizes) for name in SPLITS}
    splits = {name: replace(read_films(reader), only=only) for name, reader in readers.items()}
    counts = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    return splits, describe_dataset("mm_imdb", list(readers.values())), [f"MM-IMDB {args.data_path}: {counts} films"]
