"""From csv files and frames to batches.

Batches hold bytes, a quarter of the size of float32, on their way from the workers to the device; `Batch.on` scales
them there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from common.cuda import available_cores
from common.datasets.epic_kitchens.reader import MODALITIES, EpicKitchens
from common.errors import UserError
from common.processes import Processes
from common.training.batches import Draw, Share, ShuffledBatches
from xnorm.frame_cache import EnlargedClips
from xnorm.transforms import EvalTransform, TrainTransform, scale

CSV_ROOT = "./dataset/epic_kitchens"  # published default of --csv_root
HELD_SHARE = 0.1  # of the training rows, which gb's estimate validates on
Item = tuple[dict[str, Tensor], int]


class Batch(NamedTuple):
    """rgb uint8 (B, 3, T, S, S) and flow uint8 (B, 2, T, S, S), None where the method does not read it; labels int64
    (B,)."""

    rgb: Tensor | None
    flow: Tensor | None
    labels: Tensor

    def on(self, device: torch.device, channels_last: bool = False) -> "Batch":
        """The batch on a device, frames scaled to float32 in [-1, 1]; channels_last: their memory format."""
        layout = torch.channels_last_3d if channels_last else torch.contiguous_format

        def move(clips: Tensor | None) -> Tensor | None:
            if clips is None:
                return None
            return scale(clips.to(device, non_blocking=True)).contiguous(memory_format=layout)

        return Batch(move(self.rgb), move(self.flow), self.labels.to(device, non_blocking=True))


class TrainingClips(Dataset):
    """Augmented clips, each a function of its draw: seed, epoch and index (the row of the csv)."""

    def __init__(self, clips: EnlargedClips, transform: TrainTransform) -> None:
        self.clips, self.transform = clips, transform

    def __getitem__(self, draw: Draw) -> Item:
        rngs = dict(zip(MODALITIES, draw.rng().spawn(len(MODALITIES)), strict=True))
        return self.transform(self.clips[draw.index], rngs), self.clips.reader.segments[draw.index].verb


class EvaluationClips(Dataset):
    """Clips in the csv's order, cropped in the middle."""

    def __init__(self, clips: EnlargedClips, transform: EvalTransform) -> None:
        self.clips, self.transform = clips, transform

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Item:
        return self.transform(self.clips[index]), self.clips.reader.segments[index].verb


class DrawnBatches(Sampler[list[Draw]]):
    """Batches of draws of these rows: shuffled or in order, the incomplete last one dropped, a share a process.

    Set `epoch` before each pass; `limit` ends a pass after so many batches.
    Raises UserError if a batch cannot be shared evenly, or if there are fewer rows than one batch.
    """

    def __init__(
        self, rows: Sequence[int], batch_size: int, seed: int, procs: Processes, limit: int | None, shuffle: bool = True
    ) -> None:
        self.rows, self.shuffle = rows, shuffle
        self.shuffled = ShuffledBatches(len(rows), batch_size, seed, procs.rank, procs.world, limit)
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.shuffled)

    def __iter__(self) -> Iterator[list[Draw]]:
        whole, seed = self.shuffled, self.shuffled.seed
        whole.epoch = self.epoch
        if self.shuffle:
            for batch in whole:
                yield [draw._replace(index=int(self.rows[draw.index])) for draw in batch]
            return
        for number in range(len(whole)):
            chosen = self.rows[number * whole.batch_size : (number + 1) * whole.batch_size][whole.rank :: whole.world]
            yield [Draw(seed, self.epoch, int(row)) for row in chosen]


class Batches:
    """The batches of a loader, on the device: of training rows (`of_epoch` says of which epoch), or of others in order.

    drawn: what the loader takes its training batches from.
    """

    def __init__(
        self, loader: DataLoader, device: torch.device, channels_last: bool = False, drawn: DrawnBatches | None = None
    ) -> None:
        self.loader, self.device, self.channels_last, self.drawn = loader, device, channels_last, drawn

    def of_epoch(self, epoch: int) -> "Batches":
        """Itself, with the order and the augmentation of this epoch."""
        if self.drawn is not None:
            self.drawn.epoch = epoch
        return self

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return (batch.on(self.device, self.channels_last) for batch in self.loader)


