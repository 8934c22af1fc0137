"""A small paper of its own, and run folders as the scripts write them."""

import copy
import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from reproductions.report.reported import load

HEAD = {
    "paper": "duet",
    "title": "Duet",
    "citation": "Somebody, Duet, 2020",
    "sources": {"P": "the paper", "M": "memory"},
    "metrics": {
        "acc": {"label": "acc", "unit": "%", "direction": "higher", "digits": 1, "margin": 0.5},
        "fid": {"label": "FID", "unit": "", "direction": "lower", "digits": 2, "margin": 2.0},
    },
    "seeds": [1, 2, 3, 4, 5],
    "held_to": {"duet.main": ["depth", "rates", "flip"]},
    "evaluation_flags": ["depth"],
    "rows": {
        "full": {
            "dataset": "toy",
            "samples": [100, 20],
            "quirks": {"picture": ["official", "fixed"]},
            "components": ["gate", "loss"],
            "headline": "acc",
        },
        "again": {"same_as": "full"},
    },
}
ROWS = """
# Duet's rows
full | both voices | duet.main --depth 3
"""
ENTRY = {
    "table": "Table 1",
    "row": "Duet",
    "dataset": "toy",
    "metric": "acc",
    "value": 51.1,
    "printed": "51.1",
    "statistic": "single",
    "n": None,
    "source": "P",
    "status": "read",
    "row_id": "full",
}
OTHER = {**ENTRY, "row": "Solo", "row_id": None, "not_run": "another method", "value": 40.0, "printed": "40.0"}
RUN = {
    "paper": "duet",
    "script": "main",
    "name": "exp",
    "row": "full",
    "command": "python -m duet.main --depth 3 --name exp",
    "args": {"depth": 3, "rates": [0.1, 0.2], "flip": True, "gpu": [0]},
    "quirks": {"skip": "official", "picture": "fixed"},
    "seed": 1,
    "git": {"revision": "0123456789abcdef", "clean": True},
    "packages": {"torch": "2.13.0"},
    "python": "3.11.9",
    "device": {"type": "cuda", "name": "Some GPU", "capability": "9.0", "cores": 16, "processes": 1},
    "precision": "fp32",
    "deterministic": True,
    "dataset": {"name": "toy", "folder": "data/toy", "fingerprint": "feedbeef", "samples": [100, 20], "standin": False},
    "weights": {"file": "resnet.pth", "sha256": "abc", "published": True, "standin": False},
    "checkpoint": None,
    "evaluate": False,
    "started": "2030-01-01T00:00:00+00:00",
    "ended": "2030-01-01T01:00:00+00:00",
    "wall_seconds": 3600.0,
    "peak_memory_bytes": 2**30,
    "samples_per_second": 12.5,
    "shortened": False,
    "state": "finished",
    "why": None,
}


@pytest.fixture
def entry():
    """One printed number of Duet, as in the file."""
    return copy.deepcopy(ENTRY)


@pytest.fixture
def write_paper(tmp_path):
    """Call it with entries (default: one), the rows' file and changes of the head.

    It writes reported/duet.yaml and tables/duet.rows and returns the path of the first.
    """

    def write(*entries: dict, rows_file: str = ROWS, **head: object) -> Path:
        content = {**copy.deepcopy(HEAD), **head, "numbers": list(entries or [ENTRY])}
        for name, text in (("reported/duet.yaml", yaml.safe_dump(content)), ("tables/duet.rows", rows_file)):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path / "reported" / "duet.yaml"

    return write


@pytest.fixture(autouse=True)
def duet_main(monkeypatch):
    """Duet's script: what compare asks of one is that its flags can be read."""
    script = ModuleType("duet.main")
    script.read_flags = _duet_flags
    monkeypatch.setitem(sys.modules, "duet", ModuleType("duet"))
    monkeypatch.setitem(sys.modules, "duet.main", script)


def _duet_flags(argv):
    flags = ArgumentParser()
    flags.add_argument("--depth", type=int, default=1)
    flags.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2])
    flags.add_argument("--flip", type=bool, default=True)
    flags.add_argument("--gpu", default=[0])
    given = vars(flags.parse_args(argv))
    return SimpleNamespace(recorded=lambda: given)


@pytest.fixture
def paper(write_paper):
    """Duet, loaded, with a number that we run and one that we do not."""
    return load(write_paper(ENTRY, OTHER))


@pytest.fixture
def write_run(tmp_path):
    """Call it with scores and changes of run.json; `inside={"dataset.standin": True}` changes a part of one."""

    def write(name: str, official: float | None = 51.0, clean: float | None = None, **changes: object) -> Path:
        info = copy.deepcopy(RUN)
        for key, value in changes.pop("inside", {}).items():
            part, inner = key.split(".")
            info[part][inner] = value
        info.update(changes)
        protocol = "checkpoint" if info["evaluate"] else "official"
        lines = [{"epoch": 0, "split": "train", "loss": 1.0}, {"epoch": 0, "split": "valid", "acc": 12.34}]
        for of, value in ((protocol, official), ("clean", clean)):
            if value is not None:
                lines.append({"epoch": 9, "split": "test", "final": True, "protocol": of, "acc": value})
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(info))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return write
