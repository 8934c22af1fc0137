"""Which epoch is the best so far, and when training ends: by the rule that a loop names."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any

from torch import Tensor, nn

from common.checkpoint import cpu_state


@dataclass
class Best:
    """The best epoch so far: the one whose score is strictly better than all before it.

    higher: whether a higher score is better. score: of the best epoch. Where it starts with a number, an epoch that is
    no better than that is never kept; where it starts with None, the first epoch always is, and so is every next one
    until a score is no NaN. epoch: None before there is one. weights: the model's then, on the CPU, where `update` gets
    the model.
    """

    higher: bool
    score: float | None = None
    epoch: int | None = None
    weights: dict[str, Tensor] | None = None

    def update(self, epoch: int, score: float, model: nn.Module | None = None) -> bool:
        """Take in an epoch; whether it is the best so far."""
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
        """Give the model the weights of the best epoch; returns that epoch. Raises ValueError where none was kept."""
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
    """Ends training after `patience` epochs in a row without a score strictly better than the best so far.

    best: the rule and the score to beat. waited: epochs in a row without a better one.
    """

    best: Best
    patience: int
    waited: int = 0

    def update(self, epoch: int, score: float, model: nn.Module | None = None) -> bool:
        """Take in an epoch; whether it is the best so far."""
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
