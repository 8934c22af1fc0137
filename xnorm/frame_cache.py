"""Frames decoded once: an optional folder of decoded and enlarged clips, the same bytes as without it.

    DIR/train-rgb-<key>/cache.json  000002.npy ...      one array (T, H, W, C) uint8 for each line of the csv

A clip is written when it is first asked for, to a temporary name and renamed, so that any number of workers and
processes may share a folder; later it is mapped into memory, and only the window that is cropped is read from disk.
The key stands for the csv's bytes, the number of frames and the side that they are enlarged to. Frames that have
changed since are noticed by the fingerprint in cache.json. The real training set takes about 100 GB (16 frames of
456x256, both streams).
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from common.datasets.epic_kitchens.reader import EpicKitchens
from common.errors import UserError
from common.hashing import sha256_of
from xnorm.transforms import enlarge, smallest_side

FACTS = "cache.json"


class EnlargedClips:
    """The clips of a reader, enlarged for a crop of side `crop`; with `folder` by way of the cache there.

    Item: {"rgb": uint8 (T, H, W, 3), "flow": uint8 (T, H, W, 2)}, as far as the reader reads them.
    Raises UserError for a cache of other frames, and for a folder that cannot be written to.
    """

    def __init__(self, reader: EpicKitchens, crop: int, folder: str | Path | None = None) -> None:
        self.reader, self.crop = reader, crop
        self.folders: dict[str, Path] = {}
        if folder is not None:
            self.folders = {stream: open_cache(reader, stream, crop, Path(folder)) for stream in reader.modalities}

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {modality: self.clip(index, modality) for modality in self.reader.modalities}

    def clip(self, index: int, modality: str) -> np.ndarray:
        """One stream of an item, from the cache where it is there."""
        if modality not in self.folders:
            return self._decode(index, modality)
        path = self.folders[modality] / f"{self.reader.segments[index].line:06d}.npy"
        kept = _mapped(path)
        if kept is None:
            kept = self._decode(index, modality)
            _replace(path, kept)
        return kept

    def _decode(self, index: int, modality: str) -> np.ndarray:
        return enlarge(self.reader.clip(index, modality), smallest_side(modality, self.crop))


def open_cache(reader: EpicKitchens, modality: str, crop: int, folder: Path) -> Path:
    """The folder of one csv's clips in one stream; it is made where it is not there.

    Raises UserError where it holds clips of frames that have changed since.
    """
    facts = {
        "csv": sha256_of(reader.csv_file),
        "modality": modality,
        "num_frames": reader.num_frames,
        "smallest_side": smallest_side(modality, crop),
    }
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    clips = folder / f"{reader.csv_file.stem}-{modality}-{key}"
    facts["frames"] = reader.frames_fingerprint(modality)
    try:
        clips.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(clips, error) from error
    kept = _facts(clips / FACTS)
    if kept is None and not any(clips.glob("*.npy")):
        _replace(clips / FACTS, json.dumps(facts, indent=2) + "\n")
    elif kept != facts:
        raise UserError(
            f"{clips}: holds clips of other frames than those in {reader.folder}, which have changed since or lay "
            "elsewhere. Delete this folder, or name another with --cache"
        )
    return clips


def _facts(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _mapped(path: Path) -> np.ndarray | None:
    """The array of a file, mapped; None where it is not there or was cut short."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None


def _replace(path: Path, content: np.ndarray | str) -> None:
    """Write to a name of this process's own, then rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            if isinstance(content, str):
                file.write(content.encode())
            else:
                np.save(file, content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be written ({error.strerror}). Make room, or go on without --cache")
