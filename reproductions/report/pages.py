"""Fills the tables of the READMEs from reported/*.yaml and the committed records, so that no number is typed by hand.

The marks are `<!-- table:NAME -->` and `<!-- /table -->` in README.md and */README.md, NAME one of

    summary          one line for each headline row of each paper
    <paper>          every table of the paper beside ours, and what stands behind the runs
    <paper>-standin  the scores on stand-ins, and what stands behind them
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from common.errors import UserError
from reproductions.report.blocks import Block
from reproductions.report.comparison import Comparison, compare
from reproductions.report.golden_record import load_golden_record
from reproductions.report.layout import provenance_by_row, reported_tables, standins, summary
from reproductions.report.markdown import render_markdown
from reproductions.report.reported import load_all
from reproductions.report.runs import Run, find_runs

RECORDS = Path("reproductions/records")
GOLDEN_RECORD = RECORDS / "golden.json"
OPEN, CLOSE = re.compile(r"<!-- table:(\S+) -->"), "<!-- /table -->"
BLOCK = re.compile(OPEN.pattern + r"\n.*?" + CLOSE, re.DOTALL)
TABLE_LEVEL = 4


def stale_pages(root: Path) -> dict[Path, str]:
    """{README: what it should hold} of those that hold something else.

    Raises UserError for an unknown NAME, a mark without its other half, or a record that is not whole.
    """
    tables = readme_tables(root)
    files = sorted([*root.glob("README.md"), *root.glob("*/README.md")])
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    filled = {file: fill(text, tables, file) for file, text in texts.items()}
    return {file: text for file, text in filled.items() if text != texts[file]}


def readme_tables(root: Path) -> dict[str, str]:
    """{NAME: Markdown} of every table that a README may hold."""
    runs = committed_runs(root)
    golden = load_golden_record(root / GOLDEN_RECORD) if (root / GOLDEN_RECORD).exists() else None
    comparisons = [compare(paper, runs, golden) for paper in load_all()]
    tables: dict[str, list[Block]] = {"summary": summary(comparisons)}
    for one in comparisons:
        tables[one.name] = [*reported_tables(one, TABLE_LEVEL), *_behind(one, ("trained", "checkpoint"))]
        tables[f"{one.name}-standin"] = [*standins(one), *_behind(one, ("stand-in",))]
    return {name: render_markdown(blocks) for name, blocks in tables.items()}


def committed_runs(root: Path) -> list[Run]:
    """The committed records, with folders relative to the repository. Raises UserError for one that is not whole."""
    runs, refused = find_runs([root / RECORDS] if (root / RECORDS).is_dir() else [])
    if refused:
        raise UserError(f"{refused[0].folder}: {refused[0].reason}; a committed record must be that of a finished run")
    return [replace(run, record=run.record.relative_to(root)) for run in runs if run.record]


def fill(text: str, tables: dict[str, str], file: Path) -> str:
    """A README's text with every marked table replaced."""
    names = OPEN.findall(text)
    if len(names) != len(BLOCK.findall(text)) or len(names) != text.count(CLOSE):
        raise UserError(f"{file}: a table mark without its other half, expected <!-- table:NAME --> ... {CLOSE}")
    unknown = [name for name in names if name not in tables]
    if unknown:
        raise UserError(f"{file}: unknown table {unknown[0]!r}, expected one of {', '.join(tables)}")
    return BLOCK.sub(lambda found: f"<!-- table:{found[1]} -->\n\n{tables[found[1]]}\n{CLOSE}", text)


def _behind(one: Comparison, roles: Iterable[str]) -> list[Block]:
    lines = [line for line in one.provenance if line.role in roles]
    return [provenance_by_row(lines)] if lines else []
