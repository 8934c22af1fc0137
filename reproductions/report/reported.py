"""The numbers that a paper prints: reads and checks reproductions/reported/<paper>.yaml.

The head of such a file holds paper, title, citation, sources, metrics, seeds, held_to, evaluation_flags, rows,
row_defaults and tradeoffs (pairs of metrics that the report draws against each other); `numbers` holds one entry a
printed number. reported/cen.yaml, dynmm.yaml and xnorm.yaml show all of it with comments. The flags of a row stand in
../tables/<paper>.rows. row_defaults: {script: what its rows have}; a row that has nothing else needs no entry in rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from common.errors import UserError
from reproductions.report.rows import Declared, read_rows, settings_of

FOLDER = Path(__file__).parents[1] / "reported"
STATISTICS = ("single", "mean", "best_of_k", "best_of_grid", "unknown")
STATUSES = ("read", "recalled")
HEAD_KEYS = ("paper", "title", "citation", "sources", "metrics", "held_to", "rows", "numbers")
METRIC_KEYS = ("label", "unit", "direction", "digits", "margin")
ENTRY_KEYS = ("table", "row", "dataset", "metric", "value", "printed", "statistic", "n", "source", "status")
ENTRY_OPTIONS = ("margin", "row_id", "command", "not_run", "note")
ROW_KEYS = ("dataset",)
ROW_OPTIONS = ("samples", "quirks", "components", "own_components", "headline", "held_to")


@dataclass(frozen=True)
class Metric:
    """A score: direction is "higher" or "lower" (the better one); margin counts as the same, in the metric's unit."""

    name: str
    label: str
    unit: str
    direction: str
    digits: int
    margin: float


@dataclass(frozen=True)
class Row:
    """A row that a command of ours produces; samples, protocol and quirks are what a run's record must say to count.

    declared: its flags. held_to: the names of the flags that a run is held to. samples: size of each split, the test
    split last. quirks: {name: the choices that count}; official where not listed.
    """

    declared: Declared
    dataset: str
    held_to: tuple[str, ...]
    samples: tuple[int, ...] = ()
    quirks: dict[str, list[str]] = field(default_factory=dict)
    components: tuple[str, ...] = ()
    headline: str | None = None

    @property
    def id(self) -> str:
        return self.declared.id

    @property
    def command(self) -> str:
        return self.declared.command

    @property
    def protocol(self) -> dict[str, Any]:
        """{flag: value} of the row's command, for the flags that a run is held to. It imports the row's script."""
        settings = settings_of(self.declared.module, self.declared.flags)
        return {name: settings[name] for name in self.held_to}


@dataclass(frozen=True)
class Entry:
    """One printed number. Exactly one of row_id (a command of ours) and not_run (why there is none) is given."""

    table: str
    row: str
    dataset: str
    metric: str
    value: float
    printed: str
    statistic: str
    n: int | None
    source: str
    status: str
    margin: float
    row_id: str | None = None
    not_run: str | None = None
    note: str | None = None

    @property
    def half_digit(self) -> float:
        """Half a unit of the last printed digit: 0.05 for "51.1"."""
        decimals = len(self.printed.partition(".")[2])
        return float(Decimal(5).scaleb(-decimals - 1))


@dataclass(frozen=True)
class Paper:
    """A reported/<paper>.yaml, checked. `aliases` maps a row id to the row whose runs stand behind it.

    tradeoffs: pairs (x, y) of metrics that the report draws against each other.
    """

    name: str
    title: str
    citation: str
    sources: dict[str, str]
    metrics: dict[str, Metric]
    rows: dict[str, Row]
    aliases: dict[str, str]
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = ()
    evaluation_flags: tuple[str, ...] = ()
    tradeoffs: tuple[tuple[str, str], ...] = ()

    def row(self, row_id: str | None) -> Row | None:
        """The row with this id, through its alias; None for an id that the paper does not have."""
        return self.rows.get(self.aliases.get(row_id, row_id)) if row_id else None


def load_all(folder: Path = FOLDER) -> list[Paper]:
    """Every reported/*.yaml, by file name. Raises UserError where there is none or one is wrong."""
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise UserError(f"{folder}: no reported numbers found, expected <paper>.yaml files")
    return [load(file) for file in files]


def load(file: Path) -> Paper:
    """Read one file. Raises UserError that names the file and the entry for anything missing, unknown or doubled."""
    try:
        head = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML: {error}") from error
    _require(head, HEAD_KEYS, f"{file}")
    metrics = {name: _metric(name, given, f"{file}: metric {name}") for name, given in head["metrics"].items()}
    rows, aliases = _rows(head, file)
    paper = Paper(
        name=head["paper"],
        title=head["title"],
        citation=head["citation"],
        sources=head["sources"],
        metrics=metrics,
        rows=rows,
        aliases=aliases,
        entries=tuple(_entry(given, f"{file}: entry {i}", metrics) for i, given in enumerate(head["numbers"], start=1)),
        seeds=tuple(head.get("seeds", ())),
        evaluation_flags=tuple(head.get("evaluation_flags", ())),
        tradeoffs=tuple((pair["x"], pair["y"]) for pair in head.get("tradeoffs", ())),
    )
    _check_references(paper, file)
    return paper


