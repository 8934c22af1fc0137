"""The file that tells a stand-in from real data: FOLDER/standin.json.

Everything that reports a number asks `is_standin`, so that a stand-in's score is never taken for the real one.
"""

import json
from pathlib import Path
from typing import Any

from common.errors import UserError

MARKER = "standin.json"


def is_standin(folder: str | Path) -> bool:
    """Whether the folder was written by `python -m common.standins`."""
    return (Path(folder) / MARKER).is_file()


def check_request(samples: int, size: tuple[int, int], smallest: tuple[int, int]) -> None:
    """Raises UserError for fewer than one sample, or pictures (height, width) below `smallest`."""
    if samples < 1:
        raise UserError(f"--samples {samples}: expected at least 1")
    if size[0] < smallest[0] or size[1] < smallest[1]:
        raise UserError(f"--size {size[0]} {size[1]}: expected at least {smallest[0]} {smallest[1]} (height width)")


def prepare_folder(folder: str | Path, dataset: str) -> Path:
    """Make the folder for a stand-in of `dataset` and return it.

    Raises UserError where it is a file, or holds anything but a stand-in of the same data set.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; expected a folder to write a stand-in into. Name another folder")
    if folder.is_dir() and any(folder.iterdir()) and _dataset_of(folder) != dataset:
        raise UserError(
            f"{folder}: holds other files than a stand-in of {dataset}; nothing was written. Name an empty folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _dataset_of(folder: Path) -> str | None:
    try:
        return json.loads((folder / MARKER).read_text(encoding="utf-8"))["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_marker(folder: str | Path, dataset: str, seed: int, samples: int, truth: dict[str, Any]) -> None:
    """Write FOLDER/standin.json.

    dataset: name as in `python -m common.standins DATASET`; samples: how many were asked for;
    truth: what was planted, as plain JSON values.
    """
    record = {
        "generator": f"python -m common.standins {dataset}",
        "dataset": dataset,
        "seed": seed,
        "samples": samples,
        "truth": truth,
    }
    (Path(folder) / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
