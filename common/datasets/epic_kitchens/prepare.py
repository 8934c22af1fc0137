"""Make train.csv, val.csv and test.csv from the official annotations of EPIC-KITCHENS-100.

    python -m common.prepare epic_kitchens EPIC_100_train.csv EPIC_100_validation.csv OUT

reads the two files of github.com/epic-kitchens/epic-kitchens-100-annotations (CC BY-NC 4.0: credit, link, no commercial
use), keeps kitchens P01, P08, P22 and the eight most frequent verbs, and writes the published split to OUT. It prints
for each file the segments, in all and by kitchen and verb, and whether it is the published one by its SHA-256. It ends
with

    wrote OUT: all three files are the published ones

or, where one differs, with exit status 2 (0 with --allow-different).
"""

import csv
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.datasets.epic_kitchens.reader import FIELDS
from common.datasets.epic_kitchens.subset import (
    KITCHENS,
    LABEL,
    LEFT_OUT,
    PUBLISHED,
    SHORTEST,
    VALIDATION_VIDEOS,
    VERBS,
    Published,
)
from common.errors import UserError
from common.hashing import sha256_of

COLUMNS = (*FIELDS, LABEL)
SOURCE_COLUMNS = (*FIELDS, "verb_class")
Row = tuple[str, str, str, int, int, int]  # as COLUMNS


def read_annotations(path: str | Path) -> list[Row]:
    """The rows of an official file, in order, of the three kitchens and the eight verbs.

    Raises UserError for a missing file, missing columns, and frames or classes that are no whole numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected EPIC_100_train.csv or EPIC_100_validation.csv of "
            "github.com/epic-kitchens/epic-kitchens-100-annotations"
        )
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            missing = [name for name in SOURCE_COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise UserError(f"{path}: no column {', '.join(missing)}; expected the official annotations")
            rows = [_row(f"{path}:{table.line_num}", entry) for entry in table]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a csv file in UTF-8 ({error})") from error
    return [row for row in rows if row[1] in KITCHENS and 0 <= row[5] < len(VERBS)]


def _row(where: str, entry: Mapping[str, str]) -> Row:
    narration, participant, video, *numbers = (entry[name] for name in SOURCE_COLUMNS)
    try:
        start, stop, verb = map(int, numbers)
        return narration, participant, video, start, stop, verb
    except (TypeError, ValueError) as error:
        found = ", ".join(f"{name} {entry[name]!r}" for name in SOURCE_COLUMNS[3:])
        raise UserError(f"{where}: {found[:200]}; expected whole numbers") from error


def training_rows(rows: Iterable[Row]) -> list[Row]:
    """Rows of the official training file as the published split keeps them.

    Segments below 16 frames are dropped, then the first that is left of every video, then one more.
    """
    kept, begun = [], set()
    for row in rows:
        narration, _, video, start, stop, _ = row
        if stop - start + 1 < SHORTEST:
            continue
        if video in begun and narration not in LEFT_OUT:
            kept.append(row)
        begun.add(video)
    return kept


def split_rows(train: Iterable[Row], validation: Iterable[Row]) -> dict[str, list[Row]]:
    """train, val and test of the rows of the official training and validation files."""
    kept = training_rows(train)
    return {
        "train": [row for row in kept if row[2] not in VALIDATION_VIDEOS],
        "val": [row for row in kept if row[2] in VALIDATION_VIDEOS],
        "test": list(validation),
    }


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a file in the published form: the header, LF line ends."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def report(path: Path, rows: list[Row], published: Published) -> str:
    """Print what a written file holds beside what the published one does; returns how it differs, "" if it does not."""
    kitchens, verbs = (Counter(row[column] for row in rows) for column in (1, 5))
    found = ([kitchens[name] for name in KITCHENS], [verbs[verb] for verb in range(len(VERBS))])
    expected = (list(published.kitchens), list(published.verbs))
    print(f"{path}: {len(rows)} segments, published {sum(published.kitchens)}")
    for names, here, there in zip((KITCHENS, VERBS), found, expected, strict=True):
        print("  " + ", ".join(f"{name} {a} ({b})" for name, a, b in zip(names, here, there, strict=True)))
    sha256 = sha256_of(path)
    print(
        f"  sha256 {sha256}" + (": as published" if sha256 == published.sha256 else f", published {published.sha256}")
    )
    if sha256 == published.sha256:
        return ""
    return f"{path.name} ({len(rows)} segments, {'the same' if found == expected else 'other'} counts)"


def add_flags(parser: ArgumentParser) -> None:
    """Two files in, a folder out."""
    add = parser.add_argument
    add("train", type=Path, help="EPIC_100_train.csv")
    add("validation", type=Path, help="EPIC_100_validation.csv")
    add("out", type=Path, help="folder for train.csv, val.csv and test.csv")
    add("--allow-different", action="store_true", help="end well where a file is not the published one")


def run(args: Namespace) -> None:
    """Write the three files. Raises UserError for bad input, and where one is not the published one."""
    splits = split_rows(read_annotations(args.train), read_annotations(args.validation))
    args.out.mkdir(parents=True, exist_ok=True)
    differing = []
    for split, rows in splits.items():
        path = args.out / f"{split}.csv"
        write_rows(path, rows)
        differing.append(report(path, rows, PUBLISHED[split]))
    differing = [text for text in differing if text]
    if differing and not args.allow_different:
        raise UserError(
            f"{args.out}: written, but not the published split: {', '.join(differing)}. Check the version of the "
            "annotations, or accept it with --allow-different"
        )
    said = f"not the published ones: {', '.join(differing)}" if differing else "all three files are the published ones"
    print(f"wrote {args.out}: {said}")
