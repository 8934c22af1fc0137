"""MM-IMDB as features: multimodal_imdb.hdf5, a film a row, the splits one after the other (train, dev, test).

    features       (N, 300)   float32  mean of the word2vec vectors of the plot's words
    vgg_features   (N, 4096)  float32  second fully connected layer of VGG-16 on the poster
    genres         (N, 23)    int32    0 or 1, classes by falling frequency; attribute target_names (a JSON list)
    imdb_ids       (N,)       bytes    not needed by the reader
    needs          (N,)       int8     in stand-ins only: 0 = the text decides the genres, 1 = the picture is needed

The real file holds 25 959 films and more datasets (images, sequences, ...), which are left alone.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from torch.utils.data import Dataset

from common.errors import UserError

FILE = "multimodal_imdb.hdf5"
SPLITS = ("train", "valid", "test")
PUBLISHED_SIZES = (15552, 2608, 7799)
DATASETS = ("features", "vgg_features", "genres")
WIDTHS = (300, 4096, 23)
BLOCK = 1024  # rows read at once where a whole split is scanned


class MMIMDB(Dataset):
    """One split of multimodal_imdb.hdf5.

    path: the file, or the folder that holds it under this name; split: "train", "valid" or "test".
    sizes: rows of the three splits; None takes them from the file (`split_sizes`).
    widths: columns expected of features, vgg_features and genres.
    Item: (text float32 (300,), image float32 (4096,), genres float32 (23,), each 0 or 1).

    Opening reads the split once. It raises UserError for a missing or damaged file, a missing dataset, another width
    or type, unequal rows, sizes that do not add up, NaN or infinite features and genres other than 0 and 1.
    No handle is kept from opening: every process opens the file at its first item, so that workers share nothing.
    """

    def __init__(
        self,
        path: str | Path,
        split: str,
        sizes: tuple[int, int, int] | None = None,
        widths: tuple[int, int, int] = WIDTHS,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
        self.path, self.split = locate(path), split
        self._file: h5py.File | None = None
        self._process = -1
        with open_file(self.path) as file:
            _raise_first(layout_problems(file, self.path, widths))
            self.start, self.stop = split_rows(split_sizes(file, self.path, sizes), split)
            _raise_first(value_problems(file, self.path, self.start, self.stop))
            self.target_names = target_names(file)
            self.needs: np.ndarray | None = None
            if "needs" in file:
                self.needs = np.asarray(file["needs"][self.start : self.stop], np.int8)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.path.parent

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        row = range(self.start, self.stop)[index]
        file = self._own_file()
        text, image, genres = (read_rows(file[name], row, self.path) for name in DATASETS)
        return text, image, genres

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The whole split: text (n, 300), image (n, 4096), genres (n, 23), all float32; 273 MB for the real train."""
        with open_file(self.path) as file:
            rows = slice(self.start, self.stop)
            text, image, genres = (read_rows(file[name], rows, self.path) for name in DATASETS)
        return text, image, genres

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) over the split's name and all values that are read of it.

        Other datasets do not count: the real file's images alone would take a minute to hash.
        """
        digest = hashlib.sha256(f"{self.split} {len(self)}".encode())
        with open_file(self.path) as file:
            for name in DATASETS:
                for _, block in blocks(file[name], self.path, self.start, self.stop):
                    digest.update(np.ascontiguousarray(block, "<f4").data)
        return digest.hexdigest()

    def _own_file(self) -> h5py.File:
        """This process's handle. One that came over a fork shares its file position, so it is closed first."""
        if self._file is not None and self._process != os.getpid():
            self._file.close()
            self._file = None
        if self._file is None:
            self._file, self._process = open_file(self.path), os.getpid()
        return self._file

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}


def locate(path: str | Path) -> Path:
    """The data file for a file or a folder. Raises UserError, with where to get one, if it is not there."""
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        folder = path.parent if path.suffix else path
        raise UserError(
            f"{path}: no such file; expected {FILE}, as make_dataset.py of johnarevalo/gmu-mmimdb builds it (the "
            "original links are dead, archive.org keeps copies) or prepare_mm_imdb from the raw release; a stand-in: "
            f"python -m common.standins mm_imdb {folder}"
        )
    return path


def open_file(path: Path) -> h5py.File:
    """Open for reading. Raises UserError for a file that is no HDF5 file, is cut short or cannot be read."""
    try:
        if not h5py.is_hdf5(path):
            raise UserError(f"{path}: not an HDF5 file ({path.stat().st_size} bytes); expected {FILE}. Copy it again")
        return h5py.File(path, "r")
    except OSError as error:
        found = "truncated: cut short while it was copied" if "truncated" in str(error) else "damaged or unreadable"
        raise UserError(f"{path}: {found} ({error}). Copy it again") from error


