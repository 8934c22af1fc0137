"""CMU-MOSEI and CMU-MOSI, as the releases of MulT and of MultiBench pickle them.

    FILE: {"train" | "valid" | "test": {"text", "audio", "vision", "labels"[, "id"]}}

    text    (N, L_l, d_l)   word vectors (GloVe: 300), one a word
    audio   (N, L_a, d_a)   COVAREP: 74 (MOSEI) or 5 (MOSI); may hold -inf
    vision  (N, L_v, d_v)   Facet: 35 (MOSEI) or 20 (MOSI)
    labels  (N, 1, 1)       sentiment in [-3, 3]
    id      (N, k)          byte strings, strings or numbers, where there are any

Sequences are zero padded: the unaligned ones of MulT behind, the aligned ones of MultiBench in front. Lengths and
widths come from the arrays, the numbers above are the published ones. Splits may hold further arrays.
No torch here. Dropping clips, cutting and normalising belong to the papers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.hashing import sha256_of
from common.pickles import load_arrays_pickle

SPLITS = ("train", "valid", "test")
MODALITIES = ("text", "audio", "vision")
KEYS = (*MODALITIES, "labels")


@dataclass(frozen=True, eq=False)
class SentimentSplit:
    """One split of a file, with the file's dtypes and values (-inf in audio: `clean_audio`).

    name: train, valid or test. path: the pickle. text, audio, vision (N, L, d) and labels (N, 1, 1): numbers.
    ids: (N, k), bytes, str or numbers as in the file, or None. extra: the split's other arrays with N rows, such as
    text_bert (N, 3, T).
    """

    name: str
    path: Path
    text: np.ndarray
    audio: np.ndarray
    vision: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None
    extra: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def folder(self) -> Path:
        """Where the file lies."""
        return self.path.parent

    @property
    def lengths(self) -> tuple[int, int, int]:
        """Steps of text, audio and vision."""
        return tuple(getattr(self, key).shape[1] for key in MODALITIES)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Features a step of text, audio and vision."""
        return tuple(getattr(self, key).shape[2] for key in MODALITIES)

    def fingerprint(self) -> str:
        """The split's name and the SHA-256 of the whole file, which is computed once for the three splits."""
        stat = self.path.stat()
        return f"{self.name}:{_sha256_once(self.path, stat.st_size, stat.st_mtime_ns)}"


