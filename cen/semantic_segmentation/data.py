"""From list files to batches."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cen.semantic_segmentation.transforms import TrainTransform, ValTransform
from common.cuda import Processes, available_cores
from common.errors import UserError
from common.readers.nyudv2 import NYUDv2
from common.sampling import Draw, Share, ShuffledBatches


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


def find_list(given: str, default: str, folder: str, name: str) -> Path:
    """The list file of a flag: as given, or where only the published default stands and is not there, FOLDER/name."""
    beside = Path(folder) / name
    return beside if given == default and not Path(given).exists() and beside.exists() else Path(given)


def training_loader(
    samples: TrainingSamples, batches: ShuffledBatches, num_workers: int, device: torch.device
) -> DataLoader:
    """Batches of augmented samples; workers stay alive over the epochs."""
    workers = min(num_workers, available_cores())
    return DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # of its own: the global one belongs to dropout alone
    )


def validation_loader(
    samples: ValidationSamples, batch_size: int, num_workers: int, device: torch.device, procs: Processes
) -> DataLoader:
    """This process's share of the samples, in order."""
    return DataLoader(
        samples,
        batch_size=batch_size,
        sampler=Share(len(samples), procs.rank, procs.world),
        num_workers=min(num_workers, available_cores()),
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
