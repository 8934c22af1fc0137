"""How far a training run has come, and what a checkpoint needs to go on from there exactly."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cen.semantic_segmentation.evaluate import BestSeen, Validation
from cen.semantic_segmentation.schedule import BestScore
from common.processes import Processes
from common.training.state import set_random_state


class Progress:
    """State of the loop beside the network's weights.

    start: {"epoch_start", "best_val"}: training begins with that epoch, and only a higher score is a new
    best; or one of our checkpoints, with "ours": training goes on behind its epoch.

    done: last finished epoch; plan_start: where the plan of epochs began; best, last: {"epoch", metrics} of
    the best and the latest validation.
    """

    def __init__(self, start: Mapping[str, Any]) -> None:
        self.ours: Mapping[str, Any] | None = start.get("ours")
        ours = self.ours or {}
        self.plan_start: int = ours.get("plan_start", start["epoch_start"])
        self.done: int = start["epoch_start"] if self.ours else start["epoch_start"] - 1
        self.score = BestScore(ours.get("best", start["best_val"]), start["best_val"])
        self.seen = BestSeen(ours.get("seen", 0.0))
        self.best: dict[str, Any] | None = ours.get("best_scores")
        self.last: dict[str, Any] | None = ours.get("last_scores")
        self.stage_seconds: float = ours.get("stage_seconds", 0.0)

    def restore(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        scaler: torch.amp.GradScaler,
        procs: Processes,
        same_stage: bool,
    ) -> None:
        """Once, before the first epoch behind a checkpoint of ours: optimizers (of the same stage), random state."""
        if self.ours is None:
            return
        if same_stage:
            for optimizer, state in zip(optimizers, self.ours["optimizers"], strict=True):
                optimizer.load_state_dict(state)
        scaler.load_state_dict(self.ours["scaler"])
        set_random_state(self.ours["random"], procs)
        self.ours = None

    def take(self, epoch: int, validation: Validation) -> bool:
        """Take a validation in; whether its ensemble is the best so far."""
        self.last = {"epoch": epoch, **validation.metrics()}
        is_best = self.score.update(validation.miou)
        if is_best:
            self.best = self.last
        return is_best

    def state(
        self,
        epoch: int,
        optimizers: Sequence[torch.optim.Optimizer],
        scaler: torch.amp.GradScaler,
        random: Sequence[object],
    ) -> dict[str, Any]:
        """What a checkpoint holds beside "segmenter": the published keys, and "ours"."""
        self.done = epoch
        ours = {
            "plan_start": self.plan_start,
            "best": self.score.best,
            "seen": self.seen.miou,
            "best_scores": self.best,
            "last_scores": self.last,
            "stage_seconds": self.stage_seconds,
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "scaler": scaler.state_dict(),
            "random": list(random),
        }
        return {"epoch_start": epoch, "best_val": self.score.stored, "ours": ours}
