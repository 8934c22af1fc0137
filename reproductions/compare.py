"""Compare runs with the numbers that the papers report.

    python -m reproductions.compare runs

writes runs/report/report.md, report.html and report.json, and ends with one line a paper such as

    cen: 189 reported numbers: 189 NOT RUN; 0 runs count, 0 stand-in runs, 0 runs do not count
"""

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from common.errors import UserError, run_main
from reproductions.report import reported
from reproductions.report.comparison import Comparison, compare
from reproductions.report.golden_record import load_golden_record
from reproductions.report.html import render_html
from reproductions.report.layout import report
from reproductions.report.markdown import render_markdown
from reproductions.report.runs import LeftOut, Run, find_runs

RUNS = Path("runs")


def parser() -> ArgumentParser:
    """The command's flags."""
    flags = ArgumentParser(prog="python -m reproductions.compare", description="Runs beside reported numbers.")
    add = flags.add_argument
    add("folders", nargs="*", type=Path, metavar="FOLDER", help="where run folders lie (default: runs)")
    add("--paper", help="only this paper, for example cen (default: all)")
    flags.add_argument(
        "--output", type=Path, default=RUNS / "report", help="folder of the report (default runs/report)"
    )
    flags.add_argument("--golden-record", type=Path, metavar="FILE", help="what the golden tests said, as JSON")
    return flags


def main(argv: list[str] | None = None) -> None:
    """Read, compare, write. Raises UserError for a missing folder, a damaged record or an unknown paper."""
    args = parser().parse_args(argv)
    known = reported.load_all()
    papers = chosen(known, args.paper)
    golden = load_golden_record(args.golden_record) if args.golden_record else None
    folders = args.folders or ([RUNS] if RUNS.is_dir() else [])
    runs, refused = find_runs(folders)
    refused += strangers(runs, known)
    comparisons = [compare(paper, runs, golden) for paper in papers]
    write(comparisons, refused, args.output)
    print(f"report: {', '.join(str(args.output / f'report.{ending}') for ending in ('md', 'html', 'json'))}")
    for item in refused:
        print(f"refused: {item.folder}: {item.reason}")
    for comparison in comparisons:
        print(summary_line(comparison))


def chosen(papers: list[reported.Paper], name: str | None) -> list[reported.Paper]:
    """All papers, or the one with this name. Raises UserError for a name that no file in reported/ has."""
    found = [paper for paper in papers if name in (None, paper.name)]
    if not found:
        raise UserError(f"--paper {name}: unknown, expected one of {', '.join(paper.name for paper in papers)}")
    return found


def strangers(runs: Iterable[Run], papers: Iterable[reported.Paper]) -> list[LeftOut]:
    """Runs of papers whose reported numbers nobody wrote down."""
    names = {paper.name for paper in papers}
    unknown = [run for run in runs if run.info["paper"] not in names]
    return [LeftOut(run.folder, f"no reported numbers of paper {run.info['paper']}") for run in unknown]


def write(comparisons: Sequence[Comparison], refused: Sequence[LeftOut], folder: Path) -> None:
    """report.md, report.html and report.json, all from the same comparisons."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(render_markdown(report(comparisons, refused, figures=False)), encoding="utf-8")
    page = render_html(report(comparisons, refused, figures=True), "Reported numbers beside ours")
    (folder / "report.html").write_text(page, encoding="utf-8")
    content = {"papers": [asdict(one) for one in comparisons], "refused": [asdict(item) for item in refused]}
    text = json.dumps(content, indent=2, ensure_ascii=False, default=Path.as_posix)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")


def summary_line(one: Comparison) -> str:
    """`cen: 189 reported numbers: 3 MATCH, 186 NOT RUN; 5 runs count, ...`."""
    verdicts = Counter(number.verdict.value for number in one.numbers)
    roles = Counter(line.role for line in one.provenance)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    counted = roles["trained"] + roles["checkpoint"]
    runs = f"{counted} runs count, {roles['stand-in']} stand-in runs, {len(one.left_out)} runs do not count"
    return f"{one.name}: {len(one.numbers)} reported numbers: {counts}; {runs}"


if __name__ == "__main__":
    run_main(main)
