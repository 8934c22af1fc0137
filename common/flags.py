"""The flags that every training and evaluation script gets beside its published ones."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

from common.errors import UserError


@dataclass(frozen=True)
class Quirk:
    """A point where the published code and the paper, or common sense, part.

    choices: the first is the default, what produced the published numbers. effect: one line for users.
    """

    name: str
    choices: tuple[str, str]
    effect: str


class _ListQuirks(argparse.Action):
    def __init__(self, quirks: list[Quirk], **kwargs: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **kwargs)
        self.quirks = quirks

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        for quirk in self.quirks:
            default, other = quirk.choices
            print(f"{quirk.name}={default} (default) | {other}\n    {quirk.effect}")
        parser.exit()


def add_run_flags(parser: argparse.ArgumentParser, quirks: list[Quirk]) -> None:
    """Add our own flags; --gpu and --resume only where the published script has none."""
    group = parser.add_argument_group("ours")
    known = parser._option_string_actions
    if "--gpu" not in known:
        group.add_argument("--gpu", type=int, nargs="+", default=[0], metavar="I", help="CUDA devices; -1 is the CPU")
    if "--resume" not in known:
        group.add_argument("--resume", default="", metavar="PATH", help="a checkpoint, or auto: the run folder's last")
    add = group.add_argument
    add("--run-dir", type=Path, metavar="DIR", help="run folder (default runs/<paper>/<script>/<name>)")
    add("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="autocast; fp32 as published")
    add("--channels-last", action="store_true", help="channels_last memory format: same arithmetic, other rounding")
    add("--compile", action="store_true", help="torch.compile the model: same arithmetic, other rounding")
    add("--max-steps", type=positive, metavar="N", help="end every epoch after N steps; the run is marked as shortened")
    add("--overwrite", action="store_true", help="start anew in a run folder that holds another run")
    add(
        "--weights-are-published",
        action="store_true",
        help="your word that the weights given are the published ones; needed where their hash is not known here",
    )
    add("--row", metavar="ID", help="the reported row that this run reproduces (set by the table scripts)")
    add("--quirk", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="see --list-quirks")
    add("--list-quirks", action=_ListQuirks, quirks=quirks, help="every quirk with its default and effect")


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The values of the flags that every script has. Each script's own settings inherit from it: a field for each flag.

    FREE: fields that may change when a run is resumed, since they change no number. `quirk` is among them: it is what
    was typed, and what was chosen is compared as `quirks`.
    """

    gpu: tuple[int, ...]  # CUDA devices; -1 is the CPU
    resume: str  # a checkpoint, "auto" (the run folder's last), or ""
    run_dir: Path | None  # None: runs/<paper>/<script>/<name>
    precision: str  # fp32, bf16 or fp16
    channels_last: bool  # memory format of the model
    compile: bool  # torch.compile the model
    max_steps: int | None  # of an epoch; the run is then marked as shortened
    overwrite: bool  # start anew in a folder that holds another run
    weights_are_published: bool  # the user's word, for files whose hash is not known
    row: str | None  # the reported row that the run reproduces
    quirk: tuple[str, ...]  # NAME=VALUE as typed
    quirks: Mapping[str, str]  # {name: choice} of every quirk of the script

    FREE: ClassVar[frozenset[str]] = frozenset({"gpu", "resume", "run_dir", "overwrite", "row", "quirk"})

    @classmethod
    def of(cls, args: argparse.Namespace, **completed: Any) -> Self:
        """The settings of parsed flags; lists become tuples.

        completed: values of fields that are no flag, or that the flags leave open.
        Raises TypeError for a flag without a field, and for a field without a value.
        """
        given = {**vars(args), **completed}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        return cls(**values)

    def recorded(self) -> dict[str, Any]:
        """{field: value} for run.json."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def parse_quirks(given: Sequence[str], quirks: Sequence[Quirk]) -> dict[str, str]:
    """{name: choice} for `--quirk NAME=VALUE ...`, defaults for the others. Raises UserError for unknown ones."""
    chosen = {quirk.name: quirk.choices[0] for quirk in quirks}
    choices = {quirk.name: quirk.choices for quirk in quirks}
    for item in given:
        name, _, value = item.partition("=")
        if name not in choices:
            raise UserError(f"--quirk {item}: no quirk '{name}'; there are: {', '.join(choices)} (--list-quirks)")
        if value not in choices[name]:
            raise UserError(f"--quirk {item}: expected {name}={'|'.join(choices[name])}")
        chosen[name] = value
    return chosen


def boolean(text: str) -> bool:
    """Type of a flag that takes true or false (also yes, no, 1, 0)."""
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, found '{text}'")
    return values[text.lower()]


def positive(text: str) -> int:
    """Type of a flag that takes a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found '{text}'")
    return int(text)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UserError, with a message of one line, for a bad command line."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError; argparse calls it."""
        raise UserError(f"{message} (see {self.prog} --help)")