def layout_problems(file: h5py.File, path: Path, widths: tuple[int, int, int] = WIDTHS) -> list[str]:
    """A line for each missing dataset, unexpected width or type, and for unequal rows; empty if all is well."""
    problems, rows = [], {}
    for name, width in zip(DATASETS, widths, strict=True):
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            problems.append(f"{path}: no dataset '{name}'; found {', '.join(sorted(file)) or 'none'}")
        elif dataset.ndim != 2 or dataset.shape[1] != width:
            problems.append(f"{path}: dataset '{name}' has shape {dataset.shape}, expected (N, {width})")
        elif dataset.dtype.kind not in "fiub":
            problems.append(f"{path}: dataset '{name}' has type {dataset.dtype}, expected numbers")
        else:
            rows[name] = dataset.shape[0]
    if "needs" in file:
        rows["needs"] = file["needs"].shape[0]
    if len(set(rows.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in rows.items())
        problems.append(f"{path}: unequal numbers of rows: {found}; expected one row a film in each")
    return problems


def split_sizes(file: h5py.File, path: Path, sizes: tuple[int, int, int] | None = None) -> tuple[int, int, int]:
    """Rows of train, valid and test.

    Taken from the first that is there: `sizes`; the file's attribute "sizes" (stand-ins, prepare_mm_imdb); its
    attribute "split", as Fuel writes it; the published 15552, 2608, 7799.
    Raises UserError where they do not add up to the file's rows.
    """
    found, source = _stored_sizes(file) if sizes is None else (sizes, "--sizes")
    rows = file["features"].shape[0]
    if len(found) != 3 or min(found) < 1 or sum(found) != rows:
        raise UserError(
            f"{path}: {rows} rows, but {source} {' '.join(map(str, found))} make {sum(found)}; expected rows of train, "
            "valid and test that add up. Give them with --sizes TRAIN VALID TEST"
        )
    train, valid, test = found
    return train, valid, test


def _stored_sizes(file: h5py.File) -> tuple[tuple[int, ...], str]:
    if "sizes" in file.attrs:
        return tuple(int(size) for size in np.ravel(file.attrs["sizes"])), "the file's attribute sizes"
    ranges = _fuel_ranges(file.attrs.get("split"))
    found = [ranges.get("train"), ranges.get("dev", ranges.get("valid")), ranges.get("test")]
    parts = [part for part in found if part is not None]
    if len(parts) == 3 and [start for start, _ in parts] == [0, parts[0][1], parts[1][1]]:
        return tuple(stop - start for start, stop in parts), "the file's attribute split"
    return PUBLISHED_SIZES, "the published sizes"


def _fuel_ranges(split: object) -> dict[str, tuple[int, int]]:
    """{split: (first row, row after the last)} of the features, from the table that Fuel writes."""
    if not isinstance(split, np.ndarray) or not {"split", "source", "start", "stop"} <= set(split.dtype.names or ()):
        return {}
    return {
        _text(entry["split"]): (int(entry["start"]), int(entry["stop"]))
        for entry in split
        if _text(entry["source"]) == "features"
    }


def split_rows(sizes: tuple[int, int, int], split: str) -> tuple[int, int]:
    """First row of a split and the first one after it."""
    place = SPLITS.index(split)
    return sum(sizes[:place]), sum(sizes[: place + 1])


def read_rows(dataset: h5py.Dataset, rows: int | slice, path: Path) -> np.ndarray:
    """One row (w,) or a range of rows (n, w) as float32. Raises UserError where the file is damaged there."""
    try:
        return np.asarray(dataset[rows], np.float32)
    except OSError as error:
        name = dataset.name.lstrip("/")
        raise UserError(
            f"{path}: dataset '{name}' cannot be read ({error}); the file is damaged. Copy it again"
        ) from error


def blocks(dataset: h5py.Dataset, path: Path, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float32 (at most BLOCK, w)) over rows start..stop-1."""
    for first in range(start, stop, BLOCK):
        yield first, read_rows(dataset, slice(first, min(first + BLOCK, stop)), path)


def value_problems(file: h5py.File, path: Path, start: int, stop: int) -> list[str]:
    """A line for each dataset with NaN, infinite features or genres other than 0 and 1 in rows start..stop-1."""
    problems = []
    for name in DATASETS:
        bad, example = [], 0.0
        for first, block in blocks(file[name], path, start, stop):
            wrong = (block != 0) & (block != 1) if name == "genres" else ~np.isfinite(block)
            if wrong.any():
                bad += (first + np.flatnonzero(wrong.any(axis=1))).tolist()
                example = block[wrong][0]
        if bad:
            expected = "0 or 1" if name == "genres" else "finite numbers"
            more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
            problems.append(
                f"{path}: dataset '{name}' holds {example:g} in row {bad[0]}{more}; expected {expected}. "
                "Take the file from its source again"
            )
    return problems


def target_names(file: h5py.File) -> tuple[str, ...]:
    """Names of the genres' columns: the attribute target_names of genres or of the file, else "genre 0", ..."""
    width = file["genres"].shape[1]
    stored = file["genres"].attrs.get("target_names", file.attrs.get("target_names"))
    try:
        names = tuple(str(name) for name in json.loads(_text(stored)))
    except (TypeError, ValueError):
        names = ()
    return names if len(names) == width else tuple(f"genre {column}" for column in range(width))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _raise_first(problems: list[str]) -> None:
    if problems:
        raise UserError(problems[0])
