"""Which epoch is the best: by the ensemble's mean IoU, on the images that the scores are reported on, as published."""

from collections.abc import Mapping
from typing import Any

from cen.semantic_segmentation.evaluate import Validation
from common.training.selection import Best


class Selection:
    """The best and the latest validation of a run.

    best: by the ensemble's mIoU; only a score above `start`, that of the checkpoint gone on from, is one.
    stored: what the checkpoint of the latest validation says as `best_val`. The published script writes the latest
    score there even if it is not the best; ours does too, and goes on from `best`.
    seen: highest mIoU of any output so far: decides the note "(best)" of the printed lines, nothing else.
    best_scores, last_scores: {"epoch", metrics} of the best and of the latest validation, if there was one.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.best = Best(higher=True, score=start)
        self.stored = start
        self.seen = 0.0
        self.best_scores: dict[str, Any] | None = None
        self.last_scores: dict[str, Any] | None = None

    def update(self, epoch: int, miou: float) -> bool:
        """Take in the ensemble's mIoU; whether it is the best so far."""
        self.stored = miou
        return self.best.update(epoch, miou)

    def take(self, epoch: int, validation: Validation) -> bool:
        """Take in a validation; whether its ensemble is the best so far."""
        self.seen = max(self.seen, *(scores.miou for scores in validation.outputs.values()))
        self.last_scores = {"epoch": epoch, **validation.metrics()}
        is_best = self.update(epoch, validation.miou)
        if is_best:
            self.best_scores = self.last_scores
        return is_best

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {**vars(self), "best": self.best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.best.load_state_dict(state["best"])
        self.stored, self.seen = state["stored"], state["seen"]
        self.best_scores, self.last_scores = state["best_scores"], state["last_scores"]
