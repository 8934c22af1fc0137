"""A small script's flags, and runs of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from common.flags import Parser, RunSettings, add_run_flags
from common.processes import Processes
from common.run import Run


@dataclass(frozen=True)
class Settings(RunSettings):
    """The settings of a small script."""

    lr: float = 0.1
    depths: tuple[int, ...] = (1, 2)
    paths: tuple[Path | str, ...] = ()
    num_workers: int = 0
    new_flag: int = 0
    FREE: ClassVar[frozenset[str]] = RunSettings.FREE | {"num_workers"}


@pytest.fixture
def flags():
    """Call it with a run folder (None: the default one) and changed flags; returns settings."""

    def parse(folder: Path | None, **changes: object) -> Settings:
        parser = Parser()
        add_run_flags(parser, [])
        given = {"run_dir": folder, "gpu": [-1], "quirks": {}, **changes}
        return Settings.of(parser.parse_args([]), **given)

    return parse


@pytest.fixture
def make_run(flags):
    """Call it with a run folder, processes, facts and changed flags; returns a Run that is not yet entered."""

    def make(
        folder: Path | None, procs: Processes | None = None, facts: dict[str, object] | None = None, **changes: object
    ) -> Run:
        given = facts or {"seed": 1}
        cpu = torch.device("cpu")
        command = "python -m duet.main --lr 0.1"
        return Run("duet", "main", "exp", flags(folder, **changes), cpu, procs or Processes(), command, given)

    return make
