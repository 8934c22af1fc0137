"""When what happens: stages, validation epochs, and which checkpoint is the best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


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
    for stage, (count, *rates) in enumerate(zip(num_epoch, lr_enc, lr_dec, strict=True)):
        end += count
        left = max(0, end - epoch)
        for index in range(left):
            yield EpochPlan(epoch, stage, *rates, index == 0, index == left - 1, (index + 1) % val_every == 0)
            epoch += 1


@dataclass
class BestScore:
    """The best-checkpoint rule: a score strictly above the best so far is the new best.

    stored: what the file written for the latest score says as `best_val`. The authors' checkpoint of a score
    that is not better holds that lower score; our resume goes on from `best`.
    """

    best: float = 0.0
    stored: float = 0.0

    def update(self, score: float) -> bool:
        """Take a validation's score in; whether it is the new best."""
        self.stored = score
        if score > self.best:
            self.best = score
            return True
        return False
