"""How far a training has come, and what a checkpoint needs to go on from there exactly."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from common.checkpoint import cpu_state
from common.processes import Processes
from common.run import Run
from common.training.state import random_states, set_random_state
from dynmm.modality.checkpoints import MADE_BY
from dynmm.modality.early_stopping import EarlyStopping


class Progress:
    """State of the loop beside the network's weights.

    done: last finished epoch, -1 before the first. stopping: the best epoch so far. best: its weights, on the CPU,
    None before there is one. seconds: of training, over all interruptions.
    """

    def __init__(self, higher: bool, start: Mapping[str, Any] | None) -> None:
        self.start = start
        self.stopping = EarlyStopping.start(higher)
        self.done, self.seconds, self.best = -1, 0.0, None
        if start is not None:
            self.stopping = EarlyStopping(higher, **start["stopping"])
            self.done, self.seconds = start["epoch"], start["seconds"]
            self.best = start["model"] if self.stopping.best_epoch == self.done else start["best"]

    def restore(self, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, procs: Processes) -> None:
        """Optimizer, scaler and random state of the checkpoint that training goes on from, if there is one."""
        if self.start is not None:
            optimizer.load_state_dict(self.start["optimizer"])
            scaler.load_state_dict(self.start["scaler"])
            set_random_state(self.start["random"], procs)

    def save(
        self, run: Run, epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> None:
        """last.pt after an epoch, and best.pt where that epoch is the best so far."""
        self.done = epoch
        random = random_states(run.device, run.procs)
        is_best = self.stopping.best_epoch == epoch
        if is_best:
            self.best = cpu_state(model)
        state = {
            "made_by": MADE_BY,
            "model": model.state_dict(),
            "epoch": epoch,
            "best": None if is_best else self.best,  # is_best: "model" itself
            "stopping": self.stopping.state(),
            "seconds": self.seconds,
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict(),
            "random": random,
        }
        best = {"made_by": MADE_BY, "model": self.best, "epoch": epoch, "score": self.stopping.best}
        run.save(epoch, state, best if is_best else None)
        run.procs.wait()
