"""Token features of spoken clips, and an emotion for each.

    FOLDER/train.npz  valid.npz  test.npz, each with
      text (N, L, d_t) float        or  text_tokens (N, 3, L) int: word pieces, mask, segments, for a BERT
      text_mask (N, L) 0 or 1, 1 where a step is real (not needed with text_tokens)
      audio (N, T, d_a) float, audio_mask (N, T) 0 or 1
      label (N,) int, an index into names.json
    FOLDER/names.json: the emotions' names, a JSON list

The layout is ours: IEMOCAP and MSP-IMPROV are given out on request, and no release of their features is public.
No torch here.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.hashing import sha256_of

SPLITS = ("train", "valid", "test")
HINT = (
    "expected train.npz, valid.npz, test.npz and names.json (layout: common/datasets/emotion/reader.py); IEMOCAP "
    "comes from sail.usc.edu/iemocap on request; a stand-in: python -m common.standins emotion FOLDER"
)


@dataclass(frozen=True, eq=False)
class SpokenClips:
    """One split: text (N, L, d_t) and audio (N, T, d_a), float32, zero where a step is none; labels (N,) int64.

    text_mask (N, L), audio_mask (N, T): bool, True where a step is real. tokens: (N, 3, L) int64 where the text is
    still to be read by a BERT; text is then empty, (N, L, 0).
    """

    file: Path
    text: np.ndarray
    text_mask: np.ndarray
    audio: np.ndarray
    audio_mask: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.file.parent

    def fingerprint(self) -> str:
        """SHA-256 over the file and names.json."""
        return fingerprint(self.file)


def fingerprint(file: Path) -> str:
    """SHA-256 (64 hexadecimal digits) over a split's file and the names.json beside it."""
    both = sha256_of(file) + sha256_of(file.with_name("names.json"))
    return hashlib.sha256(both.encode()).hexdigest()


def read_clips(folder: Path) -> tuple[dict[str, SpokenClips], list[str]]:
    """All three splits, and the emotions' names.

    Raises UserError for a missing or damaged file, a missing array, other shapes or numbers than described above,
    a clip without any real step, and widths that differ between the splits.
    """
    check_folder(folder)
    names = read_names(folder)
    splits = {split: read_split(folder, split, len(names)) for split in SPLITS}
    problems = differing_widths(folder, splits)
    if problems:
        raise UserError(problems[0])
    return splits, names


def check_folder(folder: Path) -> None:
    """Raises UserError where there is no such folder."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {HINT}")


def differing_widths(folder: Path, splits: dict[str, SpokenClips]) -> list[str]:
    """A line for each split whose text or audio has other features than those of train."""
    first = splits["train"]
    problems = []
    for split, clips in splits.items():
        for what in ("text", "audio"):
            found, wanted = getattr(clips, what).shape[2], getattr(first, what).shape[2]
            if found != wanted or (clips.tokens is None) != (first.tokens is None):
                problems.append(
                    f"{folder}: '{what}' has {found} features in {split}, {wanted} in train; expected equal"
                )
    return problems


def read_names(folder: Path) -> list[str]:
    """The emotions, in the order of their numbers. Raises UserError for a missing file and one that is no such list."""
    path = folder / "names.json"
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; {HINT}") from error
    except ValueError as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not (isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) for name in names)):
        raise UserError(f"{path}: expected a JSON list of at least two names")
    return names


def read_split(folder: Path, split: str, classes: int) -> SpokenClips:
    """The clips of FOLDER/<split>.npz. Raises UserError as `read_clips` does, but for widths."""
    path = folder / f"{split}.npz"
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
    if tokens is None:
        text, text_mask = arrays["text"], arrays["text_mask"]
    else:
        text, text_mask = np.zeros((count, tokens.shape[2], 0), np.float32), arrays.get("text_mask", tokens[:, 1])
    text, text_mask = _sequence(path, "text", text, text_mask, count)
    audio, audio_mask = _sequence(path, "audio", arrays["audio"], arrays["audio_mask"], count)
    labels = _labels(path, arrays["label"], classes)
    return SpokenClips(path, text, text_mask, audio, audio_mask, labels, tokens)


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


def _sequence(path: Path, name: str, values: np.ndarray, mask: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
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
    return values, mask


def _labels(path: Path, labels: np.ndarray, classes: int) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise UserError(f"{path}: 'label' is {labels.dtype} {labels.shape}; expected whole numbers (N,)")
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise UserError(
            f"{path}: 'label' {labels[row]} in row {row}; expected 0..{classes - 1}, the names in names.json"
        )
    return labels.astype(np.int64)
