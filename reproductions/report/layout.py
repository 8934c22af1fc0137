"""What a report says, as headings, texts, tables and figures, without markup; the renderers write it down.

Reported numbers and stand-in scores never share a table.
"""

from collections.abc import Iterable, Sequence

from reproductions.report.blocks import Block, Figure, Heading, Table, Text
from reproductions.report.comparison import Comparison, Number, Provenance, RunGroup
from reproductions.report.figures import draw_numbers, draw_standins, draw_tradeoff
from reproductions.report.layout_text import (
    BLANK,
    LEGEND,
    STANDIN_HEADING,
    STANDIN_WARNING,
    duration,
    interval,
    labelled,
    mean_sd,
    reported,
    statistic,
)
from reproductions.report.reported import Metric
from reproductions.report.runs import LeftOut


def report(comparisons: Sequence[Comparison], refused: Sequence[LeftOut], figures: bool) -> list[Block]:
    """The whole report; figures only where the renderer can show them."""
    blocks: list[Block] = [Heading(1, "Reported numbers beside ours"), *summary(comparisons)]
    for one in comparisons:
        blocks += [Heading(2, one.title), *reported_tables(one, 3, figures)]
        blocks += [Heading(3, STANDIN_HEADING), *standins(one, figures)]
        if one.provenance:
            blocks += [Heading(3, "What stands behind each run"), provenance(one.provenance)]
        if one.left_out:
            blocks += [Heading(3, "Runs that do not count"), left_out(one.left_out)]
    if refused:
        blocks += [Heading(2, "Folders that were refused"), left_out(refused)]
    return blocks


def summary(comparisons: Iterable[Comparison]) -> list[Block]:
    """One line for each headline row of each paper."""
    rows = []
    for one in comparisons:
        for number in one.numbers:
            if (number.entry.row_id, number.entry.metric) in one.headline_rows:
                metric = one.metrics[number.entry.metric]
                cells = (one.name, number.entry.row, labelled(metric), reported(number.entry))
                rows.append((*cells, _ours(number, metric), _difference(number, metric), number.verdict_text))
    return [Table(("paper", "row", "metric", "reported", "ours", "difference", "verdict"), tuple(rows)), Text(LEGEND)]


def headline(one: Comparison) -> list[Block]:
    """One table for a paper's README: the headline score of every row that a command here runs.

    Where no source at hand prints such a number, the scores on stand-ins, behind their warning.
    """
    rows = []
    for number in one.numbers:
        metric = one.metrics[number.entry.metric]
        if number.entry.row_id and one.headlines.get(number.entry.dataset) == metric.name:
            what = (
                number.entry.table,
                number.entry.row,
                number.entry.dataset,
                labelled(metric),
                reported(number.entry),
            )
            rows.append((*what, _ours(number, metric), _difference(number, metric), number.verdict_text))
    if rows:
        header = ("table", "row", "data", "metric", "reported", "ours", "difference", "verdict")
        return [Table(header, tuple(rows)), Text(LEGEND)]
    return [Text(STANDIN_WARNING, warning=True), _standin_headline(one)]


def _standin_headline(one: Comparison) -> Table:
    rows = []
    for name, group in zip(_group_names(one.standins), one.standins, strict=True):
        if group.dataset not in one.headlines:
            continue
        metric = one.metrics[one.headlines[group.dataset]]
        by = group.scores.get(metric.name, {})
        scores = (mean_sd(by.get("official"), metric), mean_sd(by.get("clean"), metric))
        rows.append((name, group.dataset, labelled(metric), *scores, " ".join(map(str, group.seeds))))
    return Table(("run of the command of", "stand-in of", "metric", "official", "clean", "seeds"), tuple(rows))


def reported_tables(one: Comparison, level: int, figures: bool = False) -> list[Block]:
    """Every table that the paper prints: rows that we run with all there is to say, the others a line each."""
    sources = "; ".join(f"{key}: {text}" for key, text in one.sources.items())
    blocks: list[Block] = [Text(f"{one.citation}."), Text(f"Sources. {sources}.")]
    for table in dict.fromkeys(number.entry.table for number in one.numbers):
        numbers = [number for number in one.numbers if number.entry.table == table]
        run = [number for number in numbers if number.entry.row_id]
        others = [number for number in numbers if not number.entry.row_id]
        blocks.append(Heading(level, table))
        if run:
            blocks.append(_table_beside_ours(run, one.metrics))
            blocks += _number_figures(table, run, one.metrics) if figures else []
        if others:
            blocks += [Text("No command here runs these rows:"), _table_reported_only(others, one.metrics)]
    if one.unprinted:
        scores = _score_tables(_group_names(one.unprinted), one.unprinted, one.metrics)
        blocks += [Heading(level, "Our runs of rows that no source at hand prints"), *scores]
    if figures:
        blocks += _tradeoffs(one, one.numbers, one.trained, "reported, and ours on the real data")
    commands = _commands(one.numbers)
    blocks.append(Text(LEGEND))
    return [*blocks, Heading(level, "Commands behind the rows"), commands] if commands.rows else blocks


