"""Finds runs and reads what stands behind their numbers; says of everything else why it is refused.

A run is read from one of two places, and judged alike:

- its own folder: run.json (everything behind the numbers) and metrics.jsonl (one object a line, the final ones with
  "split": "test", "final": true and "protocol": official, clean or checkpoint);
- a line of a record, records/<table>/<row>.jsonl: the content of run.json, "finals" {protocol: final line}, and
  "folder", where the run folder was (reproductions.report.records writes them).
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError

RUN_FILE, METRICS_FILE = "run.json", "metrics.jsonl"
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
    """A finished run: its run.json, and the final scores {protocol: {metric: value}}, all finite.

    folder: the run folder; for a run that was read from a record, where it was. record: that record's file.
    """

    folder: Path
    info: dict[str, Any]
    finals: dict[str, dict[str, float]]
    record: Path | None = None

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
    """A folder, or a line of a record, that does not count, and why."""

    folder: Path
    reason: str


class RefusedError(Exception):
    """Why a folder, or a line of a record, is no finished, whole run."""


def find_runs(folders: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """All runs at or below the given folders, sorted by path, folders before records: those to use, and the refused.

    Raises UserError for a folder that does not exist.
    """
    found: set[Path] = set()
    records: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder, expected one that holds run folders or records")
        found |= {file.parent for name in (RUN_FILE, METRICS_FILE) for file in folder.rglob(name)}
        records |= {file for file in folder.rglob("*.jsonl") if file.name != METRICS_FILE}
    runs: list[Run] = []
    refused: list[LeftOut] = []
    for folder in sorted(found):
        try:
            runs.append(read_run(folder))
        except RefusedError as reason:
            refused.append(LeftOut(folder, str(reason)))
    for file in sorted(records):
        of_file, refused_of_file = read_record(file)
        runs += of_file
        refused += refused_of_file
    return runs, refused


def read_run(folder: Path) -> Run:
    """The run of one folder. Raises RefusedError with the reason if it is no finished, whole run."""
    info = _read_info(folder / RUN_FILE)
    finals = final_lines(folder / METRICS_FILE)
    return Run(folder, info, {protocol: _scores(line) for protocol, line in finals.items()})


def read_record(file: Path) -> tuple[list[Run], list[LeftOut]]:
    """The runs of one record, a line each, and the lines that are refused."""
    runs, refused = [], []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [], [LeftOut(file, f"cannot be read: {error}")]
    for number, text in enumerate(lines, start=1):
        try:
            runs.append(_read_line(text, file))
        except RefusedError as reason:
            refused.append(LeftOut(file, f"line {number}: {reason}"))
    return runs, refused


def _read_line(text: str, file: Path) -> Run:
    info = _checked_info(text, "record")
    folder, finals = info.pop("folder", None), info.pop("finals", None)
    info.pop("curves", None)
    if not isinstance(folder, str) or not isinstance(finals, dict) or not finals:
        raise RefusedError("record has no folder or no finals")
    return Run(Path(folder), info, {protocol: _scores(line) for protocol, line in finals.items()}, file)


def _read_info(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RefusedError(f"{RUN_FILE} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{RUN_FILE} is damaged: {error}") from error
    return _checked_info(text, RUN_FILE)


def _checked_info(text: str, name: str) -> dict[str, Any]:
    """The content of a run.json or of a line of a record, of a run that is finished and whole."""
    try:
        info = json.loads(text)
    except ValueError as error:
        raise RefusedError(f"{name} is damaged: {error}") from error
    if not isinstance(info, dict):
        raise RefusedError(f"{name} is damaged: a {type(info).__name__}, expected an object")
    missing = [key for key in KEYS if key not in info]
    missing += [f"{key}.{inner}" for key, inners in INNER_KEYS.items() for inner in _missing(info.get(key), inners)]
    if missing:
        raise RefusedError(f"{name} is incomplete: no {', '.join(missing)}")
    wrong = [key for key, kind in KEYS.items() if not isinstance(info[key], kind)]
    if wrong:
        raise RefusedError(f"{name} is damaged: {', '.join(f'{key} is {info[key]!r}' for key in wrong)}")
    if info["state"] != "finished":
        raise RefusedError(f"state is {info['state']}" + (f": {info['why']}" if info["why"] else ""))
    if info["shortened"]:
        raise RefusedError("shortened (--max-steps)")
    return info


def _missing(given: Any, keys: tuple[str, ...]) -> list[str]:
    return [key for key in keys if key not in given] if isinstance(given, dict) else []


def metric_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a metrics.jsonl. A damaged last line, an interrupted write, is left out; others are refused."""
    try:
        texts = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise RefusedError(f"{METRICS_FILE} cannot be read: {error}") from error
    lines = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
        except ValueError:
            if number == len(texts):
                break
            raise RefusedError(f"{METRICS_FILE} is damaged: line {number} is no JSON") from None
        if isinstance(line, dict):
            lines.append(line)
    return lines


def is_final(line: dict[str, Any]) -> bool:
    """Whether a line of metrics.jsonl holds final test scores."""
    return line.get("final") is True and line.get("split") == "test"


def final_lines(file: Path) -> dict[str, dict[str, Any]]:
    """The final lines by protocol; of a protocol that a resumed run wrote twice, the last."""
    finals = {str(line.get("protocol")): line for line in metric_lines(file) if is_final(line)}
    if not finals:
        raise RefusedError(f"{METRICS_FILE} has no final test line")
    return finals


def _scores(line: dict[str, Any]) -> dict[str, float]:
    scores = {
        name: float(value)
        for name, value in line.items()
        if name not in NOT_SCORES and isinstance(value, NUMBER) and not isinstance(value, bool)
    }
    broken = [f"{name} is {value}" for name, value in scores.items() if not math.isfinite(value)]
    if broken:
        raise RefusedError(f"final {', '.join(broken)}")
    return scores
