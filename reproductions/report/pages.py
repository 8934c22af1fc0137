"""Writes what is generated: results/<paper>.md, and the tables of the READMEs, from reported/*.yaml and the records.

No number in them is typed by hand. A README's tables stand between the marks `<!-- table:NAME -->` and
`<!-- /table -->`, NAME one of

    summary     README.md: one line for each headline row of each paper
    <paper>     <paper>/README.md: the headline score of each row; results/<paper>.md has every table
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from common.errors import UserError
from reproductions.report.blocks import Block, Heading, Table, Text
from reproductions.report.comparison import Comparison, compare
from reproductions.report.golden_record import load_golden_record
from reproductions.report.layout import headline, provenance_by_row, reported_tables, standins, summary
from reproductions.report.layout_text import STANDIN_HEADING
from reproductions.report.markdown import render_markdown
from reproductions.report.notes import short
from reproductions.report.reported import load_all
from reproductions.report.runs import Run, find_runs

RECORDS = Path("reproductions/records")
RESULTS = Path("reproductions/results")
GOLDEN_RECORD = RECORDS / "golden.json"
OPEN, CLOSE = re.compile(r"<!-- table:(\S+) -->"), "<!-- /table -->"
BLOCK = re.compile(OPEN.pattern + r"\n.*?" + CLOSE, re.DOTALL)
WRITTEN = (
    "Written by `python -m reproductions.record` from [reported](../reported) and [records](../records); not to be "
    "edited. `bash reproductions/list.sh` lists the scripts behind the rows; a record's lines hold every run's command."
)


def stale_pages(root: Path) -> dict[Path, str]:
    """{results page or README: what it should hold} of those that hold something else.

    Raises UserError for an unknown NAME, a mark without its other half, or a record that is not whole.
    """
    comparisons = committed_comparisons(root)
    tables = readme_tables(comparisons)
    wanted = {root / RESULTS / f"{one.name}.md": results_page(one) for one in comparisons}
    for file in sorted([*root.glob("README.md"), *root.glob("*/README.md")]):
        wanted[file] = fill(file.read_text(encoding="utf-8"), tables, file)
    return {file: text for file, text in wanted.items() if not file.exists() or file.read_text("utf-8") != text}


def committed_comparisons(root: Path) -> list[Comparison]:
    """Every paper's reported numbers beside the committed records."""
    runs = committed_runs(root)
    golden = load_golden_record(root / GOLDEN_RECORD) if (root / GOLDEN_RECORD).exists() else None
    return [compare(paper, runs, golden) for paper in load_all()]


def committed_runs(root: Path) -> list[Run]:
    """The committed records, with paths relative to the repository. Raises UserError for one that is not whole."""
    runs, refused = find_runs([root / RECORDS] if (root / RECORDS).is_dir() else [])
    if refused:
        raise UserError(f"{refused[0].folder}: {refused[0].reason}; a committed record must be that of a finished run")
    return [replace(run, record=run.record.relative_to(root)) for run in runs if run.record]


def readme_tables(comparisons: Iterable[Comparison]) -> dict[str, str]:
    """{NAME: Markdown} of every table that a README may hold."""
    comparisons = list(comparisons)
    tables = {"summary": render_markdown(summary(comparisons))}
    for one in comparisons:
        tables[one.name] = render_markdown([*headline(one), Text(_link(one))])
    return tables


def _link(one: Comparison) -> str:
    behind = "the scores on stand-ins, and what stands behind each run"
    return f"Every table, {behind}: [{RESULTS.name}/{one.name}.md](../{RESULTS}/{one.name}.md)."


def results_page(one: Comparison) -> str:
    """All that there is to say of one paper's numbers, as Markdown."""
    blocks: list[Block] = [Heading(1, one.title), Text(WRITTEN), Heading(2, "Reported numbers beside ours")]
    blocks += [*reported_tables(one, 3), *_behind(one, ("trained", "checkpoint"))]
    blocks += [Heading(2, STANDIN_HEADING), *standins(one), *_behind(one, ("stand-in",))]
    return render_markdown(part for block in blocks for part in _shortened(block))


def _shortened(block: Block) -> list[Block]:
    """Tables of scores stay as they are; those of words are put in fewer."""
    of_scores = isinstance(block, Table) and "seeds" in block.header
    return short(block, keep=("ours, mean ± sd (n)", "runs")) if isinstance(block, Table) and not of_scores else [block]


def _behind(one: Comparison, roles: Iterable[str]) -> list[Block]:
    lines = [line for line in one.provenance if line.role in roles]
    return [Heading(3, "What stands behind the runs"), provenance_by_row(lines)] if lines else []


def fill(text: str, tables: dict[str, str], file: Path) -> str:
    """A README's text with every marked table replaced."""
    names = OPEN.findall(text)
    if len(names) != len(BLOCK.findall(text)) or len(names) != text.count(CLOSE):
        raise UserError(f"{file}: a table mark without its other half, expected <!-- table:NAME --> ... {CLOSE}")
    unknown = [name for name in names if name not in tables]
    if unknown:
        raise UserError(f"{file}: unknown table {unknown[0]!r}, expected one of {', '.join(tables)}")
    return BLOCK.sub(lambda found: f"<!-- table:{found[1]} -->\n\n{tables[found[1]]}\n{CLOSE}", text)
