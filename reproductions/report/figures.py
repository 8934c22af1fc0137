"""The report's figures, as PNG bytes: reported numbers beside our seeds, and stand-in scores by themselves."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reproductions.report.comparison import Number, RunGroup
from reproductions.report.reported import Metric

INK, REPORTED, OURS, CLEAN = "#22303c", "#b3541e", "#1f6f8b", "#8fb8c9"
PANELS = 3


def draw_numbers(numbers: Sequence[Number], label: str) -> bytes:
    """One metric of one table: a line a row, the reported number in its margin, and a dot for each of our seeds."""
    figure = Figure(figsize=(8, 1.1 + 0.45 * len(numbers)), layout="constrained")
    axes = figure.add_subplot()
    for i, number in enumerate(numbers):
        value, margin = number.entry.value, number.entry.margin
        recalled = number.entry.status == "recalled"
        axes.barh(i, 2 * margin, left=value - margin, height=0.6, color=REPORTED, alpha=0.2, label="margin")
        face = "white" if recalled else REPORTED
        axes.plot(value, i, "D", color=REPORTED, markerfacecolor=face, label="reported (hollow: recalled)")
        if number.values:
            axes.plot(number.values, [i] * len(number.values), "o", color=OURS, alpha=0.7, label="ours, one dot a seed")
        if number.checkpoint is not None:
            axes.plot(number.checkpoint, i, "x", color=INK, markersize=9, label="published weights, evaluated here")
        if not number.values and number.checkpoint is None:
            axes.annotate("not run", (value + margin, i), (6, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(range(len(numbers)), [number.entry.row for number in numbers])
    axes.set_ylim(len(numbers) - 0.4, -0.6)
    axes.margins(x=0.2)
    axes.set_xlabel(label)
    _legend_once(figure)
    return _png(figure)


def draw_standins(names: Sequence[str], groups: Sequence[RunGroup], metrics: Mapping[str, Metric]) -> bytes:
    """One panel a metric, the paper's first three: official and clean means side by side, with standard deviations, for
    each group of runs."""
    shown = [metric for name, metric in metrics.items() if any(name in group.scores for group in groups)][:PANELS]
    figure = Figure(figsize=(8, 0.6 + (0.8 + 0.5 * len(groups)) * max(1, len(shown))), layout="constrained")
    figure.suptitle("Stand-ins: not the paper's results", color=INK)
    for i, metric in enumerate(shown):
        axes = figure.add_subplot(len(shown), 1, i + 1)
        for protocol, offset, color in (("official", -0.2, OURS), ("clean", 0.2, CLEAN)):
            summaries = [group.scores.get(metric.name, {}).get(protocol) for group in groups]
            present = [(row + offset, summary) for row, summary in enumerate(summaries) if summary]
            at, means = [row for row, _ in present], [summary.mean for _, summary in present]
            deviations = [summary.sd or 0.0 for _, summary in present]
            axes.barh(at, means, 0.38, xerr=deviations, color=color, ecolor=INK, capsize=2, label=protocol)
        axes.set_yticks(range(len(groups)), names)
        axes.invert_yaxis()
        axes.set_xlabel(f"{_named(metric)}, on stand-ins")
    _legend_once(figure)
    return _png(figure)


def draw_tradeoff(
    numbers: Sequence[Number], groups: Sequence[RunGroup], x: Metric, y: Metric, title: str
) -> bytes | None:
    """y against x: reported rows that print both, and the means of our runs (official), with standard deviations.

    None where there is not one point.
    """
    values = {((n.entry.dataset, n.entry.row), n.entry.metric): n.entry.value for n in numbers}
    rows = dict.fromkeys(row for row, metric in values if metric == y.name and (row, x.name) in values)
    points = [(row[1], values[row, x.name], values[row, y.name]) for row in rows]
    scores = [(group.row, group.scores.get(x.name, {}), group.scores.get(y.name, {})) for group in groups]
    ours = [
        (row, one["official"], other["official"])
        for row, one, other in scores
        if "official" in one and "official" in other
    ]
    if not points and not ours:
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for row, at, value in points:
        axes.plot(at, value, "D", color=REPORTED, label="reported")
        axes.annotate(row, (at, value), (5, 5), textcoords="offset points", color=REPORTED, fontsize=8)
    for row, one, other in ours:
        axes.errorbar(one.mean, other.mean, other.sd, one.sd, "o", color=OURS, capsize=2, label="ours, mean and sd")
        axes.annotate(row, (one.mean, other.mean), (5, -10), textcoords="offset points", color=OURS, fontsize=8)
    axes.set(xlabel=_named(x), ylabel=_named(y), title=title)
    axes.margins(0.15)
    _legend_once(figure)
    return _png(figure)


def _named(metric: Metric) -> str:
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def _legend_once(figure: Figure) -> None:
    """One legend for the figure, each label once."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2, frameon=False)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
