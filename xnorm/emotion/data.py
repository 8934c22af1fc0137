"""The clips of the emotion task as tensors, and their batches."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.datasets.emotion.reader import SpokenClips, fingerprint, read_clips
from common.errors import UserError


@dataclass(frozen=True)
class Clips:
    """One split: text (N, L, d_t), audio (N, T, d_a) float32; their masks bool, True where real; labels (N,) int64.

    tokens: (N, 3, L) int64 where the text is still to be read by a BERT; text is then empty.
    """

    folder: Path
    file: Path
    text: Tensor
    text_mask: Tensor
    audio: Tensor
    audio_mask: Tensor
    labels: Tensor
    tokens: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """SHA-256 over the file and names.json."""
        return fingerprint(self.file)

    def batch(self, indices: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Text, its mask, audio, its mask and labels of these clips on the device."""
        chosen = torch.from_numpy(indices)
        parts = (self.text, self.text_mask, self.audio, self.audio_mask, self.labels)
        text, text_mask, audio, audio_mask, labels = (part[chosen].to(device, non_blocking=True) for part in parts)
        return text, text_mask, audio, audio_mask, labels

    def with_text(self, text: Tensor) -> "Clips":
        """The same clips with these features (N, L, d_t) of their tokens."""
        return replace(self, text=text, tokens=None)


def open_clips(folder: Path) -> tuple[dict[str, Clips], list[str]]:
    """All three splits, and the emotions' names. Raises UserError for whatever `read_clips` refuses."""
    splits, names = read_clips(folder)
    return {split: _tensors(clips) for split, clips in splits.items()}, names


def _tensors(clips: SpokenClips) -> Clips:
    arrays = (clips.text, clips.text_mask, clips.audio, clips.audio_mask, clips.labels)
    text, text_mask, audio, audio_mask, labels = map(torch.from_numpy, arrays)
    tokens = None if clips.tokens is None else torch.from_numpy(clips.tokens)
    return Clips(clips.folder, clips.file, text, text_mask, audio, audio_mask, labels, tokens)


def check_batches(samples: int, batch_size: int, world: int) -> None:
    """Raises UserError where a batch does not reach each of so many processes."""
    if batch_size % world:
        raise UserError(f"--batch_size {batch_size} cannot be shared by {world} processes: take a multiple")
    if samples < world:
        raise UserError(f"{samples} training clips cannot be shared by {world} processes")
