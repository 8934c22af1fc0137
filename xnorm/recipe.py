"""How both tasks are trained: the optimizer, when the learning rate falls, and which epoch is kept."""

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from common.checkpoint import cpu_state
from common.training.selection import Best, EarlyStopping


def build_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW over all parameters, weight decay on each; frozen ones get no gradient, and so neither step nor decay."""
    return torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)


def build_plateau(optimizer: torch.optim.Optimizer, when: int) -> ReduceLROnPlateau:
    """Halves the rate after more than `when` epochs whose validation loss is not 0.01 % below the lowest so far."""
    return ReduceLROnPlateau(optimizer, mode="min", patience=when, factor=0.5)


def build_selection(patience: int) -> tuple[Best, EarlyStopping]:
    """The epoch that is tested: of the highest validation accuracy, strictly above 0. When training ends: after
    `patience` epochs in a row without a validation loss strictly below the lowest so far, which starts at 1e8."""
    return Best(higher=True, score=0.0), EarlyStopping(Best(higher=False, score=1e8), patience)


def keep_best(best: Best, epoch: int, accuracy: float, model: nn.Module) -> bool:
    """Take in an epoch; whether its weights are kept.

    While the accuracy is 0, the first epoch's are: the published script then keeps none, and has nothing to test.
    """
    if best.update(epoch, accuracy, model):
        return True
    if best.weights is not None:
        return False
    best.epoch, best.weights = epoch, cpu_state(model)
    return True
