"""Token features of spoken clips, and an emotion for each: the files, checked once, and their batches.

    FOLDER/train.npz  valid.npz  test.npz, each with
      text (N, L, d_t) float        or  text_tokens (N, 3, L) int: word pieces, mask, segments, read by --bert
      text_mask (N, L) 0 or 1, 1 where a step is real (not needed with text_tokens)
      audio (N, T, d_a) float, audio_mask (N, T) 0 or 1
      label (N,) int, an index into names.json
    FOLDER/names.json: the emotions' names, a JSON list

The layout is ours: IEMOCAP and MSP-IMPROV are given out on request, and what the paper fed its encoders is not public.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from common.hashing import sha256_of

SPLITS = ("train", "valid", "test")
HINT = (
    "expected train.npz, valid.npz, test.npz and names.json (layout: xnorm/README.md); IEMOCAP comes from "
    "sail.usc.edu/iemocap on request; a stand-in: python -m common.standins emotion FOLDER"
)


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
        both = sha256_of(self.file) + sha256_of(self.folder / "names.json")
        return hashlib.sha256(both.encode()).hexdigest()

    def batch(self, indices: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Text, its mask, audio, its mask and labels of these clips on the device."""
        chosen = torch.from_numpy(indices)
        parts = (self.text, self.text_mask, self.audio, self.audio_mask, self.labels)
        return tuple(part[chosen].to(device, non_blocking=True) for part in parts)

    def with_text(self, text: Tensor) -> "Clips":
        """The same clips with these features (N, L, d_t) of their tokens."""
        return replace(self, text=text, tokens=None)


def open_clips(folder: Path) -> tuple[dict[str, Clips], list[str]]:
    """All three splits, and the emotions' names.

    Raises UserError for a missing or damaged file, a missing array, other shapes or numbers than described above,
    a clip without any real step, and widths that differ between the splits.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {HINT}")
    names = _read_names(folder / "names.json")
    splits = {split: _read_split(folder / f"{split}.npz", len(names)) for split in SPLITS}
    first = splits["train"]
    for split, clips in splits.items():
        for what in ("text", "audio"):
            found, wanted = getattr(clips, what).shape[2], getattr(first, what).shape[2]
            if found != wanted or (clips.tokens is None) != (first.tokens is None):
                raise UserError(
                    f"{folder}: '{what}' has {found} features in {split}, {wanted} in train; expected equal"
                )
    return splits, names


def _read_names(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {HINT}") from error
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not (isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path}: expected a JSON list of at least two names")
    return names


def _read_split(path: Path, classes: int) -> Clips:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {HINT}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged, or not an npz file of plain arrays: {error}") from error
    _check_keys(path, arrays)
    count = len(arrays["label"])
    tokens = _tokens(path, arrays, count)
    text = np.zeros((count, tokens.shape[2], 0), np.float32) if tokens is not None else arrays["text"]
    text_mask = arrays["text_mask"] if "text_mask" in arrays else tokens[:, 1]
    sequences = {"text": (text, text_mask), "audio": (arrays["audio"], arrays["audio_mask"])}
    parts = [part for name, pair in sequences.items() for part in _sequence(path, name, *pair, count)]
    labels = _labels(path, arrays["label"], classes)
    return Clips(path.parent, path, *parts, labels, None if tokens is None else torch.from_numpy(tokens))


def _check_keys(path: Path, arrays: dict[str, np.ndarray]) -> None:
    missing = [key for key in ("audio", "audio_mask", "label") if key not in arrays]
    if "text" not in arrays and "text_tokens" not in arrays:
        missing.append("text (or text_tokens)")
    elif "text" in arrays and "text_mask" not in arrays:
        missing.append("text_mask")
    if missing:
        raise UserError(f"{path}: lacks '{missing[0]}'; found {', '.join(arrays)}")


def _tokens(path: Path, arrays: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    if "text" in arrays:
        return None
    tokens = arrays["text_tokens"]
    if tokens.ndim != 3 or tokens.shape[:2] != (count, 3) or tokens.dtype.kind not in "iu":
        raise UserError(
            f"{path}: 'text_tokens' is {tokens.dtype} {tokens.shape}; expected whole numbers ({count}, 3, L)"
        )
    return tokens.astype(np.int64)


def _sequence(path: Path, name: str, values: np.ndarray, mask: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    """Checked features (N, L, d), zero where the mask says padding, and the mask (N, L)."""
    if values.ndim != 3 or len(values) != count or values.dtype.kind != "f":
        raise UserError(
            f"{path}: '{name}' is {values.dtype} {values.shape}; expected numbers ({count}, steps, features)"
        )
    if mask.shape != values.shape[:2] or mask.dtype.kind not in "biuf" or not np.isin(mask, (0, 1)).all():
        raise UserError(f"{path}: '{name}_mask' is {mask.dtype} {mask.shape}; expected 0 and 1 {values.shape[:2]}")
    mask = mask.astype(bool)
    empty = ~mask.any(axis=1)
    if empty.any():
        raise UserError(f"{path}: '{name}_mask' has no real step in row {int(empty.argmax())}; expected at least one")
    values = np.where(mask[:, :, None], values, 0).astype(np.float32)
    if not np.isfinite(values).all():
        row = int((~np.isfinite(values)).any(axis=(1, 2)).argmax())
        raise UserError(f"{path}: '{name}' has NaN or infinity in row {row}; expected finite numbers")
    return torch.from_numpy(values), torch.from_numpy(mask)


def _labels(path: Path, labels: np.ndarray, classes: int) -> Tensor:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise UserError(f"{path}: 'label' is {labels.dtype} {labels.shape}; expected whole numbers (N,)")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise UserError(
            f"{path}: 'label' {labels[row]} in row {row}; expected 0..{classes - 1}, the names in names.json"
        )
    return torch.from_numpy(labels.astype(np.int64))
