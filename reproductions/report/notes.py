"""Makes a table short: what every line says stands once above it, a sentence that several cells share once below."""

from collections import Counter

from reproductions.report.blocks import Block, Table, Text
from reproductions.report.layout_text import BLANK
from reproductions.report.verdicts import Verdict

SENTENCE = 24  # characters, from which on a repeated text is a sentence
FIRST_COLUMNS = 2  # always stay as they are: which row, and of what


def short(table: Table, keep: tuple[str, ...] = ()) -> list[Block]:
    """The table in as few words as say the same. keep: columns that stay whatever they hold.

    A column that says the same in each of three or more lines is left out and said above; one without any entry is
    left out. A repeated sentence behind a verdict, or alone in its cell, becomes a mark, [a], and stands below.
    """
    columns = range(len(table.header))
    of = [tuple(row[i] for row in table.rows) for i in columns]
    fixed = {i for i in columns if i < FIRST_COLUMNS or table.header[i] in keep}
    alike = [i for i in columns if i not in fixed and len(table.rows) >= 3 and len(set(of[i])) == 1]
    empty = [i for i in columns if i not in fixed and set(of[i]) == {BLANK}]
    left = [i for i in columns if i not in alike and i not in empty]
    said = [f"{table.header[i]} {_sentence(of[i][0])}" for i in alike if i not in empty]
    sentences = [_split(cell)[1] for i in left if i >= FIRST_COLUMNS for cell in of[i]]
    repeated = Counter(text for text in sentences if len(text) >= SENTENCE)
    marks = {text: f"[{chr(ord('a') + n)}]" for n, text in enumerate(t for t, count in repeated.items() if count > 1)}
    rows = tuple(tuple(row[i] if i < FIRST_COLUMNS else _marked(row[i], marks) for i in left) for row in table.rows)
    above = [Text(f"In every line: {'; '.join(said)}.")] if said else []
    below = [Text(" ".join(f"{mark} {text}." for text, mark in marks.items()))] if marks else []
    return [*above, Table(tuple(table.header[i] for i in left), rows), *below]


def _sentence(cell: str) -> str:
    verdict, text = _split(cell)
    return f"{verdict} ({text})" if verdict and text else cell


def _split(cell: str) -> tuple[str, str]:
    """(verdict or nothing, what is said of it) of a cell: `NOT RUN (reason)`, `MATCH: reason`, `reason`."""
    verdict = next((name.value for name in Verdict if cell.startswith(name.value)), "")
    rest = cell.removeprefix(verdict).strip()
    if verdict and rest.startswith("(") and rest.endswith(")"):
        return verdict, rest[1:-1]
    return verdict, rest.removeprefix(": ").removeprefix(":").strip()


def _marked(cell: str, marks: dict[str, str]) -> str:
    verdict, text = _split(cell)
    return f"{verdict} {marks[text]}".strip() if text in marks else cell