@dataclass(frozen=True)
class Loading:
    """How batches are made: of `batch_size` clips over all processes, by so many loader processes, for the device.

    cache: folder of frames that are decoded once, if there is one.
    """

    batch_size: int
    workers: int
    cache: Path | None
    device: torch.device
    procs: Processes
    channels_last: bool = False

    def loader(self, clips: Dataset, **order: Any) -> DataLoader:
        """A loader of the clips. order: which samples, in which batches."""
        workers = min(self.workers, available_cores())
        return DataLoader(
            clips,
            num_workers=workers,
            pin_memory=self.device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # of its own: the global one belongs to dropout alone
            collate_fn=collate,
            **order,
        )


def open_split(
    csv_root: Path, data_root: Path, split: str, num_frames: int, num_classes: int, streams: Sequence[str] = MODALITIES
) -> EpicKitchens:
    """The segments of "train", "val" or "test", the ends of all of them looked for.

    Where the published default of --csv_root stands and is not there, csv/ beside the frames is taken.
    Raises UserError naming what is missing or does not fit.
    """
    beside = data_root / "csv"
    if csv_root == Path(CSV_ROOT) and not csv_root.exists() and beside.is_dir():
        csv_root = beside
    return EpicKitchens(data_root, csv_root / f"{split}.csv", num_frames, num_classes, streams)


def training_batches(
    reader: EpicKitchens,
    transform: TrainTransform,
    loading: Loading,
    seed: int,
    limit: int | None = None,
    rows: Sequence[int] | None = None,
    shuffle: bool = True,
) -> Batches:
    """Augmented batches, the same for any number of workers, which stay alive over the epochs.

    limit: as many batches at most. rows: of the csv, in its order (default: all).
    Raises UserError for a batch size that does not fit.
    """
    rows = range(len(reader)) if rows is None else rows
    drawn = DrawnBatches(rows, loading.batch_size, seed, loading.procs, limit, shuffle)
    clips = TrainingClips(EnlargedClips(reader, transform.side, loading.cache), transform)
    return Batches(loading.loader(clips, batch_sampler=drawn), loading.device, loading.channels_last, drawn)


def evaluation_batches(reader: EpicKitchens, transform: EvalTransform, loading: Loading, rows: int) -> Batches:
    """This process's share of the first `rows` rows, in order."""
    procs = loading.procs
    clips = EvaluationClips(EnlargedClips(reader, transform.side, loading.cache), transform)
    size = max(1, loading.batch_size // procs.world)
    loader = loading.loader(clips, sampler=Share(rows, procs.rank, procs.world), batch_size=size)
    return Batches(loader, loading.device, loading.channels_last)


def held_rows(rows: int, batch_size: int) -> int:
    """How many of the training rows, from the first on, gb's estimate validates on: a tenth, rounded down.

    Raises UserError where that is less than a batch.
    """
    held = int(HELD_SHARE * rows)
    if held < batch_size:
        raise UserError(
            f"--batch_size {batch_size}: gb's estimate validates on a tenth of the {rows} training rows, which is less "
            "than one batch; take a smaller one, or give --gb-weights"
        )
    return held


def evaluated_rows(rows: int, batch_size: int, keep_last: bool) -> int:
    """By how many of a split's rows, from the first on, it is judged: as published by whole batches alone."""
    return rows if keep_last else rows // batch_size * batch_size


def check_rows(reader: EpicKitchens, batch_size: int, keep_last: bool) -> None:
    """Raises UserError where no row is left to evaluate."""
    if not evaluated_rows(len(reader), batch_size, keep_last):
        raise UserError(
            f"--batch_size {batch_size} is larger than {reader.csv_file} ({len(reader)} segments), and the "
            "incomplete last batch is dropped as published: take a smaller one, or --quirk eval_last=kept"
        )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def collate(items: Sequence[Item]) -> Batch:
    """A batch of (streams, label) items; a stream that is not read is None."""
    streams = default_collate([clips for clips, _ in items])
    return Batch(streams.get("rgb"), streams.get("flow"), torch.tensor([label for _, label in items]))
