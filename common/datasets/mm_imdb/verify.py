"""MM-IMDB as features: what each split holds, how often each genre occurs, and what is wrong with the file.

python -m common.verify mm_imdb FOLDER|FILE [--sizes TRAIN VALID TEST]
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import h5py
import numpy as np

from common.datasets.mm_imdb.reader import (
    DATASETS,
    SPLITS,
    blocks,
    layout_problems,
    locate,
    open_file,
    split_rows,
    split_sizes,
    target_names,
    value_problems,
)
from common.errors import UserError
from common.standins.marker import is_standin


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the check."""
    parser.add_argument("--sizes", type=int, nargs=3, metavar=("TRAIN", "VALID", "TEST"), help="default: the file's")


def run(args: Namespace) -> int:
    """Check what the flags name; returns the number of problems."""
    return verify_mm_imdb(args.folder, args.sizes and tuple(args.sizes))


def verify_mm_imdb(path: Path, sizes: tuple[int, int, int] | None = None) -> int:
    """Print what the file's three splits hold, and each problem on a line; returns the number of problems.

    path: multimodal_imdb.hdf5 or its folder; sizes: rows of train, valid and test, by default as the reader takes them.
    Raises UserError for a missing file and one that is no HDF5 file or cut short.
    """
    path = locate(path)
    with open_file(path) as file:
        problems, rows = layout_problems(file, path), None
        if not problems:
            try:
                rows = split_sizes(file, path, sizes)
            except UserError as error:
                problems.append(str(error))
        print(f"{path}: {', '.join(_form(file, name) for name in DATASETS)}{' (stand-in)' * is_standin(path.parent)}")
        if rows is not None:
            for split in SPLITS:
                problems += _verify_split(file, path, split, *split_rows(rows, split))
        problems += _repeated_films(file, path)
    print("\n".join(problems), end="\n" if problems else "")
    return len(problems)


def _form(file: h5py.File, name: str) -> str:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        return f"{name} missing"
    return f"{name} {found.dtype} {'x'.join(map(str, found.shape))}"


def _verify_split(file: h5py.File, path: Path, split: str, start: int, stop: int) -> list[str]:
    """Print the split's summary, as far as its values can be read; returns its problems."""
    print(f"{split}: {stop - start} films")
    try:
        problems = value_problems(file, path, start, stop)
        for name in DATASETS[:2]:
            print(f"  {name:12}  {_range(file[name], path, start, stop)}")
        genres = np.concatenate([block for _, block in blocks(file["genres"], path, start, stop)])
    except UserError as error:
        return [str(error)]
    bare = int((genres == 0).all(axis=1).sum())
    print(f"  genres        {genres.sum() / len(genres):.2f} a film, {bare} films without any")
    for name, share in zip(target_names(file), (genres == 1).mean(axis=0), strict=True):
        print(f"    {name:15} {share:7.2%}")
    if "needs" in file:
        print(f"    {'needs picture':15} {np.mean(file['needs'][start:stop] == 1):7.2%}")
    return problems


def _range(dataset: h5py.Dataset, path: Path, start: int, stop: int) -> str:
    """Smallest, largest and mean absolute value, share of zeros and of values that are NaN or infinite."""
    low, high, total, zeros, finite = np.inf, -np.inf, 0.0, 0, 0
    for _, block in blocks(dataset, path, start, stop):
        sound = block[np.isfinite(block)]
        if sound.size:
            low, high = min(low, float(sound.min())), max(high, float(sound.max()))
        total += float(np.abs(sound).sum(dtype=np.float64))
        zeros += int((sound == 0).sum())
        finite += sound.size
    count = (stop - start) * dataset.shape[1]
    return (
        f"from {low:.3f} to {high:.3f}, mean size {total / max(finite, 1):.3f}, {zeros / count:.1%} zero, "
        f"{count - finite} NaN or infinite"
    )


def _repeated_films(file: h5py.File, path: Path) -> list[str]:
    """A line where imdb_ids names a film in more than one row, which would let a split leak into another."""
    if not isinstance(file.get("imdb_ids"), h5py.Dataset):
        return []
    names, counts = np.unique(file["imdb_ids"][:], return_counts=True)
    if (counts == 1).all():
        return []
    first = names[counts > 1][0]
    shown = first.decode(errors="replace") if isinstance(first, bytes) else first
    return [
        f"{path}: dataset 'imdb_ids' holds {shown} twice, and {(counts > 1).sum() - 1} other films; expected one row"
    ]
