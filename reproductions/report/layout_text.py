"""How single numbers are written in a report, and its standing sentences."""

from reproductions.report.reported import Entry, Metric
from reproductions.report.statistics import Summary

BLANK = "–"
RECALLED = "†"
LEGEND = (
    f"{RECALLED} recalled, not seen in a source at hand. Statistic unknown: the source does not say what kind of "
    f"number it is; it is taken for a single run. {BLANK} stands where nothing was run; it is never filled in. "
    "Ours is the official protocol; clean selects nothing on test data, as each paper's README says."
)
STANDIN_HEADING = "The same commands on stand-ins: NOT the paper's results"
STANDIN_WARNING = (
    "These runs used generated data or generated weights in place of the real ones. Their scores show that the "
    "commands run and learn; they are not results on the paper's data, and no reported number stands beside them. "
    "‡ with uncommitted changes."
)


def labelled(metric: Metric) -> str:
    """`mIoU (%)`."""
    return f"{metric.label} ({metric.unit})" if metric.unit else metric.label


def reported(entry: Entry) -> str:
    """The digits as printed, with a mark where nobody has seen them in a source at hand."""
    return entry.printed + (RECALLED if entry.status == "recalled" else "")


def statistic(entry: Entry) -> str:
    """`mean (3)`; a question mark where the source does not state n."""
    return f"{entry.statistic.replace('_', ' ')} ({'?' if entry.n is None else entry.n})"


def mean_sd(summary: Summary | None, metric: Metric) -> str:
    """`51.12 ± 0.30 (5)`, one digit more than the paper prints; `51.12 (1)` for a single run."""
    if summary is None:
        return BLANK
    digits = metric.digits + 1
    deviation = "" if summary.sd is None else f" ± {summary.sd:.{digits}f}"
    return f"{summary.mean:.{digits}f}{deviation} ({summary.n})"


def interval(summary: Summary | None, metric: Metric) -> str:
    """`50.75 to 51.49`."""
    if summary is None or summary.interval is None:
        return BLANK
    return " to ".join(f"{end:.{metric.digits + 1}f}" for end in summary.interval)


def duration(seconds: float) -> str:
    """`42 s`, `12 min 5 s`, `30 h 4 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
