"""Which runs count for a row of a paper, and why each of the others does not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from reproductions.report.reported import Paper, Row
from reproductions.report.runs import LeftOut, Run

CONTINUES = "continues a checkpoint of another run (--resume PATH)"
UNLISTED_QUIRK = ["official"]


@dataclass
class RowRuns:
    """The runs that name one row.

    trained: those that count, one a seed, by seed; checkpoint: the newest evaluation of published weights.
    standins: on stand-in data or weights, one a seed and setting.
    why_not: the reasons of those on real data that do not count.
    """

    trained: list[Run] = field(default_factory=list)
    checkpoint: Run | None = None
    standins: list[Run] = field(default_factory=list)
    why_not: list[str] = field(default_factory=list)

    @property
    def real_data(self) -> bool:
        """Whether any run used real data and real weights, counted or not."""
        return bool(self.trained or self.checkpoint or self.why_not)


def select(paper: Paper, runs: Iterable[Run]) -> tuple[dict[str, RowRuns], list[LeftOut]]:
    """Sort a paper's runs by the row that they name.

    Returns {row id: its runs} with every row of the paper, and the runs that do not count, with reasons: no row or an
    unknown one, flags or quirks other than the row's protocol, uncommitted changes, a seed that a newer run has.
    Weights that a run starts from must be published ones, or experts that runs of ours have trained with its seed.
    """
    found = {row_id: RowRuns() for row_id in paper.rows}
    left_out = []
    newest_first = sorted(runs, key=lambda run: (run.info["started"], str(run.folder)), reverse=True)
    for run in newest_first:
        row = paper.row(run.row)
        reason = _place(run, row, found[row.id], paper) if row else _no_row(run)
        if reason:
            left_out.append(LeftOut(run.folder, reason))
    for rows in found.values():
        rows.trained.sort(key=lambda run: run.seed)
        rows.standins.sort(key=lambda run: run.seed)
    return found, sorted(left_out, key=lambda item: str(item.folder))


def _no_row(run: Run) -> str:
    return f"names no row of {run.info['paper']}: --row {run.row}" if run.row else "names no row (--row)"


def _place(run: Run, row: Row, rows: RowRuns, paper: Paper) -> str | None:
    """Put a run where it belongs; runs come newest first. Returns why it counts nowhere, None if it does."""
    if run.standin:
        return _place_standin(run, row, rows)
    reason = _why_not(run, row, paper)
    if reason:
        rows.why_not.append(reason)
        return reason
    if run.info["evaluate"]:
        if rows.checkpoint is not None:
            return "a newer evaluation of published weights counts"
        rows.checkpoint = run
        return None
    if any(other.seed == run.seed for other in rows.trained):
        return f"a newer run has seed {run.seed}"
    rows.trained.append(run)
    return None


def _place_standin(run: Run, row: Row, rows: RowRuns) -> str | None:
    if run.info["evaluate"]:
        return "evaluation of a checkpoint on stand-ins: its scores are those of the run that trained it"
    if run.info["checkpoint"] is not None:
        return CONTINUES
    settings = standin_settings(run, row)
    if any(other.seed == run.seed and standin_settings(other, row) == settings for other in rows.standins):
        return f"a newer run has seed {run.seed}"
    rows.standins.append(run)
    return None


def _why_not(run: Run, row: Row, paper: Paper) -> str | None:
    if not run.committed:
        git = run.info["git"]
        changes = "uncommitted changes" if git and not git["clean"] else "went on under another revision"
        return changes if git else "no git revision"
    weights, checkpoint, evaluate = (run.info[key] for key in ("weights", "checkpoint", "evaluate"))
    if evaluate and (checkpoint is None or checkpoint["ours"]):
        return "evaluation of a checkpoint of ours: the run that trained it counts"
    if checkpoint is not None and not evaluate:
        return CONTINUES
    if weights is not None and not weights["published"] and not run.own_experts:
        return "starts from weights that are not the published ones"
    wanted = "checkpoint" if evaluate else "official"
    if wanted not in run.finals:
        return f"no final line of protocol {wanted}"
    differs = deviations(run, row, paper.evaluation_flags if evaluate else None)
    return f"protocol differs: {'; '.join(differs)}" if differs else None


def deviations(run: Run, row: Row, flags: Sequence[str] | None = None) -> list[str]:
    """Where a run's record differs from its row's data set, protocol and quirks, in words.

    flags: the flags of the protocol to hold it to, None for all. A quirk that the row does not list must be official.
    """
    args, quirks = run.info["args"], run.info["quirks"]
    protocol = {flag: wanted for flag, wanted in row.protocol.items() if flags is None or flag in flags}
    differs = _data_deviations(run, row)
    for flag, wanted in protocol.items():
        if flag in args and not same_value(args[flag], wanted):
            differs.append(f"{flag} {shown(args[flag])}, not {shown(wanted)}")
    missing = [flag for flag in protocol if flag not in args]
    if missing:
        differs.append(f"not recorded: {', '.join(missing)}")
    for quirk, value in quirks.items():
        allowed = row.quirks.get(quirk, UNLISTED_QUIRK)
        if value not in allowed:
            differs.append(f"quirk {quirk} {value}, not {' or '.join(allowed)}")
    return differs


def _data_deviations(run: Run, row: Row) -> list[str]:
    """Another data set, or not all of it; an evaluation reads the test split alone."""
    data = run.info["dataset"]
    found, wanted = data.get("samples", []), list(row.samples)
    if run.info["evaluate"]:
        found, wanted = found[-1:], wanted[-1:]
    differs = [] if data["name"] == row.dataset else [f"dataset {data['name']}, not {row.dataset}"]
    if wanted and found != wanted:
        differs.append(f"samples {shown(found) or 'not recorded'}, not {shown(wanted)}")
    return differs


def standin_settings(run: Run, row: Row) -> tuple[str, ...]:
    """What stand-in runs must share to be averaged: data, weights, and where they differ from the protocol.

    Experts that runs of the same seed have trained are another file for each seed, and count as alike.
    """
    data, weights = run.info["dataset"], run.info["weights"] or {}
    start = "experts of its own seed" if run.own_experts else str(weights.get("sha256"))
    return (str(data["name"]), str(data["fingerprint"]), start, *deviations(run, row))


def shown(value: Any) -> str:
    """A flag's value as one types it: `100 100 100`, `none`."""
    if isinstance(value, list | tuple):
        return " ".join(shown(item) for item in value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def same_value(found: Any, wanted: Any) -> bool:
    """Whether a recorded flag has the wanted value: lists item by item, numbers by value, true is not 1."""
    if isinstance(wanted, list | tuple):
        alike = isinstance(found, list | tuple) and len(found) == len(wanted)
        return alike and all(same_value(one, other) for one, other in zip(found, wanted, strict=True))
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    return found == wanted
