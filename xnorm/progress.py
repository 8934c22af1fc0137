"""How far a training has come, and what a checkpoint needs to go on from there exactly."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from common.checkpoint import cpu_state
from common.run import Run
from common.training.state import random_states, set_random_state
from xnorm.checkpoints import content
from xnorm.schedule import BestAccuracy, EarlyStopping, ReduceLROnPlateau


class Progress:
    """State of the loop beside the model's weights.

    ours: what a checkpoint of ours holds under "ours", or None for a fresh start. done: last finished epoch (from 1), 0
    before the first. best: the epoch of the highest validation accuracy; weights: the model's then, or of epoch 1 while
    the accuracy is 0 (the published script then has nothing to test), on the CPU. estimate: of the blending weights.
    """

    def __init__(self, patience: int, ours: Mapping[str, Any] | None = None) -> None:
        self.ours = ours or {}
        self.done: int = self.ours.get("epoch", 0)
        self.best = BestAccuracy(**self.ours.get("best", {}))
        self.stopping = EarlyStopping(**self.ours.get("stopping", {"patience": patience}))
        self.weights: dict[str, torch.Tensor] | None = self.ours.get("weights")
        self.estimate: dict[str, Any] | None = self.ours.get("estimate")

    @property
    def selected(self) -> int:
        """The epoch that `weights` come from."""
        return self.best.epoch or 1

    def restore(
        self, optimizer: torch.optim.Optimizer, scheduler: ReduceLROnPlateau, scaler: torch.amp.GradScaler
    ) -> None:
        """Optimizer, schedule and scaler of the checkpoint, where it stands behind an epoch."""
        if self.done:
            scheduler.load_state_dict(self.ours["scheduler"])
            optimizer.load_state_dict(self.ours["optimizer"])
            scaler.load_state_dict(self.ours["scaler"])
        self.ours = {}  # it is large, and nothing asks for it again

    def restore_random(self, run: Run) -> None:
        """The random state of the checkpoint, each process its own; nothing on a fresh start."""
        if "random" in self.ours:
            set_random_state(self.ours["random"], run.procs)

    def take(self, epoch: int, accuracy: float, loss: float, model: nn.Module) -> bool:
        """Take in the validation of an epoch (from 1); whether its weights are kept."""
        self.done = epoch
        better = self.best.update(epoch, accuracy)
        self.stopping.update(loss)
        if better or self.weights is None:
            self.weights = cpu_state(model)
        return better or epoch == 1

    def save(
        self,
        run: Run,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: ReduceLROnPlateau,
        scaler: torch.amp.GradScaler,
        is_best: bool,
    ) -> None:
        """last.pt behind an epoch, and best.pt where its weights are kept."""
        ours = {
            "epoch": self.done,
            "best": self.best.state(),
            "stopping": self.stopping.state(),
            "weights": self.weights,
            "estimate": self.estimate,
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "scaler": scaler.state_dict(),
            "random": random_states(run.device, run.procs),
        }
        best = {**content(self.weights), "epoch": self.done, "accuracy": self.best.accuracy} if is_best else None
        run.save(self.done, {**content(model.state_dict()), "ours": ours}, best)
        run.procs.wait()

    def save_estimate(self, run: Run, model: nn.Module, estimate: dict[str, Any]) -> None:
        """last.pt within the estimate of the blending weights, before the first epoch. estimate: how far it is."""
        self.estimate = estimate
        ours = {"estimate": estimate, "random": random_states(run.device, run.procs)}
        run.save(0, {**content(model.state_dict()), "ours": ours})
        run.procs.wait()
