"""Take finished runs into the records, and write the tables of results/ and the READMEs from all records.

    python -m reproductions.record runs/table2_cen    # runs of a table script: their records, then the tables
    python -m reproductions.record runs --table NAME  # runs that lie elsewhere, into records/NAME
    python -m reproductions.record                    # the tables alone
    python -m reproductions.record --check            # writes nothing; exits with 1 where a table would change

A run that is not finished, was shortened or names no row is refused with a line that says why; the others are taken,
and the exit status is 1.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError, run_main
from reproductions.report.pages import RECORDS, stale_pages
from reproductions.report.records import line_of, put, table_of
from reproductions.report.reported import load_all
from reproductions.report.runs import LeftOut, Run, find_runs

ROOT = Path(__file__).resolve().parents[1]


def parser() -> ArgumentParser:
    """The command's flags."""
    flags = ArgumentParser(prog="python -m reproductions.record", description="Runs into records, records into tables.")
    flags.add_argument("runs", nargs="*", type=Path, metavar="RUNS", help="where finished run folders lie")
    flags.add_argument("--table", metavar="NAME", help="record under this name (default: by the folders of the runs)")
    flags.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a table would change")
    flags.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the repository (default: this one)")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Record, then write the tables. Raises UserError for a missing folder, a damaged record or an unknown table."""
    args = parser().parse_args(argv)
    if args.check and args.runs:
        raise UserError("--check writes nothing, so that it takes no runs")
    refused = record(args.runs, args.table, args.root)
    stale = stale_pages(args.root)
    names = ", ".join(file.relative_to(args.root).as_posix() for file in stale)
    if args.check and stale:
        print(f"{names}: differs from the records; run python -m reproductions.record", file=sys.stderr)
        sys.exit(1)
    for file, text in stale.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    print(f"written: {names}" if stale else "every table is up to date")
    if refused:
        sys.exit(1)


def record(folders: Sequence[Path], table: str | None, root: Path) -> list[LeftOut]:
    """Put the runs below the folders into records/<table>/<row>.jsonl; returns those that were refused."""
    runs, refused = find_runs(folders)
    papers = {paper.name: paper for paper in load_all()}
    tables = {script.stem for script in (root / "reproductions").glob("*_*.sh")}
    lines: dict[Path, list[dict[str, Any]]] = {}
    for run in runs:
        paper = papers.get(run.info["paper"])
        if run.record is None and (paper is None or paper.row(run.row) is None):
            refused.append(LeftOut(run.folder, f"names no row of {run.info['paper']}: --row {run.row}"))
        elif run.record is None:
            file = root / RECORDS / (table or table_of(run, tables)) / f"{run.row}.jsonl"
            lines.setdefault(file, []).append(line_of(run, _place(run, root)))
    for item in refused:
        print(f"refused: {item.folder}: {item.reason}", file=sys.stderr)
    for file, of_file in lines.items():
        put(file, of_file)
        print(f"recorded: {file.relative_to(root)}: seeds {' '.join(str(line['seed']) for line in of_file)}")
    return refused


def _place(run: Run, root: Path) -> Path:
    """The run's folder as recorded: below the repository without the repository's own path."""
    folder = run.folder.resolve()
    return folder.relative_to(root.resolve()) if folder.is_relative_to(root.resolve()) else run.folder


if __name__ == "__main__":
    run_main(main)
