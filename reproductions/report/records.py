"""Records of runs, records/<table>/<row>.jsonl: one line a run, small enough to read in a diff.

A line is an object with

    folder    where the run folder was
    finals    {protocol: the final line of metrics.jsonl}, every score in full precision
    curves    of the run on the first line alone: {split: {name: [value, ...]}}, a column for each name, see `curves`
    and everything that run.json holds: row, seed, command, flags, data, weights, revision, machine, times, memory

Lines are sorted by seed and start. A run is known by its folder and its start: recorded again, it replaces its line.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.files import replacing
from reproductions.report.runs import METRICS_FILE, RUN_FILE, Run, final_lines, is_final, metric_lines

FIRST = ("folder", "paper", "script", "row", "seed", "started", "finals")
DIGITS = 6  # significant ones, of a curve's values


def table_of(run: Run, tables: Iterable[str]) -> str:
    """The table that a run was made for, by its folder RUNS/TABLE/ROW/seed_S; `_standin` is added for a stand-in run.

    Raises UserError where the folder is another or TABLE is not one of `tables`.
    """
    row, table = run.folder.parent.name, run.folder.parent.parent.name
    if row != run.row or table not in tables:
        expected = f".../TABLE/{run.row}/seed_{run.seed} with TABLE one of {', '.join(sorted(tables))}"
        raise UserError(f"{run.folder}: cannot tell its table, expected {expected}; give --table NAME")
    return f"{table}_standin" if run.standin else table


def line_of(run: Run, folder: Path) -> dict[str, Any]:
    """What a record says of a run that lies in its folder; folder: the path to record for it."""
    given = json.loads((run.folder / RUN_FILE).read_text(encoding="utf-8"))
    given["folder"], given["finals"] = folder.as_posix(), final_lines(run.folder / METRICS_FILE)
    ordered = {key: given[key] for key in FIRST}
    return {**ordered, **given, "curves": curves(metric_lines(run.folder / METRICS_FILE))}


def curves(lines: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """{split: {name: a value for each line of the split}}; null where a line lacks the name.

    Left out: final lines, values of single blocks (names with a slash) and of single classes (`recall_...`). Values
    are rounded to six significant digits.
    """
    by_split: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if not is_final(line):
            by_split.setdefault(str(line.get("split")), []).append(line)
    columns = {}
    for split, of_split in by_split.items():
        names = dict.fromkeys(name for line in of_split for name in line if name != "split" and not _of_a_part(name))
        columns[split] = {name: [_rounded(line.get(name)) for line in of_split] for name in names}
    return columns


def _of_a_part(name: str) -> bool:
    return "/" in name or name.startswith("recall_")


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def put(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Add lines to a record, or replace those of the same runs; the file is written whole or not at all.

    Raises UserError for a record that cannot be read.
    """
    by_run = {_run(line): line for line in [*_existing(file), *lines]}
    ordered = sorted(by_run.values(), key=lambda line: (line["seed"], line["started"], line["folder"]))
    for line in ordered[1:]:
        line.pop("curves", None)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_text("".join(_as_text(line) for line in ordered), encoding="utf-8")


def _run(line: dict[str, Any]) -> tuple[str, str]:
    return line["folder"], line["started"]


def _as_text(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def _existing(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            _run(line), line["seed"]  # what the lines are told apart and sorted by
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file}: line {number} is no record of a run: {error!r}; nothing was written") from error
        lines.append(line)
    return lines
