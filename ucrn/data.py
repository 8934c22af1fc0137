"""The splits of CMU-MOSI or CMU-MOSEI as tensors, cleaned as published, and the order of training batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.datasets.cmu_mosei.reader import KEYS, MODALITIES, SentimentSplit, clean_audio, read_sentiment_file
from common.errors import UserError
from common.processes import Processes
from common.training.batches import cut_batches, fitting_device, index_batches

FIELDS = {"l": "text", "a": "audio", "v": "vision"}


@dataclass(frozen=True)
class Clips:
    """A split: text (N, L_l, d_l), audio (N, L_a, d_a), vision (N, L_v, d_v), labels (N, 1), float32.

    meta: (video, start, end) of every clip, as far as the file says; three zeros where it has no ids.
    cleaned: values of -inf in the audio, which are 0 here.
    """

    text: Tensor
    audio: Tensor
    vision: Tensor
    labels: Tensor
    meta: list[tuple]
    cleaned: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def widths(self) -> list[int]:
        """Features of text, audio and vision."""
        return [x.shape[2] for x in (self.text, self.audio, self.vision)]

    @property
    def lengths(self) -> list[int]:
        """Steps of text, audio and vision."""
        return [x.shape[1] for x in (self.text, self.audio, self.vision)]

    def to(self, device: torch.device) -> "Clips":
        """A copy on the device, or the clips themselves if they are there already."""
        if self.labels.device == device:
            return self
        text, audio, vision, labels = (getattr(self, key).to(device) for key in KEYS)
        return replace(self, text=text, audio=audio, vision=vision, labels=labels)

    def batch(self, indices: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Text, audio, vision and labels of these clips on the device."""
        chosen = torch.from_numpy(indices).to(self.labels.device, non_blocking=True)
        text, audio, vision, labels = (getattr(self, key)[chosen].to(device, non_blocking=True) for key in KEYS)
        return text, audio, vision, labels


def data_file(folder: Path, dataset: str, aligned: bool) -> Path:
    """FOLDER/<dataset>_data.pkl where aligned, else FOLDER/<dataset>_data_noalign.pkl."""
    return folder / f"{dataset}_data{'' if aligned else '_noalign'}.pkl"


def open_splits(folder: Path, dataset: str, aligned: bool) -> dict[str, SentimentSplit]:
    """The file's splits. Raises UserError for a missing or damaged file, or lengths that --aligned does not expect."""
    path = data_file(folder, dataset, aligned)
    splits = read_sentiment_file(path, missing_hint="(see --data_path, --dataset and --aligned)")
    lengths = dict(zip(MODALITIES, splits["train"].lengths, strict=True))
    if aligned and len(set(lengths.values())) > 1:
        shown = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise UserError(f"{path}: steps are {shown}; --aligned expects the same number in all three")
    return splits


def clips_of(split: SentimentSplit, text: np.ndarray | None = None) -> Clips:
    """Cleaned as published: everything float32, in audio -inf becomes 0; +inf and NaN stay, as in the file.

    text: features (N, T, d) to take instead of the file's own (BERT).
    """
    return Clips(
        text=_float32(split.text if text is None else text),
        audio=torch.from_numpy(clean_audio(split.audio)),
        vision=_float32(split.vision),
        labels=_float32(split.labels).reshape(len(split), -1)[:, :1],
        meta=_meta(split),
        cleaned=int(np.isneginf(split.audio).sum()),
    )


def _float32(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array, np.float32))


def check_finite(clips: Clips, split: SentimentSplit, active: Sequence[str]) -> None:
    """Raises UserError for NaN or infinities in what is used: the published cleaning leaves them, and no training
    survives them."""
    for field in (*(FIELDS[modality] for modality in active), "labels"):
        rows = (~getattr(clips, field).isfinite()).flatten(1).any(dim=1)
        if rows.any():
            raise UserError(
                f"{split.path}: split '{split.name}': '{field}' has NaN or infinite values in {int(rows.sum())} clips, "
                f"the first in row {int(rows.nonzero()[0])}; expected finite numbers (only -inf in audio is set to 0). "
                "Take these clips out, or leave that modality out"
            )


def _meta(split: SentimentSplit) -> list[tuple]:
    if split.ids is None:
        return [(0, 0, 0)] * len(split)
    rows = np.asarray(split.ids).reshape(len(split), -1)[:, :3].tolist()
    missing = [""] * (3 - len(rows[0]))
    return [tuple(field.decode() if isinstance(field, bytes) else field for field in [*row, *missing]) for row in rows]


def place(data: Mapping[str, Clips], device: torch.device) -> dict[str, Clips]:
    """The data on a GPU once, where it fits there; a batch is then a selection by index."""
    home = fitting_device(sum(getattr(clips, key).nbytes for clips in data.values() for key in KEYS), device)
    return {name: clips.to(home) for name, clips in data.items()}


def training_batches(
    size: int,
    batch_size: int,
    seed: int,
    epoch: int,
    procs: Processes,
    limit: int | None = None,
    unseeded: bool = False,
) -> list[np.ndarray]:
    """Indices of an epoch's batches (epochs from 1), this process's share of each; the last one may be smaller.

    unseeded: in the published order, whatever the seed. limit: as many batches at most.
    """
    if unseeded:
        return cut_batches(official_order(size, epoch), batch_size, procs.rank, procs.world, limit)
    return index_batches(size, batch_size, seed, epoch, procs.rank, procs.world, limit)


def official_order(size: int, epoch: int) -> np.ndarray:
    """The published order of an epoch (from 1), on a CPU, whatever --seed says: the loop goes twice over the training
    set in each epoch, so training sees the passes 1, 3, 5, ..."""
    return unseeded_pass(size, 2 * epoch - 1)


def unseeded_pass(size: int, number: int) -> np.ndarray:
    """The order of pass `number` (from 1) of a shuffling DataLoader with a generator that is never seeded.

    Each pass draws a seed for the workers first, then the order, and at its end one more that is not used.
    """
    generator = torch.Generator()
    for _ in range(number):
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        order, _ = (torch.randperm(size, generator=generator) for _ in range(2))
    return order.numpy()
