"""When a checkpoint is kept, when the learning rate falls and when training ends, as the published loop decides it."""

from dataclasses import asdict, dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau


def plateau(optimizer: Optimizer, when: int) -> ReduceLROnPlateau:
    """Halves the rate after more than `when` epochs whose validation loss is not 0.01 % below the lowest so far."""
    return ReduceLROnPlateau(optimizer, mode="min", patience=when, factor=0.5)


@dataclass
class BestAccuracy:
    """The checkpoint rule: a validation accuracy strictly above the best so far, which starts at 0.

    epoch: of the best accuracy, 0 before there is one.
    """

    accuracy: float = 0.0
    epoch: int = 0

    def update(self, epoch: int, accuracy: float) -> bool:
        """Take in an epoch (from 1); whether it is the best so far."""
        better = accuracy > self.accuracy
        if better:
            self.accuracy, self.epoch = accuracy, epoch
        return better

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)


@dataclass
class EarlyStopping:
    """Ends training after `patience` epochs in a row without a validation loss strictly below the lowest so far."""

    patience: int
    lowest: float = 1e8
    waited: int = 0

    def update(self, loss: float) -> None:
        """Take in an epoch's validation loss."""
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
        else:
            self.waited += 1

    @property
    def over(self) -> bool:
        """Whether training ends."""
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)