def _commands(numbers: Iterable[Number]) -> Table:
    rows: dict[str, dict[str, None]] = {}
    for number in numbers:
        if number.command:
            rows.setdefault(number.command, {})[number.entry.row] = None
    return Table(("row", "command"), tuple((" / ".join(names), command) for command, names in rows.items()))


def _table_beside_ours(numbers: Iterable[Number], metrics: dict[str, Metric]) -> Table:
    header = ("row", "data", "metric", "reported", "statistic (n)", "source", "ours, mean ± sd (n)", "95 % interval")
    more = ("ours, clean", "difference", "margin", "verdict")
    return Table((*header, *more), tuple(_row_beside_ours(number, metrics[number.entry.metric]) for number in numbers))


def _row_beside_ours(number: Number, metric: Metric) -> tuple[str, ...]:
    entry = number.entry
    return (
        entry.row,
        entry.dataset,
        labelled(metric),
        reported(entry),
        statistic(entry),
        entry.source,
        _ours(number, metric),
        interval(number.ours, metric),
        mean_sd(number.clean, metric),
        _difference(number, metric),
        f"{entry.margin:g}",
        number.verdict_text if number.reason in number.verdict_text else f"{number.verdict_text}: {number.reason}",
    )


def _ours(number: Number, metric: Metric) -> str:
    parts = [mean_sd(number.ours, metric)] if number.ours else []
    if number.checkpoint is not None:
        parts.append(f"published weights {number.checkpoint:.{metric.digits + 1}f}")
    return ", ".join(parts) or BLANK


def _difference(number: Number, metric: Metric) -> str:
    return BLANK if number.difference is None else f"{number.difference:+.{metric.digits + 1}f}"


def _table_reported_only(numbers: Sequence[Number], metrics: dict[str, Metric]) -> Table:
    shown = [name for name in metrics if any(number.entry.metric == name for number in numbers)]
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for number in numbers:
        entry = number.entry
        key = (entry.row, entry.dataset, statistic(entry), entry.source, number.verdict_text)
        lines.setdefault(key, {})[entry.metric] = reported(entry)
    header = ("row", "data", *(labelled(metrics[name]) for name in shown), "statistic (n)", "source", "verdict")
    rows = [(*key[:2], *(cells.get(name, BLANK) for name in shown), *key[2:]) for key, cells in lines.items()]
    return Table(header, tuple(rows))


def _number_figures(table: str, numbers: Sequence[Number], metrics: dict[str, Metric]) -> list[Block]:
    names = dict.fromkeys(number.entry.metric for number in numbers)
    return [_number_figure(table, [n for n in numbers if n.entry.metric == name], metrics[name]) for name in names]


def _number_figure(table: str, numbers: Sequence[Number], metric: Metric) -> Figure:
    alt = f"{table}, {labelled(metric)}: reported numbers with their margins, and the seeds of our runs"
    return Figure(draw_numbers(numbers, labelled(metric)), alt)


def standins(one: Comparison, figures: bool = False) -> list[Block]:
    """The scores of stand-in runs, with their settings; the warning comes first, reported numbers never."""
    if not one.standins:
        return [Text(STANDIN_WARNING, warning=True), Text("No stand-in run was found.")]
    names = _group_names(one.standins)
    blocks: list[Block] = [Text(STANDIN_WARNING, warning=True), *_score_tables(names, one.standins, one.metrics)]
    if figures:
        alt = "scores on stand-ins, official and clean protocol side by side; not the paper's results"
        blocks.append(Figure(draw_standins(names, one.standins, one.metrics), alt))
        blocks += _tradeoffs(one, (), one.standins, "on stand-ins: not the paper's results")
    return [*blocks, *_standin_settings(names, one.standins)]


def _standin_settings(names: Sequence[str], groups: Sequence[RunGroup]) -> list[Block]:
    """Where the runs differ from the published commands; what all runs of a script differ in is said once, above."""
    shared = _shared_differences(groups)
    rows = []
    for name, group in zip(names, groups, strict=True):
        own = [text for text in group.differs if text not in shared[group.script]]
        nothing = "nothing more" if shared[group.script] else "nothing"
        stand_in = f"{group.what} ({group.dataset} {group.fingerprint[:12]})"
        rows.append((name, stand_in, "; ".join(own) or nothing))
    said = [
        Text(f"Every run of {script} differs from the published command in: {'; '.join(texts)}.")
        for script, texts in shared.items()
        if texts
    ]
    return [*said, Table(("run of the command of", "stand-in", "differs from the published command in"), tuple(rows))]