@lru_cache(maxsize=16)
def _sha256_once(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


def read_sentiment_file(path: Path, missing_hint: str = "") -> dict[str, SentimentSplit]:
    """The splits train, valid and test of a file, in this order; their arrays are the loaded ones, not copied.

    missing_hint: ends the message about a missing file.
    Raises UserError for a missing file, one that is no pickle of arrays, and the first of `file_problems`.
    """
    path = Path(path)
    check_file(path, missing_hint)
    content = load_arrays_pickle(path)
    problems = file_problems(path, content)
    if problems:
        more = f"python -m common.verify {dataset_of(path.name)} {path.parent} --files {path.name}"
        raise UserError(f"{problems[0]}. What else there is: {more}")
    return splits_of(path, content)


def check_file(path: Path, missing_hint: str = "") -> None:
    """Raises UserError where there is no such file: what is expected, where it comes from, and the stand-in."""
    if path.is_file():
        return
    others = sorted(other.name for other in path.parent.glob("*.pkl"))
    found = f"its folder holds {', '.join(others)}" if others else "its folder holds no .pkl file"
    raise UserError(
        f"{path}: no such file ({found if path.parent.is_dir() else 'its folder is not there'}); expected "
        f"{path.name}, a pickle of the splits {', '.join(SPLITS)} with the arrays {', '.join(KEYS)}. The real data: "
        f"MulT's archive, or MultiBench's drive for {dataset_of(path.name)}; a stand-in: python -m common.standins "
        f"{dataset_of(path.name)} {path.parent}{' ' + missing_hint if missing_hint else ''}"
    )


def dataset_of(name: str) -> str:
    """cmu_mosi or cmu_mosei, by a file's name."""
    return "cmu_mosi" if "mosi" in name.lower() else "cmu_mosei"


def file_problems(path: Path, content: Any) -> list[str]:
    """What keeps a file's content from being the three splits, each as a line that names file, split and key.

    Missing or empty splits and keys, values that are no arrays of numbers, wrong numbers of axes, unequal numbers of
    rows, and lengths or widths that differ between splits.
    """
    if not isinstance(content, Mapping):
        return [f"{path}: holds a {type(content).__name__}; expected a dict with the keys {', '.join(SPLITS)}"]
    problems = []
    for name in SPLITS:
        if name not in content:
            found = ", ".join(map(repr, content)) or "none"
            problems.append(f"{path}: no split '{name}'; found the keys {found[:200]}, expected {', '.join(SPLITS)}")
        else:
            problems += _split_problems(f"{path}: split '{name}'", content[name])
    return problems or _differing_forms(path, content)


def _split_problems(where: str, split: Any) -> list[str]:
    if not isinstance(split, Mapping):
        return [f"{where}: is a {type(split).__name__}; expected a dict with the keys {', '.join(KEYS)}"]
    problems = []
    for key in KEYS:
        problem = _array_problem(key, split[key]) if key in split else f"no array '{key}'"
        if problem:
            found = "" if key in split else f"; found {', '.join(map(repr, split)) or 'none'}"
            problems.append(f"{where}: {problem}{found[:200]}")
    return problems or _unequal_rows(where, split)


def _array_problem(key: str, array: Any) -> str:
    """What is wrong with one of the four arrays, or nothing."""
    if not isinstance(array, np.ndarray):
        return f"'{key}' is a {type(array).__name__}; expected an array of numbers"
    if array.dtype.kind not in "fiu":
        return f"array '{key}' is of type {array.dtype}; expected numbers"
    shape = "(N, 1, 1)" if key == "labels" else "(N, steps, features)"
    if array.ndim != 3 or (key == "labels" and array.shape[1:] != (1, 1)):
        return f"array '{key}' has the shape {array.shape}; expected {shape}"
    if array.size == 0:
        return f"array '{key}' is empty: {array.shape}; expected {shape} with at least one of each"
    return ""


def _unequal_rows(where: str, split: Mapping[str, Any]) -> list[str]:
    rows = len(split["text"])
    counts = {key: len(split[key]) for key in ("audio", "vision", "labels")}
    problems = []
    if split.get("id") is not None:
        ids = _ids(split["id"])
        if ids is None:
            problems.append(f"{where}: 'id' is a {type(split['id']).__name__} that is no table; expected rows of ids")
        else:
            counts["id"] = len(ids)
    problems += [
        f"{where}: array '{key}' has {count} rows, 'text' has {rows}; expected equal numbers"
        for key, count in counts.items()
        if count != rows
    ]
    return problems


def _differing_forms(path: Path, content: Mapping[str, Any]) -> list[str]:
    """Lengths or widths of valid and test that are not those of train."""
    problems = []
    for name in SPLITS[1:]:
        for key in MODALITIES:
            found, expected = (content[split][key].shape[1:] for split in (name, "train"))
            if found != expected:
                problems.append(
                    f"{path}: split '{name}': array '{key}' has {found[0]} steps of {found[1]} features, in 'train' "
                    f"{expected[0]} of {expected[1]}; expected the same. Take all splits from one release"
                )
    return problems


def splits_of(path: Path, content: Mapping[str, Any]) -> dict[str, SentimentSplit]:
    """The splits of a file's content that has no `file_problems`."""
    return {name: _split(name, path, content[name]) for name in SPLITS}


def _split(name: str, path: Path, split: Mapping[str, Any]) -> SentimentSplit:
    rows = len(split["labels"])
    extra = {
        key: value
        for key, value in split.items()
        if key not in (*KEYS, "id") and isinstance(value, np.ndarray) and value.ndim and len(value) == rows
    }
    arrays = {key: split[key] for key in KEYS}
    ids = None if split.get("id") is None else _ids(split["id"])
    return SentimentSplit(name=name, path=path, ids=ids, extra=extra, **arrays)


def _ids(value: Any) -> np.ndarray | None:
    """(N, k); a list of names, as some releases have it, becomes one column. None where it is no table."""
    try:
        ids = np.asarray(value)
    except ValueError:
        return None
    if ids.ndim == 0:
        return None
    return ids if ids.ndim == 2 else ids.reshape(len(ids), -1)


def clean_audio(audio: np.ndarray) -> np.ndarray:
    """A float32 copy in which every -inf is 0; +inf and NaN stay. The argument is left as it is.

    What lies below the range of float32 becomes -inf in the cast, and so 0; above it, +inf.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        clean = audio.astype(np.float32)
    np.copyto(clean, 0, where=clean == -np.inf)
    return clean
