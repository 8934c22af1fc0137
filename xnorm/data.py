"""From csv files and frames to batches.

Batches hold bytes, a quarter of the size of float32, on their way from the workers to the device; `Batch.on` scales
them there.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

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
ONE_STREAM = ("rgb", "flow")  # methods that use one stream alone
Item = tuple[dict[str, Tensor], int]


class Batch(NamedTuple):
    """rgb uint8 (B, 3, T, S, S) and flow uint8 (B, 2, T, S, S), None where the method does not use it; labels int64
    (B,)."""

    rgb: Tensor | None
    flow: Tensor | None
    labels: Tensor

    def on(self, device: torch.device) -> "Batch":
        """The batch on a device, frames scaled to float32 in [-1, 1]."""
        streams = (x if x is None else scale(x.to(device, non_blocking=True)) for x in (self.rgb, self.flow))
        return Batch(*streams, self.labels.to(device, non_blocking=True))


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


def streams_of(fusion: str) -> tuple[str, ...]:
    """What a method reads of "rgb" and "flow"; the published script decodes both for all."""
    return (fusion,) if fusion in ONE_STREAM else MODALITIES


def open_split(args: Namespace, split: str) -> EpicKitchens:
    """The segments of "train", "val" or "test", the ends of all of them looked for.

    Where the published default of --csv_root stands and is not there, csv/ beside the frames is taken.
    Raises UserError naming what is amiss.
    """
    csv_root, beside = Path(args.csv_root), Path(args.data_root) / "csv"
    if csv_root == Path(CSV_ROOT) and not csv_root.exists() and beside.is_dir():
        csv_root = beside
    return EpicKitchens(
        args.data_root, csv_root / f"{split}.csv", args.num_frames, args.num_classes, streams_of(args.fusion)
    )


def training_batches(
    args: Namespace,
    train_set: EpicKitchens,
    device: torch.device,
    procs: Processes,
    rows: Sequence[int] | None = None,
    shuffle: bool = True,
) -> DataLoader:
    """Augmented batches, the same for any number of workers, which stay alive over the epochs.

    rows: of the csv, in its order (default: all). Set `batch_sampler.epoch` before each pass.
    Raises UserError for a batch size that does not fit.
    """
    rows = range(len(train_set)) if rows is None else rows
    drawn = DrawnBatches(rows, args.batch_size, args.seed, procs, args.max_steps, shuffle)
    shared, flip_u = args.quirks["crop"] == "shared", args.quirks["flip_u"] == "fixed"
    clips = TrainingClips(_enlarged(args, train_set), TrainTransform(args.crop_size, shared, flip_u))
    return _loader(args, clips, device, batch_sampler=drawn)


def evaluation_batches(args: Namespace, reader: EpicKitchens, device: torch.device, procs: Processes) -> DataLoader:
    """This process's share of the rows that are evaluated (`evaluated_rows`), in order."""
    rows = evaluated_rows(args, reader)
    clips = EvaluationClips(_enlarged(args, reader), EvalTransform(args.crop_size))
    share = Share(rows, procs.rank, procs.world)
    return _loader(args, clips, device, sampler=share, batch_size=max(1, args.batch_size // procs.world))


def evaluated_rows(args: Namespace, reader: EpicKitchens) -> int:
    """How many rows, from the first on, val and test are judged by: as published, whole batches alone.

    Raises UserError where that leaves none.
    """
    if args.quirks["eval_last"] == "kept":
        return len(reader)
    rows = len(reader) // args.batch_size * args.batch_size
    if not rows:
        raise UserError(
            f"--batch_size {args.batch_size} is larger than {reader.csv_file} ({len(reader)} segments), and the "
            "incomplete last batch is dropped as published: take a smaller one, or --quirk eval_last=kept"
        )
    return rows


def _enlarged(args: Namespace, reader: EpicKitchens) -> EnlargedClips:
    return EnlargedClips(reader, args.crop_size, args.cache)


def _loader(args: Namespace, clips: Dataset, device: torch.device, **order: object) -> DataLoader:
    workers = min(args.num_workers, available_cores())
    return DataLoader(
        clips,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # of its own: the global one belongs to dropout alone
        collate_fn=collate,
        **order,
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def collate(items: Sequence[Item]) -> Batch:
    """A batch of (streams, label) items; a stream that is not read is None."""
    streams = default_collate([clips for clips, _ in items])
    return Batch(streams.get("rgb"), streams.get("flow"), torch.tensor([label for _, label in items]))
