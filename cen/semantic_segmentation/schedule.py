"""When what happens: stages of training, their learning rates, and validation epochs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EpochPlan:
    """One epoch: its number (from 0, over all stages), its stage, the rates of encoder and decoder."""

    epoch: int
    stage: int
    lr_enc: float
    lr_dec: float
    opens_stage: bool
    closes_stage: bool
    validates: bool


def epoch_plans(
    num_epoch: Sequence[int],
    lr_enc: Sequence[float],
    lr_dec: Sequence[float],
    val_every: int,
    epoch_start: int = 0,
) -> Iterator[EpochPlan]:
    """The epochs from `epoch_start` on, stage by stage.

    num_epoch, lr_enc, lr_dec: one value a stage. Validation falls on every `val_every`-th epoch counted from
    the start of the stage, or from `epoch_start` in the stage that it lies in.
    """
    epoch, end = epoch_start, 0
    for stage, (count, enc, dec) in enumerate(zip(num_epoch, lr_enc, lr_dec, strict=True)):
        end += count
        left = max(0, end - epoch)
        for index in range(left):
            yield EpochPlan(epoch, stage, enc, dec, index == 0, index == left - 1, (index + 1) % val_every == 0)
            epoch += 1


@dataclass
class Stages:
    """The plan of a run, and where in it the run is; a checkpoint keeps the latter.

    num_epoch, lr_enc, lr_dec, val_every: see `epoch_plans`.
    start: the epoch that the plan began with, also where a run was interrupted since: validation is counted from it.
    seconds: of training in the current stage so far.
    """

    num_epoch: Sequence[int]
    lr_enc: Sequence[float]
    lr_dec: Sequence[float]
    val_every: int
    start: int = 0
    seconds: float = 0.0

    def plans(self, done: int) -> Iterator[EpochPlan]:
        """The epochs after `done`, the last finished one."""
        plans = epoch_plans(self.num_epoch, self.lr_enc, self.lr_dec, self.val_every, self.start)
        return (plan for plan in plans if plan.epoch > done)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"start": self.start, "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.start, self.seconds = state["start"], state["seconds"]
