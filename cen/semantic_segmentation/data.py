"""From list files to batches."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cen.semantic_segmentation.flags import TRAIN_LIST, VAL_LIST, normalisation
from cen.semantic_segmentation.transforms import TrainTransform, ValTransform
from common.cuda import available_cores
from common.datasets.nyudv2.reader import NYUDv2
from common.errors import UserError
from common.processes import Processes
from common.training.batches import Draw, Share, ShuffledBatches


class TrainingSamples(Dataset):
    """Augmented samples, each a function of its draw: seed, epoch and index."""

    def __init__(self, reader: NYUDv2, transform: TrainTransform) -> None:
        self.reader, self.transform = reader, transform

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        return self.transform(self.reader[draw.index], draw.rng())


class ValidationSamples(Dataset):
    """Samples in the list's order, with their "index" in it."""

    def __init__(self, reader: NYUDv2, transform: ValTransform) -> None:
        self.reader, self.transform = reader, transform

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {**self.transform(self.reader[index]), "index": torch.tensor(index)}


def open_split(args: Namespace, split: str) -> NYUDv2:
    """The data set of "train" or "val", all of its files looked for.

    Where the published default of the list flag stands and is not there, the list beside the images is taken.
    Raises UserError naming what is amiss.
    """
    folder = Path(args.train_dir if split == "train" else args.val_dir)
    given, default = (args.train_list, TRAIN_LIST) if split == "train" else (args.val_list, VAL_LIST)
    beside = folder / f"{split}.txt"
    list_file = beside if given == default and not Path(given).exists() and beside.exists() else Path(given)
    return NYUDv2(folder, list_file, split, args.num_classes)


def training_batches(args: Namespace, train_set: NYUDv2, device: torch.device, procs: Processes) -> DataLoader:
    """Augmented batches, the same for any number of workers, which stay alive over the epochs.

    Set `batch_sampler.epoch` before each pass. Raises UserError for a batch size that does not fit.
    """
    shuffled = ShuffledBatches(
        len(train_set), args.batch_size, args.random_seed, procs.rank, procs.world, args.max_steps
    )
    transform = TrainTransform(
        shorter_side=args.shorter_side,
        low_scale=args.low_scale,
        high_scale=args.high_scale,
        crop_size=args.crop_size,
        input_size=args.input_size,
        ignore_label=args.ignore_label,
        norm=normalisation(args),
        zero_depth_padding=args.quirks["depth_padding"] == "fixed",
    )
    workers = min(args.num_workers, available_cores())
    return DataLoader(
        TrainingSamples(train_set, transform),
        batch_sampler=shuffled,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # of its own: the global one belongs to dropout alone
    )


def validation_batches(args: Namespace, val_set: NYUDv2, device: torch.device, procs: Processes) -> DataLoader:
    """This process's share of the samples, in order."""
    return DataLoader(
        ValidationSamples(val_set, ValTransform(args.input_size, normalisation(args))),
        batch_size=args.val_batch_size,
        sampler=Share(len(val_set), procs.rank, procs.world),
        num_workers=min(args.num_workers, available_cores()),
        pin_memory=device.type == "cuda",
        worker_init_fn=_one_thread,
        generator=torch.Generator(),
        collate_fn=_collate_equal_sizes,
    )


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def _collate_equal_sizes(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    sizes = {tuple(sample["mask"].shape) for sample in samples}
    if len(sizes) > 1:
        raise UserError(f"--val-batch-size {len(samples)}: the masks have several sizes ({sorted(sizes)}); take 1")
    return default_collate(samples)


def as_image(tensor: Tensor, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """A normalised rgb input (3, H, W) back as uint8 (H, W, 3), clipped."""
    image = tensor.permute(1, 2, 0).double().numpy() * np.asarray(std) + np.asarray(mean)
    return (image * 255).round().clip(0, 255).astype(np.uint8)
