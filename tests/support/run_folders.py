"""What tests of all papers ask of run folders: records, equality bit for bit, refusals that leave them alone."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from common.errors import UserError
from common.processes import Processes


class RememberedRun:
    """Stands for a Run: keeps what is printed, recorded and saved; pictures go to a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path()
        self.device, self.procs = torch.device("cpu"), Processes()
        self.images, self.last, self.best = folder, folder / "last.pt", folder / "best.pt"
        self.printed, self.recorded, self.saved = [], [], []

    def print(self, line=""):
        self.printed.append(line)

    def note(self, line=""):
        pass

    def autocast(self):
        return nullcontext()

    def progress(self, batches, what):
        return iter(batches)

    def record(self, epoch, split, *, final=False, **metrics):
        self.recorded.append({"epoch": epoch, "split": split, **metrics, **({"final": True} if final else {})})

    def history(self, split):
        return [entry for entry in self.recorded if entry["split"] == split]

    def trained(self, epoch, samples, seconds):
        pass

    def save(self, epoch, state, best=None):
        self.saved.append(deepcopy((epoch, state, best)))


def facts(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "run.json").read_text())


def metrics(run_dir: Path, split: str, final: bool = False) -> list[dict[str, Any]]:
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split and bool(line.get("final")) == final]


def finals(run_dir: Path) -> dict[str, dict[str, Any]]:
    """The final scores of each protocol."""
    return {line.pop("protocol"): line for line in metrics(run_dir, "test", final=True)}


def checkpoint(run_dir: Path, name: str = "last.pt") -> dict[str, Any]:
    return torch.load(run_dir / "checkpoints" / name, weights_only=True)


def assert_same_checkpoint(one: Path, other: Path, name: str, *without: str) -> None:
    """Two runs' files bit for bit; not how long the log was and how long it took, nor the entries `without`."""
    first, second = checkpoint(one, name), checkpoint(other, name)
    for content in (first, second):
        for entry in ("run", *without):
            content.pop(entry, None)
    assert_equal(first, second, name)


def assert_equal(one: Any, other: Any, where: str) -> None:
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{where}/{index}")
    else:
        assert one == other, where


def earlier_run(folder: Path) -> Path:
    """The folder of a run that must stay as it is."""
    folder.mkdir()
    (folder / "run.json").write_text('{"state": "failed"}')
    (folder / "log.txt").write_text("an earlier run\n")
    return folder


def refusal(run_dir: Path, call: Callable[[], object]) -> str:
    """The message with which a command is refused; one line, and the run folder as it was."""
    before = contents(run_dir)
    with pytest.raises(UserError) as caught:
        call()
    assert contents(run_dir) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
