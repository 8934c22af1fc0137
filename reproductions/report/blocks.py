"""The pieces of a report, without markup."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """level 1 is the report's title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning is one that nobody may overlook."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as the header has."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A PNG file's bytes, and what it shows in words."""

    png: bytes
    alt: str


Block = Heading | Text | Table | Figure
