"""The learning rate of UCRN, stepped once after each epoch with its validation loss: four schedules."""

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


class Schedule:
    """One of torch's schedulers, stepped after each epoch as the published loop does it.

    The published loop hands the validation loss to every scheduler. The plateau wants it; CyclicLR takes it for the
    iteration and the cosine for the epoch, so that both stay where they start. fed_with_loss=False: those two count
    epochs (quirk schedule_step).
    """

    def __init__(
        self, optimizer: Optimizer, scheduler: LRScheduler | ReduceLROnPlateau, fed_with_loss: bool = True
    ) -> None:
        self.optimizer, self.scheduler = optimizer, scheduler
        misused = isinstance(scheduler, CyclicLR | CosineAnnealingWarmRestarts) and fed_with_loss
        self.wants_loss = misused or isinstance(scheduler, ReduceLROnPlateau)

    def step(self, valid_loss: float) -> None:
        """After an epoch."""
        if self.wants_loss:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The epoch parameter", UserWarning)  # it is the published misuse
                self.scheduler.step(valid_loss)  # type: ignore[arg-type]  # the misuse again: a loss for an epoch
        else:
            self.scheduler.step()  # type: ignore[call-arg]  # no plateau

    @property
    def lr(self) -> float:
        """The rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken. Load the optimizer's own state after it."""
        self.scheduler.load_state_dict(state)


# Making a scheduler sets the optimizer's rates, and CyclicLR its momentum too.


def build_plateau(optimizer: Optimizer, patience: int) -> ReduceLROnPlateau:
    """A tenth of the rate once `patience` epochs have brought no lower validation loss."""
    return ReduceLROnPlateau(optimizer, mode="min", factor=0.1, patience=patience)


def build_cyclic(optimizer: Optimizer, base_lr: float, max_lr: float, step_up: int) -> CyclicLR:
    """Up from base_lr to max_lr in `step_up` steps and down again; a momentum, if there is one, the other way."""
    momentum = any(key in optimizer.defaults for key in ("momentum", "betas"))
    return CyclicLR(optimizer, base_lr, max_lr, step_size_up=step_up, cycle_momentum=momentum)


def build_cosine(optimizer: Optimizer) -> CosineAnnealingWarmRestarts:
    """Down to 0 along a cosine, with a restart every 1000 steps."""
    return CosineAnnealingWarmRestarts(optimizer, T_0=1000)


def build_warmup(optimizer: Optimizer, epochs: int, stepper_size: int) -> SequentialLR:
    """From lr / epochs up to lr over so many epochs, then lr / 10 every `stepper_size` epochs.

    The published script stops with an error here.
    """
    rise = LinearLR(optimizer, start_factor=1 / max(epochs, 1), total_iters=max(epochs - 1, 0))
    return SequentialLR(optimizer, [rise, StepLR(optimizer, stepper_size)], milestones=[epochs])
