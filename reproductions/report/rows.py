"""The rows of the table scripts, tables/<paper>.rows: the one place where the flags that make a row are declared.

A line is `name | what it shows | module and flags | rows whose result it starts from`; the last part may be missing,
and # begins a comment. The scripts read the same files without Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from common.errors import UserError

TABLES = Path(__file__).parents[1] / "tables"


@dataclass(frozen=True)
class Declared:
    """A line of such a file. flags: as typed, without data, seed and run folder; after: rows that it starts from."""

    id: str
    shows: str
    module: str
    flags: tuple[str, ...]
    after: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line of a run that names the row."""
        return " ".join(["python -m", self.module, *self.flags, "--row", self.id])


def read_rows(file: Path) -> dict[str, Declared]:
    """{name: row}. Raises UserError that names the file and the line for one that is not whole or stands twice."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read: {error}") from error
    rows: dict[str, Declared] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = _row(line, f"{file}: line {number}")
        if row.id in rows:
            raise UserError(f"{file}: line {number}: row {row.id} stands twice")
        rows[row.id] = row
    for row in rows.values():
        missing = [name for name in row.after if name not in rows]
        if missing:
            raise UserError(f"{file}: row {row.id} starts from {', '.join(missing)}, which the file does not have")
    return rows


def _row(line: str, where: str) -> Declared:
    parts = [part.strip() for part in line.split("|")]
    if len(parts) not in (3, 4) or not all(parts[:3]):
        raise UserError(f"{where}: found {line!r}, expected `name | what it shows | module flags [| rows before it]`")
    module, *flags = parts[2].split()
    return Declared(parts[0], parts[1], module, tuple(flags), tuple(parts[3].split()) if len(parts) == 4 else ())


@cache
def settings_of(module: str, flags: Sequence[str]) -> dict[str, Any]:
    """What run.json would record as "args" for `python -m MODULE FLAGS`: published defaults where a flag is not given.

    The script's module (for a package, its main) imports the one function that reads its flags, read_flags or
    read_..._flags. flags: a tuple, as its result is kept. Lists are lists, as in JSON.
    """
    script = import_module(module)
    if hasattr(script, "__path__"):
        script = import_module(f"{module}.main")
    (reader,) = (name for name in vars(script) if name.startswith("read_") and name.endswith("flags"))
    recorded = getattr(script, reader)(list(flags)).recorded()
    return {name: list(value) if isinstance(value, tuple) else value for name, value in recorded.items()}
