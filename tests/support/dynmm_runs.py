"""Small data and the shortest command lines of DynMM's modality-level scripts, for tests that run whole commands."""

import contextlib
import importlib
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from common import cuda
from common.datasets.cmu_mosei.standin import write_cmu_mosei
from common.datasets.mm_imdb.standin import write_mm_imdb
from common.processes import process_group, processes
from dynmm.modality.flags import ModalitySettings
from tests.support.run_folders import assert_equal

NARROW = "16"
SCRIPTS = ("imdb_uni", "imdb_mm", "imdb_dyn", "affect_uni", "affect_mm", "affect_dyn")


def write_data(folder: Path) -> None:
    """96 + 24 + 48 films in FOLDER/films, 32 + 16 + 32 clips in FOLDER/clips (some without text)."""
    write_mm_imdb(folder / "films", samples=96)
    write_cmu_mosei(folder / "clips", samples=32, layout="multibench")


def command(script: str, inputs: Path, run_dir: Path, *flags: str) -> list[str]:
    """Flags of two epochs of six (films) or four (clips) steps with narrow networks; experts in INPUTS/log."""
    films = script.startswith("imdb")
    data = ("films", "--batch-size", "16") if films else ("clips", "--batch-size", "8", "--lr", "1e-3")
    return [
        *("--gpu", "-1", "--narrow", NARROW, "--n-epochs", "2", "--run-dir", str(run_dir)),
        *("--log-dir", f"{inputs}/log", "--data-path", f"{inputs}/{data[0]}", *data[1:]),
        *flags,
    ]


def run(script: str, inputs: Path, run_dir: Path, *flags: str) -> None:
    """Run a script in this process."""
    importlib.import_module(f"dynmm.modality.{script}").main(command(script, inputs, run_dir, *flags))


def settings(script: str, *argv: str, **given: Any) -> ModalitySettings:
    """The settings of a script's command line, with these values in their place."""
    return replace(importlib.import_module(f"dynmm.modality.{script}").read_flags(argv), **given)


def train_experts(inputs: Path, runs: Path) -> None:
    """What the dynamic scripts start from."""
    run("imdb_uni", inputs, runs / "imdb_uni")
    run("imdb_mm", inputs, runs / "imdb_mm", "--fuse", "1")
    run("affect_uni", inputs, runs / "affect_uni")
    run("affect_mm", inputs, runs / "affect_mm")


def metrics(run_dir: Path, split: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]


def final(run_dir: Path, protocol: str = "official") -> dict[str, Any]:
    return next(line for line in metrics(run_dir, "test") if line.get("final") and line["protocol"] == protocol)


def log_lines(run_dir: Path) -> list[str]:
    """log.txt without its first line (the command, which names the folder), times and memory taken out."""
    lines = (run_dir / "log.txt").read_text().splitlines()[1:]
    return [re.sub(r"^(Training (Time|Peak Mem)).*", r"\1", line) for line in lines]


def assert_same_checkpoint(one: Path, other: Path) -> None:
    """Bit for bit: weights, optimizer, random state, early stopping; not how long it took."""
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    for content in (first, second):
        content.pop("run", None)
        content.get("ours", {}).pop("seconds", None)
    assert_equal(first, second, one.name)


def main() -> None:
    """Run several scripts one after the other: argument "[[script, [flag, ...]], ...]"; torchrun starts this.

    A process group cannot be made twice in one launch: one for all.
    """
    with process_group(torch.device("cpu"), processes()):
        cuda.process_group = lambda *_: contextlib.nullcontext()
        for script, argv in json.loads(sys.argv[1]):
            importlib.import_module(f"dynmm.modality.{script}").main(argv)


if __name__ == "__main__":
    main()
