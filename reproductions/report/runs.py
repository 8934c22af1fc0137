"""Finds run folders and reads what stands behind their numbers; says of every other folder why it is refused.

A run folder holds run.json (everything behind the numbers) and metrics.jsonl (one object a line, the final ones with
"split": "test", "final": true and "protocol": official, clean or checkpoint). Committed records are the same two files.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError

NUMBER = (int, float)
KEYS: dict[str, type | tuple[type, ...]] = {
    "paper": str,
    "script": str,
    "name": str,
    "row": (str, type(None)),
    "command": str,
    "args": dict,
    "quirks": dict,
    "seed": int,
    "git": (dict, type(None)),
    "packages": dict,
    "python": str,
    "device": dict,
    "precision": str,
    "deterministic": bool,
    "dataset": dict,
    "weights": (dict, type(None)),
    "checkpoint": (dict, type(None)),
    "evaluate": bool,
    "started": str,
    "ended": (str, type(None)),
    "wall_seconds": NUMBER,
    "peak_memory_bytes": NUMBER,
    "samples_per_second": (*NUMBER, type(None)),
    "shortened": bool,
    "state": str,
    "why": (str, type(None)),
}
INNER_KEYS = {
    "git": ("revision", "clean"),
    "device": ("type", "name", "capability", "cores", "processes"),
    "dataset": ("name", "folder", "fingerprint", "standin"),
    "weights": ("file", "sha256", "published", "standin"),
    "checkpoint": ("file", "sha256", "ours"),
}
NOT_SCORES = ("epoch", "step")


@dataclass(frozen=True)
class Run:
    """A finished run: its run.json, and the final scores {protocol: {metric: value}}, all finite."""

    folder: Path
    info: dict[str, Any]
    finals: dict[str, dict[str, float]]

    @property
    def row(self) -> str | None:
        """The row of the paper that the run names."""
        return self.info["row"]

    @property
    def seed(self) -> int:
        return self.info["seed"]

    @property
    def standin(self) -> bool:
        """Whether its data or the weights that it started from are stand-ins."""
        return self.info["dataset"]["standin"] or bool(self.info["weights"] and self.info["weights"]["standin"])

    @property
    def own_experts(self) -> bool:
        """Whether it starts from networks that whole runs with its own seed have trained (a first stage of ours)."""
        files = (self.info["weights"] or {}).get("files", [])
        configs = [file.get("config", {}) for file in files]
        return bool(files) and all(c.get("seed") == self.seed and not c.get("shortened", True) for c in configs)

    @property
    def committed(self) -> bool:
        """Whether all of the code behind it has one revision, from its start to its end."""
        git = self.info["git"]
        return bool(git and git["clean"]) and self.info.get("git_at_start", git) == git


@dataclass(frozen=True)
class LeftOut:
    """A folder that does not count, and why."""

    folder: Path
    reason: str


class _RefusedError(Exception):
    """Why a folder cannot be read as a finished run."""


def find_runs(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """All run folders at or below the given ones, sorted by path: those that can be used, and the refused ones.

    Raises UserError for a folder that does not exist.
    """
    found: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder, expected one that holds run folders")
        found |= {file.parent for name in ("run.json", "metrics.jsonl") for file in folder.rglob(name)}
    runs, refused = [], []
    for folder in sorted(found):
        try:
            runs.append(read_run(folder))
        except _RefusedError as reason:
            refused.append(LeftOut(folder, str(reason)))
    return runs, refused


def read_run(folder: Path) -> Run:
    """One run folder; its caller finds out by an exception with the reason if it is no finished, whole run."""
    info = _read_info(folder / "run.json")
    if info["state"] != "finished":
        raise _RefusedError(f"state is {info['state']}" + (f": {info['why']}" if info["why"] else ""))
    if info["shortened"]:
        raise _RefusedError("shortened (--max-steps)")
    return Run(folder, info, _read_finals(folder / "metrics.jsonl"))


def _read_info(file: Path) -> dict[str, Any]:
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _RefusedError("run.json is missing") from None
    except (OSError, ValueError) as error:
        raise _RefusedError(f"run.json is damaged: {error}") from error
    if not isinstance(info, dict):
        raise _RefusedError(f"run.json is damaged: a {type(info).__name__}, expected an object")
    missing = [key for key in KEYS if key not in info]
    missing += [f"{key}.{inner}" for key, inners in INNER_KEYS.items() for inner in _missing(info.get(key), inners)]
    if missing:
        raise _RefusedError(f"run.json is incomplete: no {', '.join(missing)}")
    wrong = [key for key, kind in KEYS.items() if not isinstance(info[key], kind)]
    if wrong:
        raise _RefusedError(f"run.json is damaged: {', '.join(f'{key} is {info[key]!r}' for key in wrong)}")
    return info


def _missing(given: Any, keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if key not in given] if isinstance(given, dict) else []


def _read_finals(file: Path) -> dict[str, dict[str, float]]:
    """The final scores by protocol; of a protocol that a resumed run wrote twice, the last."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise _RefusedError(f"metrics.jsonl cannot be read: {error}") from error
    finals = {}
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            if number == len(lines):  # an interrupted write; the lines before it stand
                break
            raise _RefusedError(f"metrics.jsonl is damaged: line {number} is no JSON") from None
        if isinstance(line, dict) and line.get("final") is True and line.get("split") == "test":
            finals[str(line.get("protocol"))] = _scores(line)
    if not finals:
        raise _RefusedError("metrics.jsonl has no final test line")
    return finals


def _scores(line: dict[str, Any]) -> dict[str, float]:
    scores = {
        name: float(value)
        for name, value in line.items()
        if name not in NOT_SCORES and isinstance(value, NUMBER) and not isinstance(value, bool)
    }
    broken = [f"{name} is {value}" for name, value in scores.items() if not math.isfinite(value)]
    if broken:
        raise _RefusedError(f"metrics.jsonl: final {', '.join(broken)}")
    return scores