def _shared_differences(groups: Sequence[RunGroup]) -> dict[str, list[str]]:
    """{script: what each of its three or more groups differs in}."""
    by_script: dict[str, list[RunGroup]] = {}
    for group in groups:
        by_script.setdefault(group.script, []).append(group)
    return {
        script: [text for text in of[0].differs if len(of) >= 3 and all(text in other.differs for other in of)]
        for script, of in by_script.items()
    }


def _tradeoffs(one: Comparison, numbers: Sequence[Number], groups: Sequence[RunGroup], title: str) -> list[Block]:
    blocks: list[Block] = []
    for x, y in one.tradeoffs:
        png = draw_tradeoff(numbers, groups, one.metrics[x], one.metrics[y], title)
        if png:
            blocks.append(Figure(png, f"{one.metrics[y].label} against {one.metrics[x].label}, {title}"))
    return blocks


def _score_tables(names: Sequence[str], groups: Sequence[RunGroup], metrics: dict[str, Metric]) -> list[Block]:
    """For each data set a line for each group and protocol, a column a metric; metrics that few groups have stand in a
    second table."""
    tables: list[Table] = []
    for dataset in dict.fromkeys(group.dataset for group in groups):
        chosen = [(name, group) for name, group in zip(names, groups, strict=True) if group.dataset == dataset]
        counts = {name: sum(name in group.scores for _, group in chosen) for name in metrics}
        common = [metric for name, metric in metrics.items() if 2 * counts[name] >= len(chosen)]
        rare = [metric for name, metric in metrics.items() if 0 < 2 * counts[name] < len(chosen)]
        tables += [_score_table(chosen, shown) for shown in (common, rare) if shown]
    return [table for table in tables if table.rows]


def _score_table(groups: Iterable[tuple[str, RunGroup]], metrics: Sequence[Metric]) -> Table:
    rows = []
    for name, group in groups:
        for protocol in ("official", "clean"):
            summaries = [group.scores.get(metric.name, {}).get(protocol) for metric in metrics]
            if any(summaries):
                cells = (mean_sd(summary, metric) for summary, metric in zip(summaries, metrics, strict=True))
                rows.append((name, protocol, *cells, " ".join(map(str, group.seeds))))
    return Table(("run of the command of", "protocol", *map(labelled, metrics), "seeds"), tuple(rows))


def _group_names(groups: Sequence[RunGroup]) -> list[str]:
    rows = [group.row for group in groups]
    names = []
    for i, row in enumerate(rows):
        letter = f" ({chr(ord('a') + rows[:i].count(row))})" if rows.count(row) > 1 else ""
        names.append(f"{row}{letter}{' ‡' if groups[i].uncommitted else ''}")
    return names


def provenance(lines: Iterable[Provenance]) -> Table:
    """A line for each run that is shown."""
    header = ("run", "row", "role", "seed", "protocol", "data", "weights", "revision", "hardware")
    rows = []
    for p in lines:
        what = (p.run, p.row, p.role, str(p.seed), p.protocol, p.data, p.weights, p.revision, p.hardware)
        rows.append((*what, duration(p.wall_seconds), p.command))
    return Table((*header, "wall time", "command"), tuple(rows))


def provenance_by_row(lines: Sequence[Provenance]) -> Table:
    """A line for all runs of a row: where they are (records hold each run's command), and what they ran on."""
    header = ("row", "runs", "protocol", "revision", "hardware", "wall time of each")
    rows = []
    for row in dict.fromkeys(line.row for line in lines):
        runs = [line for line in lines if line.row == row]
        seconds = sorted(run.wall_seconds for run in runs)
        times = " to ".join(dict.fromkeys(map(duration, (seconds[0], seconds[-1]))))
        alike = (_each(run.protocol for run in runs), _each(run.revision for run in runs))
        place = runs[0].record or runs[0].run.rsplit("/", 1)[0]
        rows.append((row, f"{place} ({len(runs)})", *alike, _each(run.hardware for run in runs), times))
    return Table(header, tuple(rows))


def _each(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def left_out(items: Iterable[LeftOut]) -> Table:
    """Folders that do not count, and why."""
    return Table(("folder", "reason"), tuple((item.folder.as_posix(), item.reason) for item in items))
