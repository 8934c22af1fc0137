"""What a folder of NYU Depth V2 holds: for each list the number of samples, sizes and types, the range of depth, the
share of each class, and each missing, damaged or odd file.
"""

from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datasets.images import read_colour, read_depth
from common.datasets.nyudv2.reader import (
    CLASSES,
    IGNORE,
    SPLIT_KEYS,
    UNITS_PER_METRE,
    Entry,
    Sizes,
    check_folder,
    odd_sizes,
    read_labels,
    read_list,
    read_sizes,
)
from common.errors import UserError
from common.standins.marker import is_standin

READERS = {"rgb": read_colour, "mask": read_labels, "depth": read_depth}


class Summary:
    """What the readable files of one list hold."""

    def __init__(self) -> None:
        self.forms: dict[str, Counter] = {key: Counter() for key in READERS}
        self.labels = np.zeros(IGNORE + 1, np.int64)
        self.depth_range = [np.inf, -np.inf]
        self.depth_pixels = np.zeros(2, np.int64)  # all, without depth

    def add(self, key: str, array: np.ndarray) -> None:
        """Count one array of the sample's `key`."""
        self.forms[key][f"{array.dtype} {'x'.join(map(str, array.shape))}"] += 1
        if key == "mask":
            self.labels += np.bincount(array.ravel(), minlength=IGNORE + 1)
        elif key == "depth":
            seen = array[array > 0]
            self.depth_pixels += (array.size, array.size - seen.size)
            if seen.size:
                low, high = self.depth_range
                self.depth_range = [min(low, int(seen.min())), max(high, int(seen.max()))]

    def lines(self) -> list[str]:
        """The summary as text, a line each."""
        lines = [
            f"  {key:5}  " + ", ".join(f"{form} ({count})" for form, count in forms.most_common())
            for key, forms in self.forms.items()
        ]
        if self.depth_pixels[0] > self.depth_pixels[1]:
            low, high = (value / UNITS_PER_METRE for value in self.depth_range)
            holes = self.depth_pixels[1] / self.depth_pixels[0]
            lines.append(f"  depth from {low:.3f} to {high:.3f} m (16-bit unit 1/5000 m), {holes:.1%} without depth")
        total = max(self.labels.sum(), 1)
        for label in np.flatnonzero(self.labels):
            name = "ignore" if label == IGNORE else CLASSES[label]
            lines.append(f"  {label:3}  {name:15} {self.labels[label] / total:7.2%}")
        return lines


def verify_list(folder: Path, name: str, entries: list[Entry]) -> tuple[Summary, list[str]]:
    """Read all samples of a list; returns what they hold and every problem as a line of text."""
    summary, problems = Summary(), []
    whole: list[tuple[Entry, Sizes]] = []
    for number, entry in enumerate(tqdm(entries, desc=name, disable=None), start=1):
        where = f"{name}:{number}"
        found = _read_files(folder, entry, where, summary)
        if not found:
            try:
                whole.append((entry, read_sizes(folder, entry, where)))
            except UserError as error:
                found.append(str(error))
        problems += found
    problems += odd_sizes(folder, *zip(*whole, strict=True)) if whole else []
    return summary, problems


def _read_files(folder: Path, entry: Entry, where: str, summary: Summary) -> list[str]:
    """Decode the three files of a sample one by one, so that each damaged one is named."""
    problems = []
    for key, read in READERS.items():
        try:
            summary.add(key, read(folder / getattr(entry, key)))
        except UserError as error:
            problems.append(f"{where}: {error}")
    return problems


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the check."""
    parser.add_argument("--lists", type=Path, nargs="+", help="default: FOLDER/train.txt FOLDER/val.txt, or splits.mat")


def run(args: Namespace) -> int:
    """Check what the flags name; returns the number of problems."""
    return verify_nyudv2(args.folder, args.lists)


def verify_nyudv2(folder: Path, lists: list[Path] | None = None) -> int:
    """Print what the lists of a folder hold; returns the number of problems.

    lists: list files, by themselves or inside the folder; by default train.txt and val.txt, or splits.mat.
    Raises UserError for a missing folder or list file.
    """
    check_folder(folder)
    count = 0
    for path in _list_files(folder, lists):
        for split in SPLIT_KEYS if path.suffix == ".mat" else [None]:
            name = f"{path.name} {split}" if split else path.name
            try:
                entries = read_list(path, split)
            except UserError as error:
                count += 1
                print(f"{name}: unusable\n  {error}")
                continue
            summary, problems = verify_list(folder, name, entries)
            print(f"{name}: {len(entries)} samples{' (stand-in)' if is_standin(folder) else ''}")
            print("\n".join(summary.lines() + problems))
            count += len(problems)
    return count


def _list_files(folder: Path, lists: list[Path] | None) -> list[Path]:
    if lists is None:
        texts = [Path("train.txt"), Path("val.txt")]
        splits_only = (folder / "splits.mat").is_file() and not any((folder / name).exists() for name in texts)
        lists = [Path("splits.mat")] if splits_only else texts
    paths = [path if path.is_file() else folder / path for path in lists]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such list file; name the lists with --lists")
    return paths
