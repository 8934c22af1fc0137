"""What an exact resume needs beside the weights: the parts of a loop that have a state, and the random states."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from common.checkpoint import load_published
from common.errors import UserError
from common.processes import Processes
from common.run import Run

OTHER_VERSION = "another version of this script wrote it; start anew with --overwrite"


class Stateful(Protocol):
    """An optimizer, a schedule, a scaler, the best epoch so far: anything that a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Go on from what `state_dict` returned."""
        ...


class TrainState:
    """The parts of a training loop that change from epoch to epoch, saved and restored together.

    parts: by the names that they have in a checkpoint; a part may be a list, for example of optimizers. They are
    restored in the order given: put a schedule before its optimizer, whose rates it may set.
    epoch: the last finished one; `start` before the first.
    """

    def __init__(
        self, device: torch.device, procs: Processes, start: int = 0, **parts: Stateful | Sequence[Stateful]
    ) -> None:
        self.device, self.procs, self.epoch, self.parts = device, procs, start, parts

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps. Call it in every process: it gathers the random states of all of them."""
        states = {name: _saved(part) for name, part in self.parts.items()}
        return {"epoch": self.epoch, **states, "random": random_states(self.device, self.procs)}

    def load_state_dict(self, saved: Mapping[str, Any] | None) -> None:
        """Go on exactly from what `state_dict` returned; None (a fresh start) changes nothing.

        Raises UserError for a part that the checkpoint lacks, ValueError for a list of another length.
        """
        if saved is None:
            return
        missing = [name for name in ("epoch", *self.parts, "random") if name not in saved]
        if missing:
            raise UserError(f"the checkpoint lacks '{missing[0]}': {OTHER_VERSION}")
        self.epoch = saved["epoch"]
        for name, part in self.parts.items():
            if isinstance(part, Sequence):
                for one, state in zip(part, saved[name], strict=True):
                    one.load_state_dict(state)
            else:
                part.load_state_dict(saved[name])
        set_random_state(saved["random"], self.procs)


def _saved(part: Stateful | Sequence[Stateful]) -> Any:
    return [one.state_dict() for one in part] if isinstance(part, Sequence) else part.state_dict()


def resume_or(run: Run, model: nn.Module, start: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What training goes on from: of a resumed run its last checkpoint, whose weights go into the model; else `start`.

    Called inside the run. The checkpoint has the weights under "model" and what a `TrainState` saved under "ours".
    """
    if not run.resumed:
        return start
    last = run.load_last()
    if "ours" not in last:
        raise UserError(f"{run.last}: holds nothing to go on from: {OTHER_VERSION}")
    load_published(model, last["model"], run.last)
    return last["ours"]


def random_states(device: torch.device, procs: Processes) -> list[dict[str, Tensor]]:
    """State of torch's generators in every process: the CPU's and, on CUDA, the device's."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return procs.gather(state)


def set_random_state(states: Sequence[Mapping[str, Tensor]], procs: Processes) -> None:
    """Restore this process's own random state from what `random_states` returned.

    Where there are more processes now than then, some share a state.
    """
    state = states[procs.rank % len(states)]
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
