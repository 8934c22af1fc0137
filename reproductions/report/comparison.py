"""Puts a paper's reported numbers, our runs and the verdicts together; the renderers and report.json take it as it is.

Stand-in results live in a list of their own, `standins`, which holds no reported number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reproductions.report.golden_record import GoldenRecord
from reproductions.report.reported import Entry, Metric, Paper, Row
from reproductions.report.runs import LeftOut, Run
from reproductions.report.selection import RowRuns, deviations, select, shown, standin_settings
from reproductions.report.statistics import Summary, summarise
from reproductions.report.verdicts import Facts, Verdict, comparable, judge


@dataclass(frozen=True)
class Number:
    """One reported number beside ours. ours, clean and difference are None where no run counts, never filled in.

    values: one a counted seed under the official protocol. checkpoint: score of the published weights.
    """

    entry: Entry
    command: str | None
    values: tuple[float, ...]
    seeds: tuple[int, ...]
    ours: Summary | None
    clean: Summary | None
    difference: float | None
    checkpoint: float | None
    verdict: Verdict
    verdict_text: str
    reason: str


@dataclass(frozen=True)
class RunGroup:
    """Runs of one row on the same data with the same settings; scores: {metric: {protocol: Summary}}.

    what: "data", "weights" or both, as far as they are stand-ins.
    """

    row: str
    script: str
    dataset: str
    what: str
    fingerprint: str
    differs: tuple[str, ...]
    seeds: tuple[int, ...]
    uncommitted: bool
    scores: dict[str, dict[str, Summary]]


@dataclass(frozen=True)
class Provenance:
    """What stands behind a run that is shown; role: trained, checkpoint or stand-in.

    run: its folder; record: the file of records that it was read from, None for a folder that is at hand.
    """

    run: str
    record: str | None
    row: str
    role: str
    seed: int
    protocol: str
    data: str
    weights: str
    revision: str
    hardware: str
    wall_seconds: float
    peak_memory_bytes: float
    samples_per_second: float | None
    started: str
    command: str


@dataclass(frozen=True)
class Comparison:
    """All of one paper's report.

    headlines: {data set: metric}; headline_rows: (row, metric) of the report's summary.
    tradeoffs: pairs of metrics to draw. trained: counted runs of every row; unprinted: of those rows alone that no
    reported number stands beside.
    """

    name: str
    title: str
    citation: str
    sources: dict[str, str]
    metrics: dict[str, Metric]
    headlines: dict[str, str]
    headline_rows: tuple[tuple[str, str], ...]
    numbers: tuple[Number, ...]
    tradeoffs: tuple[tuple[str, str], ...]
    trained: tuple[RunGroup, ...]
    unprinted: tuple[RunGroup, ...]
    standins: tuple[RunGroup, ...]
    provenance: tuple[Provenance, ...]
    left_out: tuple[LeftOut, ...]


def compare(paper: Paper, runs: Iterable[Run], golden: GoldenRecord | None = None) -> Comparison:
    """Compare what a paper reports with the runs that name the paper."""
    found, left_out = select(paper, [run for run in runs if run.info["paper"] == paper.name])
    printed = {row.id for entry in paper.entries if (row := paper.row(entry.row_id))}
    trained = tuple(group for row in paper.rows.values() for group in _groups(row, found[row.id].trained))
    return Comparison(
        name=paper.name,
        title=paper.title,
        citation=paper.citation,
        sources=paper.sources,
        metrics=paper.metrics,
        headlines={row.dataset: row.headline for row in paper.rows.values() if row.headline},
        headline_rows=tuple((row.id, row.headline) for row in paper.rows.values() if row.headline),
        numbers=tuple(_number(entry, paper, found, golden) for entry in paper.entries),
        tradeoffs=paper.tradeoffs,
        trained=trained,
        unprinted=tuple(group for group in trained if group.row not in printed),
        standins=tuple(group for row in paper.rows.values() for group in _groups(row, found[row.id].standins)),
        provenance=tuple(line for row in paper.rows.values() for line in _provenance(row, found[row.id])),
        left_out=tuple(left_out),
    )


def _number(entry: Entry, paper: Paper, found: dict[str, RowRuns], golden: GoldenRecord | None) -> Number:
    row, higher = paper.row(entry.row_id), paper.metrics[entry.metric].direction == "higher"
    rows = found[row.id] if row else RowRuns()
    counted = [run for run in rows.trained if entry.metric in run.finals["official"]]
    values = tuple(run.finals["official"][entry.metric] for run in counted)
    clean = tuple(run.finals["clean"][entry.metric] for run in counted if entry.metric in run.finals.get("clean", {}))
    checkpoint = rows.checkpoint.finals["checkpoint"].get(entry.metric) if rows.checkpoint else None
    parity = golden.parity(paper.name, row.components) if golden and row else None
    facts = Facts(checkpoint, parity, rows.real_data, entry.not_run or _why_not(entry.metric, rows))
    judgement = judge(entry, values, higher, facts)
    ours = _summary(comparable(entry, values, higher))
    return Number(
        entry=entry,
        command=row.command if row else None,
        values=values,
        seeds=tuple(run.seed for run in counted),
        ours=ours,
        clean=_summary(comparable(entry, clean, higher)),
        difference=ours.mean - entry.value if ours else None,
        checkpoint=checkpoint,
        verdict=judgement.verdict,
        verdict_text=str(judgement),
        reason=judgement.reason,
    )


def _summary(values: Sequence[float] | None) -> Summary | None:
    return summarise(values) if values else None


def _why_not(metric: str, rows: RowRuns) -> str:
    if rows.trained or rows.checkpoint:
        return f"the runs have no final {metric}"
    if rows.why_not:
        return rows.why_not[0]
    return "no run on real data, stand-ins only" if rows.standins else "no run found"


def _groups(row: Row, runs: Sequence[Run]) -> list[RunGroup]:
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(standin_settings(run, row), []).append(run)
    return [_group(row, groups[settings]) for settings in sorted(groups)]


def _group(row: Row, runs: list[Run]) -> RunGroup:
    data, weights = runs[0].info["dataset"], runs[0].info["weights"]
    what = [name for name, part in (("data", data), ("weights", weights)) if part and part["standin"]]
    scores: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        for protocol in ("official", "clean"):
            for metric, value in run.finals.get(protocol, {}).items():
                scores.setdefault(metric, {}).setdefault(protocol, []).append(value)
    return RunGroup(
        row=row.id,
        script=row.declared.module,
        dataset=data["name"],
        what=" and ".join(what),
        fingerprint=str(data["fingerprint"]),
        differs=tuple(deviations(runs[0], row)),
        seeds=tuple(run.seed for run in runs),
        uncommitted=not all(run.committed for run in runs),
        scores={metric: {key: summarise(values) for key, values in by.items()} for metric, by in scores.items()},
    )


def _provenance(row: Row, rows: RowRuns) -> list[Provenance]:
    checkpoint = [rows.checkpoint] if rows.checkpoint else []
    roles = (("trained", rows.trained), ("checkpoint", checkpoint), ("stand-in", rows.standins))
    return [_provenance_of(run, row, role) for role, runs in roles for run in runs]


def _provenance_of(run: Run, row: Row, role: str) -> Provenance:
    info = run.info
    device, data = info["device"], info["dataset"]
    arithmetic = [info["precision"], "deterministic" if info["deterministic"] else "not deterministic"]
    arithmetic += [flag.replace("_", " ") for flag in ("channels_last", "compile") if info["args"].get(flag)]
    processes = f" × {device['processes']}" if device["processes"] != 1 else ""
    return Provenance(
        run=run.folder.as_posix(),
        record=run.record.as_posix() if run.record else None,
        row=row.id,
        role=role,
        seed=run.seed,
        protocol=", ".join(arithmetic),
        data=f"{data['name']}{' (stand-in)' if data['standin'] else ''} {str(data['fingerprint'])[:12]}",
        weights=_weights(info["checkpoint"] or info["weights"]),
        revision=_revision(info["git"]),
        hardware=f"{device['name']}{processes}, {device['cores']} cores",
        wall_seconds=info["wall_seconds"],
        peak_memory_bytes=info["peak_memory_bytes"],
        samples_per_second=info["samples_per_second"],
        started=info["started"],
        command=info["command"],
    )


def _weights(weights: dict[str, Any] | None) -> str:
    if weights is None:
        return "none"
    return f"{shown(weights['file'])}{' (stand-in)' if weights.get('standin') else ''} {str(weights['sha256'])[:12]}"


def _revision(git: dict[str, Any] | None) -> str:
    if git is None:
        return "unknown"
    return f"{str(git['revision'])[:12]}{'' if git['clean'] else ' + uncommitted changes'}"
