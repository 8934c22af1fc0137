"""Watching a training loss without waiting for the device at every step."""

from pathlib import Path

import torch
from torch import Tensor

from common.errors import UserError

EVERY = 25  # steps between two looks at a CUDA device


class LossWatch:
    """The losses of one epoch; raises UserError at the first that is not finite.

    On a CPU each loss is looked at before its update, on CUDA every 25 steps and at the end of the epoch.
    context: what the error says besides the step, for example the learning rate.
    last: the run's last checkpoint, which the error names too, if there is one.
    """

    def __init__(self, device: torch.device, context: str, last: Path | None = None) -> None:
        self.every = 1 if device.type == "cpu" else EVERY
        self.context = context
        if last is not None:
            self.context += f"; last good checkpoint: {last}" if last.exists() else "; no checkpoint yet"
        self.losses: list[Tensor] = []
        self.weights: list[float] = []
        self.checked = 0

    def add(self, loss: Tensor, weight: float = 1.0) -> None:
        """Take in a scalar, and its weight in the mean, for example the samples of a batch.

        Raises UserError naming the first step whose loss is NaN or infinite.
        """
        self.losses.append(loss.detach())
        self.weights.append(weight)
        if len(self.losses) - self.checked >= self.every:
            self._check()

    def mean(self) -> float:
        """Weighted mean over the epoch; checks what was not yet looked at. Raises UserError for one without steps."""
        if not self.losses:
            raise UserError(f"an epoch without steps, {self.context}")
        if self.checked < len(self.losses):
            self._check()
        weights = torch.tensor(self.weights, device=self.losses[0].device)
        return ((torch.stack(self.losses) * weights).sum() / weights.sum()).item()

    def _check(self) -> None:
        finite = torch.stack(self.losses[self.checked :]).isfinite()
        if not finite.all():
            step = self.checked + int((~finite).nonzero()[0])
            raise UserError(f"step {step}: the loss is {self.losses[step].item()}, {self.context}")
        self.checked = len(self.losses)
