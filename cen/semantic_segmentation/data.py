"""From list files to batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cen.semantic_segmentation.datasets import RGBDDataset, RGBDSamples
from cen.semantic_segmentation.transforms import TrainTransform, ValTransform
from common.cuda import available_cores
from common.errors import UserError
from common.processes import Processes
from common.training.batches import Draw, Share, ShuffledBatches

Batch = dict[str, Tensor]  # the inputs "rgb" and "depth" float32 (B, 3, H, W), "mask" int64 (B, h, w)


def open_split(dataset: RGBDDataset, split: str, folder: str, list_file: str, num_classes: int) -> RGBDSamples:
    """The samples of "train" or "val", all of their files looked for.

    Where `list_file` is the data set's default and is not there, FOLDER/<split>.txt is taken.
    Raises UserError naming what is missing or does not fit.
    """
    beside = Path(folder) / f"{split}.txt"
    if list_file == dataset.lists[split] and not Path(list_file).exists() and beside.exists():
        return dataset.reader(Path(folder), beside, split, num_classes)
    return dataset.reader(Path(folder), Path(list_file), split, num_classes)


class TrainingSamples(Dataset):
    """Augmented samples, each a function of its draw: seed, epoch and index."""

    def __init__(self, samples: RGBDSamples, transform: TrainTransform) -> None:
        self.samples, self.transform = samples, transform

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        return self.transform(self.samples[draw.index], draw.rng())


class ValidationSamples(Dataset):
    """Samples in the list's order, with their "index" in it."""

    def __init__(self, samples: RGBDSamples, transform: ValTransform) -> None:
        self.samples, self.transform = samples, transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {**self.transform(self.samples[index]), "index": torch.tensor(index)}


class TrainingBatches:
    """Augmented batches, the same for any number of workers, which stay alive over the epochs.

    samples: how many there are. batch_size: over all processes; limit: batches of an epoch, at most.
    Raises UserError for a batch size that does not fit.
    """

    def __init__(
        self,
        samples: RGBDSamples,
        transform: TrainTransform,
        batch_size: int,
        seed: int,
        num_workers: int,
        device: torch.device,
        procs: Processes,
        limit: int | None = None,
    ) -> None:
        self.samples = len(samples)
        self._order = ShuffledBatches(len(samples), batch_size, seed, procs.rank, procs.world, limit)
        workers = min(num_workers, available_cores())
        self._loader = DataLoader(
            TrainingSamples(samples, transform),
            batch_sampler=self._order,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            generator=torch.Generator(),  # of its own: the global one belongs to dropout alone
        )

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._loader)

    def of(self, epoch: int) -> DataLoader:
        """This process's share of every batch of an epoch."""
        self._order.epoch = epoch
        return self._loader


class ValidationBatches:
    """This process's share of the samples, in order; a batch also has "index" (B,), the samples' places in the list.

    samples: how many there are, over all processes.
    """

    def __init__(
        self,
        samples: RGBDSamples,
        transform: ValTransform,
        batch_size: int,
        num_workers: int,
        device: torch.device,
        procs: Processes,
    ) -> None:
        self.samples = len(samples)
        self._loader = DataLoader(
            ValidationSamples(samples, transform),
            batch_size=batch_size,
            sampler=Share(len(samples), procs.rank, procs.world),
            num_workers=min(num_workers, available_cores()),
            pin_memory=device.type == "cuda",
            worker_init_fn=_one_thread,
            generator=torch.Generator(),
            collate_fn=_collate_equal_sizes,
        )

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._loader)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)


def _collate_equal_sizes(samples: Sequence[dict[str, Tensor]]) -> Batch:
    sizes = {tuple(sample["mask"].shape) for sample in samples}
    if len(sizes) > 1:
        raise UserError(f"--val-batch-size {len(samples)}: the masks have several sizes ({sorted(sizes)}); take 1")
    return default_collate(list(samples))
