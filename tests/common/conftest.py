"""A small script's flags, and runs of it."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from common.cuda import Processes
from common.run import Run

FLAGS = {
    "run_dir": None,
    "row": None,
    "precision": "fp32",
    "max_steps": None,
    "overwrite": False,
    "resume": "",
    "gpu": [-1],
    "lr": 0.1,
    "depths": [1, 2],
}


@pytest.fixture
def flags():
    """Call it with a run folder (None: the default one) and changed flags; returns parsed arguments."""

    def parse(folder: Path | None, **changes: object) -> Namespace:
        return Namespace(**{**FLAGS, "run_dir": folder, **changes})

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
