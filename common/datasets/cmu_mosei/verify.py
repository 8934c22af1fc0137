"""What the pickles of CMU-MOSEI or CMU-MOSI in a folder hold: sizes, types, infinities, labels, ids, and what is wrong.

Values are judged as float32, as models get them, so that what lies beyond its range counts as infinite.
"""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.datasets.cmu_mosei.reader import (
    MODALITIES,
    SPLITS,
    SentimentSplit,
    check_file,
    dataset_of,
    file_problems,
    splits_of,
)
from common.errors import UserError
from common.pickles import load_arrays_pickle
from common.standins.marker import is_standin

PATTERNS = ("*_data.pkl", "*_data_noalign.pkl", "*_raw.pkl")
ROWS_AT_ONCE = 512  # the real files take gigabytes: no second copy of an array
PUBLISHED_SIZES = {
    "MOSI": (1284, 229, 686),
    "MOSEI, aligned": (16265, 1869, 4643),
    "MOSEI, unaligned": (16326, 1871, 4659),
}


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the check."""
    parser.add_argument("--files", nargs="+", metavar="NAME", help=f"default: {' '.join(PATTERNS)}")


def run(args: Namespace) -> int:
    """Check what the flags name; returns the number of problems."""
    return verify_sentiment(args.folder, args.files)


def verify_sentiment(folder: Path, names: list[str] | None = None) -> int:
    """Print what each file of the folder and each of its splits holds; returns the number of problems.

    names: file names in the folder; by default every file of `PATTERNS`.
    A damaged file, NaN or +inf anywhere, -inf outside of audio, and labels outside [-3, 3] are problems. -inf in audio
    (readers clean it), clips without text, repeated ids and other sizes than the published ones are notes.
    Raises UserError for a missing folder or file, and where the folder holds no such file.
    """
    return sum(_verify_file(path) for path in _files(folder, names))


def _files(folder: Path, names: list[str] | None) -> list[Path]:
    if names is None:
        found = sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})
        if not found:
            raise UserError(
                f"{folder}: {'holds none of ' + ', '.join(PATTERNS) if folder.is_dir() else 'no such folder'}; name "
                "the files with --files, or write a stand-in: python -m common.standins cmu_mosei (or cmu_mosi) "
                f"{folder}"
            )
        return found
    for name in names:
        check_file(folder / name)
    return [folder / name for name in names]


def _verify_file(path: Path) -> int:
    try:
        content = load_arrays_pickle(path)
        problems = file_problems(path, content)
    except UserError as error:
        problems = [str(error)]
    if problems:
        print("\n  ".join([f"{path.name}: unusable", *problems]))
    else:
        problems = _verify_splits(splits_of(path, content))
    return len(problems)


def _verify_splits(splits: dict[str, SentimentSplit]) -> list[str]:
    path = splits["train"].path
    print(f"{path.name}:{' (stand-in)' if is_standin(path.parent) else ''}")
    problems = []
    for name, split in splits.items():
        lines, found = describe_split(split)
        print("\n    ".join([f"  {name}: {len(split)} clips", *lines, *found]))
        problems += found
    notes = [*_size_notes(splits), *_shared_ids(splits)]
    print("".join(f"  {note}\n" for note in notes), end="")
    return problems


def describe_split(split: SentimentSplit) -> tuple[list[str], list[str]]:
    """What a split holds, and what is wrong with it, as lines."""
    lines, problems = [], []
    for key in MODALITIES:
        array = getattr(split, key)
        bad = _count_bad(array)
        counts = "".join(f", {number} {what}" for what, number in bad.items() if number)
        lines.append(f"{key:6}  {_form(array)}{counts}")
        problems += [
            f"{split.path}: split '{split.name}', '{key}': {number} entries are {what}; expected finite numbers"
            for what, number in bad.items()
            if number and (key, what) != ("audio", "-inf")
        ]
    silent = sum(int((~rows.any(axis=(1, 2))).sum()) for rows in _chunks(split.text))
    lines += [f"{silent} clips whose text is all zero"] if silent else []
    lines += _label_lines(split.labels)
    lines += [f"{key:6}  {_form(array)} (further array)" for key, array in split.extra.items()]
    lines += _id_lines(split.ids)
    outside = ~(np.abs(split.labels) <= 3)
    if outside.any():
        problems.append(
            f"{split.path}: split '{split.name}': {int(outside.sum())} labels outside [-3, 3] or not a number, the "
            f"first in row {int(outside.ravel().argmax())} ({split.labels[outside][0]:g})"
        )
    return lines, problems


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    return (array[start : start + ROWS_AT_ONCE] for start in range(0, len(array), ROWS_AT_ONCE))


def _count_bad(array: np.ndarray) -> dict[str, int]:
    """How many entries are -inf, +inf and NaN as float32."""
    counts = Counter({"-inf": 0, "+inf": 0, "NaN": 0})
    for rows in _chunks(array):
        with np.errstate(over="ignore", invalid="ignore"):
            rows = rows.astype(np.float32, copy=False)
        odd = rows[~np.isfinite(rows)]
        for what, found in (("-inf", odd == -np.inf), ("+inf", odd == np.inf), ("NaN", np.isnan(odd))):
            counts[what] += int(found.sum())
    return dict(counts)


def _form(array: np.ndarray) -> str:
    return f"{array.dtype} {'x'.join(map(str, array.shape))}"


def _label_lines(labels: np.ndarray) -> list[str]:
    known = labels[np.isfinite(labels)]
    if not known.size:
        return [f"labels  {_form(labels)}, none a number"]
    # np.rint rounds half to even, as the published seven-class accuracy does
    classes = np.rint(np.clip(known, -3, 3)).astype(int)
    histogram = ", ".join(f"{score:+d}: {int((classes == score).sum())}" for score in range(-3, 4))
    return [
        f"labels  {_form(labels)} from {known.min():g} to {known.max():g}, {int((known == 0).sum())} exactly zero",
        f"        seven classes  {histogram}",
    ]


def _id_lines(ids: np.ndarray | None) -> list[str]:
    if ids is None:
        return ["no ids"]
    repeated = sum(count - 1 for count in Counter(map(repr, ids.tolist())).values())
    return [f"id      {_form(ids)}, {repeated} repeated" if repeated else f"id      {_form(ids)}, each once"]


def _shared_ids(splits: dict[str, SentimentSplit]) -> list[str]:
    """Notes on ids that stand in two splits."""
    known = {name: set(map(repr, split.ids.tolist())) for name, split in splits.items() if split.ids is not None}
    pairs = [(a, b) for a in known for b in known if SPLITS.index(a) < SPLITS.index(b)]
    return [f"note: {len(known[a] & known[b])} ids stand in {a} and in {b}" for a, b in pairs if known[a] & known[b]]


def _size_notes(splits: dict[str, SentimentSplit]) -> list[str]:
    name = splits["train"].path.name
    aligned = "unaligned" if "noalign" in name else "aligned"
    kind = "MOSI" if dataset_of(name) == "cmu_mosi" else f"MOSEI, {aligned}"
    sizes = tuple(len(split) for split in splits.values())
    if sizes == PUBLISHED_SIZES[kind]:
        return []
    here, published = ("/".join(map(str, counts)) for counts in (sizes, PUBLISHED_SIZES[kind]))
    return [f"note: {here} clips in {', '.join(SPLITS)}; commonly published ({kind}): {published}"]
