"""Which epoch is the best so far, and when training ends because no better one has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from torch import Tensor, nn

from common.checkpoint import cpu_state


@dataclass
class Best:
    """The best epoch so far: the first with a score strictly better than all scores before it.

    higher: whether a higher score is better.
    score: of the best epoch. A number to start with has to be beaten. With None the first epoch is always kept, and a
    score of NaN is replaced by the next one.
    epoch: None until one is kept.
    weights: the model's in that epoch, on the CPU, if `update` is given the model.
    """

    higher: bool
    score: float | None = None
    epoch: int | None = None
    weights: dict[str, Tensor] | None = None

    def update(self, epoch: int, score: float, model: nn.Module | None = None) -> bool:
        """Take in an epoch; returns whether it is the best so far."""
        if not self._is_better(score):
            return False
        self.score, self.epoch = score, epoch
        if model is not None:
            self.weights = cpu_state(model)
        return True

    def _is_better(self, score: float) -> bool:
        if self.score is None or isnan(self.score):
            return True
        return score > self.score if self.higher else score < self.score

    def restore(self, model: nn.Module) -> int:
        """Load the best epoch's weights into the model; returns that epoch. Raises ValueError if there are none."""
        if self.weights is None or self.epoch is None:
            raise ValueError("no epoch was kept")
        model.load_state_dict(self.weights)
        return self.epoch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"epoch": self.epoch, "score": self.score, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.epoch, self.score, self.weights = state["epoch"], state["score"], state["weights"]


@dataclass
class EarlyStopping:
    """Ends training after `patience` epochs in a row without a new best one; a patience of 0 after the first epoch.

    best: the rule, and the score to beat. waited: epochs in a row without a better one.
    """

    best: Best
    patience: int
    waited: int = 0

    def update(self, epoch: int, score: float, model: nn.Module | None = None) -> bool:
        """Take in an epoch; returns whether it is the best so far."""
        is_better = self.best.update(epoch, score, model)
        self.waited = 0 if is_better else self.waited + 1
        return is_better

    @property
    def over(self) -> bool:
        """Whether training ends."""
        return self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"waited": self.waited, "best": self.best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.waited = state["waited"]
        self.best.load_state_dict(state["best"])