def _require(given: Any, keys: tuple[str, ...], where: str, options: tuple[str, ...] | None = None) -> None:
    """Every one of keys, and, unless options is None, no key beyond keys and options."""
    if not isinstance(given, dict):
        raise UserError(f"{where}: found {type(given).__name__}, expected a mapping with {', '.join(keys)}")
    missing = [key for key in keys if key not in given]
    if missing:
        raise UserError(f"{where}: missing {', '.join(missing)}")
    if options is None:
        return
    unknown = [key for key in given if key not in keys + options]
    if unknown:
        raise UserError(f"{where}: unknown {', '.join(unknown)}, expected {', '.join(keys + options)}")


def _one_of(value: Any, allowed: Iterable[str], what: str, where: str) -> None:
    if value not in allowed:
        raise UserError(f"{where}: unknown {what} {value!r}, expected one of {', '.join(allowed)}")


def _metric(name: str, given: Any, where: str) -> Metric:
    _require(given, METRIC_KEYS, where, options=())
    _one_of(given["direction"], ("higher", "lower"), "direction", where)
    return Metric(name, **{**given, "margin": _margin(given["margin"], where)})


def _margin(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UserError(f"{where}: margin {value!r}, expected a number of at least 0")
    return float(value)


def _rows(head: dict[str, Any], file: Path) -> tuple[dict[str, Row], dict[str, str]]:
    """{row id: row} of those with a command, and {row id: row id whose runs stand behind it}."""
    declared = read_rows(file.parent.parent / "tables" / f"{file.stem}.rows")
    shared = head.get("row_defaults", {})
    for module in shared:
        _one_of(module, head["held_to"], "script in held_to", f"{file}: row_defaults")
    aliases = {row_id: own["same_as"] for row_id, own in head["rows"].items() if _is_alias(own)}
    for row_id in head["rows"]:
        if row_id not in declared and row_id not in aliases:
            raise UserError(f"{file}: row {row_id}: tables/{file.stem}.rows has no such row")
    rows: dict[str, Row] = {}
    for row_id, row in declared.items():
        where = f"{file}: row {row_id}"
        if row_id not in head["rows"] and row.module not in shared:
            raise UserError(f"{file}: no row {row_id}, which tables/{file.stem}.rows has")
        own = head["rows"].get(row_id, {})
        _require(own, (), where, ROW_KEYS + ROW_OPTIONS)
        given = {**shared.get(row.module, {}), **own}
        _require(given, ROW_KEYS, where, ROW_OPTIONS)
        _one_of(row.module, head["held_to"], "script in held_to", where)
        rows[row_id] = Row(
            row,
            given["dataset"],
            held_to=(*head["held_to"][row.module], *given.get("held_to", ())),
            samples=tuple(given.get("samples", ())),
            quirks=given.get("quirks", {}),
            components=(*given.get("components", ()), *given.get("own_components", ())),
            headline=given.get("headline"),
        )
    for row_id, target in aliases.items():
        _one_of(target, rows, "row in same_as", f"{file}: row {row_id}")
    return rows, aliases


def _is_alias(given: Any) -> bool:
    return isinstance(given, dict) and set(given) == {"same_as"}


def _entry(given: Any, where: str, metrics: dict[str, Metric]) -> Entry:
    _require(given, ENTRY_KEYS, where, ENTRY_OPTIONS)
    where = f"{where} ({given['table']}, {given['row']}, {given['dataset']}, {given['metric']})"
    _one_of(given["metric"], metrics, "metric", where)
    _one_of(given["statistic"], STATISTICS, "statistic", where)
    _one_of(given["status"], STATUSES, "status", where)
    if (given.get("row_id") is None) == (given.get("not_run") is None):
        raise UserError(f"{where}: needs either row_id (the command behind it) or not_run (why there is none)")
    if given.get("command") is not None:
        raise UserError(f"{where}: command {given['command']!r}, expected it in rows, under row_id")
    if given["n"] is not None and (not isinstance(given["n"], int) or given["n"] < 1):
        raise UserError(f"{where}: n is {given['n']!r}, expected a whole number of runs or null")
    _check_printed(given["value"], given["printed"], where)
    margin = _margin(given.get("margin", metrics[given["metric"]].margin), where)
    optional = {key: given.get(key) for key in ("row_id", "not_run", "note")}
    return Entry(**{key: given[key] for key in ENTRY_KEYS}, margin=margin, **optional)


def _check_printed(value: Any, printed: Any, where: str) -> None:
    try:
        same = isinstance(printed, str) and Decimal(printed) == Decimal(str(value))
    except InvalidOperation:
        same = False
    if not same:
        raise UserError(f"{where}: value {value!r} and printed {printed!r} disagree, expected the same number")


def _check_references(paper: Paper, file: Path) -> None:
    for pair in paper.tradeoffs:
        for name in pair:
            _one_of(name, paper.metrics, "metric", f"{file}: tradeoffs")
    seen = set()
    for entry in paper.entries:
        where = f"{file}: entry ({entry.table}, {entry.row}, {entry.dataset}, {entry.metric})"
        key = (entry.table, entry.row, entry.dataset, entry.metric)
        if key in seen:
            raise UserError(f"{where}: stands twice")
        seen.add(key)
        _one_of(entry.source, paper.sources, "source", where)
        if entry.row_id is None:
            continue
        row = paper.row(entry.row_id)
        if row is None:
            raise UserError(f"{where}: unknown row_id {entry.row_id!r}, expected one of {', '.join(paper.rows)}")
        if row.dataset != entry.dataset:
            raise UserError(f"{where}: dataset differs from that of row {row.id}, {row.dataset}")
