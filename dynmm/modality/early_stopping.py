"""When a checkpoint is kept and when training ends, as the published loop decides it."""

from dataclasses import dataclass
from typing import Any

PATIENCE = 7  # epochs without a better score that are borne; the next one ends the training


@dataclass
class EarlyStopping:
    """The best score on the validation set so far, and for how many epochs none was better.

    higher: whether a higher score is better. best starts at 0 where it is (macro F1: an epoch that scores 0 is
    never kept), at 10000 where lower is better (a loss). waited: epochs in a row without a better score.
    """

    higher: bool
    best: float = 0.0
    waited: int = 0
    best_epoch: int | None = None

    @classmethod
    def start(cls, higher: bool) -> "EarlyStopping":
        """Nothing seen yet."""
        return cls(higher, best=0.0 if higher else 10000.0)

    def update(self, epoch: int, score: float) -> bool:
        """Take in an epoch's score; whether it is the best so far, and the weights are to be kept."""
        better = score > self.best if self.higher else score < self.best
        if better:
            self.best, self.best_epoch, self.waited = score, epoch, 0
        else:
            self.waited += 1
        return better

    @property
    def over(self) -> bool:
        """Whether training ends: after the eighth epoch in a row without a better score."""
        return self.waited > PATIENCE

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best": self.best, "waited": self.waited, "best_epoch": self.best_epoch}
