"""Small data, settings and the shortest command line of CEN's segmentation."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cen.semantic_segmentation.flags import Settings, read_flags
from common.datasets.nyudv2.standin import write_nyudv2
from common.standins.weights.standin import write_weights
from tests.support.run_folders import assert_equal

WIDTH = 4


def settings_of(*flags: str, **changes: Any) -> Settings:
    """The settings of a command line with these flags; then with these values changed."""
    return replace(read_flags([*flags]), **changes)


def write_inputs(folder: Path) -> None:
    """Eight training rooms and four others in FOLDER/rooms, ResNet-50 of width 4 in FOLDER/weights."""
    write_nyudv2(folder / "rooms", samples=8, size=(48, 64))
    write_weights(folder / "weights", depths=[50], width=WIDTH)


def command(inputs: Path, run_dir: Path, *flags: str) -> list[str]:
    """Flags of a run of three stages, 2 + 1 + 1 epochs of two steps each."""
    return [
        *("--gpu", "-1", "-d", f"{inputs}/rooms", "--val-dir", f"{inputs}/rooms", "--enc", "50"),
        *("--width", str(WIDTH), "--imagenet", f"{inputs}/weights", "--num-workers", "0", "--batch-size", "4"),
        *("--crop-size", "48", "--shorter-side", "40", "--num-epoch", "2", "1", "1", "--val-every", "1"),
        *("--lr-enc", "1e-3", "5e-4", "2e-4", "--run-dir", str(run_dir)),
        *flags,
    ]


def log_lines(run_dir: Path) -> list[str]:
    """log.txt without its first line (the command, which names the folder), times taken out."""
    lines = (run_dir / "log.txt").read_text().splitlines()[1:]
    return [re.sub(r"time spent .*min", "time spent", line) for line in lines]


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Bit for bit: weights, optimizers, random state, scores."""
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    for content in (first, second):
        content.pop("run", None)
        content.get("ours", {"stages": {}})["stages"].pop("seconds", None)
    assert_equal(first, second, one.name)
