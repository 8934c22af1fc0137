"""How far a training run has come, and what a checkpoint needs to go on from there exactly."""

from collections.abc import Mapping
from math import isnan
from typing import Any

import torch
from torch import Tensor, nn

from common.checkpoint import cpu_state
from common.cuda import Processes, set_random_state
from ucrn.schedule import Schedule


class Selected:
    """The epoch that a rule has chosen so far: its number, its score and the model's weights then."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {"epoch": 0, "score": None, "weights": None}
        self.epoch: int = state["epoch"]
        self.score: float | None = state["score"]
        self.weights: dict[str, Tensor] | None = state["weights"]

    def take(self, epoch: int, score: float, is_better: bool, model: nn.Module) -> bool:
        """Choose this epoch if it is better; returns `is_better`."""
        if is_better:
            self.epoch, self.score = epoch, score
            self.weights = cpu_state(model)
        return is_better

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"epoch": self.epoch, "score": self.score, "weights": self.weights}


class Progress:
    """State of the loop beside the model's weights.

    ours: what a checkpoint of ours holds under "ours", or None for a fresh start. done: last finished epoch;
    by_test: the epoch of the highest F1 on the test set (published); by_valid: of the lowest validation loss.
    """

    def __init__(self, ours: Mapping[str, Any] | None) -> None:
        self.ours = ours
        ours = ours or {}
        self.done: int = ours.get("epoch", 0)
        self.by_test = Selected(ours.get("by_test"))
        self.by_valid = Selected(ours.get("by_valid"))

    def restore(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        scaler: torch.amp.GradScaler,
        procs: Processes,
    ) -> None:
        """Behind a checkpoint of ours: optimizer, schedule, random state."""
        if self.ours is None:
            return
        schedule.load_state_dict(self.ours["schedule"])
        optimizer.load_state_dict(self.ours["optimizer"])
        scaler.load_state_dict(self.ours["scaler"])
        set_random_state(self.ours["random"], procs)

    def take(self, epoch: int, test_score: float, valid_loss: float, model: nn.Module) -> None:
        """Look whether this epoch is the best by either rule; the first one always is, until one is no NaN."""
        best, lowest = self.by_test.score, self.by_valid.score
        self.by_test.take(epoch, test_score, best is None or isnan(best) or test_score > best, model)
        self.by_valid.take(epoch, valid_loss, lowest is None or isnan(lowest) or valid_loss < lowest, model)

    def state(
        self,
        epoch: int,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        scaler: torch.amp.GradScaler,
        random: list[object],
    ) -> dict[str, Any]:
        """What a checkpoint holds as "ours"."""
        self.done = epoch
        return {
            "epoch": epoch,
            "by_test": self.by_test.state(),
            "by_valid": self.by_valid.state(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "scaler": scaler.state_dict(),
            "random": random,
        }
