"""The learning rate of UCRN, stepped once after each epoch with its validation loss."""

import warnings
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LinearLR,
    LRScheduler,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from ucrn.flags import Settings


class Schedule:
    """`--schedule`: CyclicLR, calr (cosine with restarts), warmup, and for any other word the plateau.

    The published loop hands the validation loss to every schedule. The plateau wants it; CyclicLR takes it for the
    iteration and calr for the epoch, so that both stay where they start (quirk schedule_step=official; =epoch counts
    epochs). warmup: from lr / warm_epoch up to lr over warm_epoch epochs, then lr / 10 every stepper_size epochs; the
    published script stops with an error there. Construction changes the optimizer's rates (CyclicLR also its momentum).
    """

    def __init__(self, optimizer: Optimizer, settings: Settings) -> None:
        self.optimizer = optimizer
        self.by_loss = settings.quirks["schedule_step"] == "official"
        self.scheduler = build(optimizer, settings)

    def step(self, valid_loss: float) -> None:
        """After an epoch."""
        fed_with_loss = isinstance(self.scheduler, CyclicLR | CosineAnnealingWarmRestarts) and self.by_loss
        if fed_with_loss or isinstance(self.scheduler, ReduceLROnPlateau):
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The epoch parameter", UserWarning)  # it is the published misuse
                self.scheduler.step(valid_loss)  # type: ignore[arg-type]  # the misuse again: a loss for an epoch
        else:
            self.scheduler.step()

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken; the optimizer's own state is loaded behind it."""
        self.scheduler.load_state_dict(state)


def build(optimizer: Optimizer, settings: Settings) -> LRScheduler | ReduceLROnPlateau:
    """The schedule that the flags name."""
    if settings.schedule == "CyclicLR":
        momentum = any(key in optimizer.defaults for key in ("momentum", "betas"))
        rates = settings.base_lr, settings.max_lr
        return CyclicLR(optimizer, *rates, step_size_up=settings.step_up, cycle_momentum=momentum)
    if settings.schedule == "calr":
        return CosineAnnealingWarmRestarts(optimizer, T_0=1000)
    if settings.schedule == "warmup" and settings.lr_stepper == "steplr":
        epochs = settings.warm_epoch
        warm = LinearLR(optimizer, start_factor=1 / max(epochs, 1), total_iters=max(epochs - 1, 0))
        after = StepLR(optimizer, settings.stepper_size)
        return SequentialLR(optimizer, [warm, after], milestones=[epochs])
    return ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=settings.when)
