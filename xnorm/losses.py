"""What a training objective returns, and the cross-entropy that every method has in it.

The further terms of a method stand beside its network, in xnorm/methods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class HasLogits(Protocol):
    """What a network returns that gives more than its logits."""

    @property
    def logits(self) -> Tensor:
        """The logits (B, num_classes) that are evaluated."""
        ...


Output = Tensor | HasLogits  # of a network: its logits (B, num_classes), or more than these


class Losses(NamedTuple):
    """total: what is minimised, a scalar. parts: its terms by name, without their weights, detached."""

    total: Tensor
    parts: dict[str, Tensor]


Objective = Callable[[Any, Tensor], Losses]  # of a network's output and the labels (B,) int64


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms that some methods have. heads: of gb's losses of the heads rgb, flow and joint."""

    diff: float = 0.3
    sim: float = 1.0
    recon: float = 1.0
    heads: tuple[float, ...] = ()


def logits_of(output: Output) -> Tensor:
    """The logits (B, num_classes) that are evaluated."""
    return output if isinstance(output, Tensor) else output.logits


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch, in float32 at least."""
    return F.cross_entropy(widen(logits), labels)


def logits_objective(output: Output, labels: Tensor, _: LossWeights) -> Losses:
    """The cross-entropy alone: the objective of all methods but misa and gb."""
    loss = cross_entropy(logits_of(output), labels)
    return Losses(loss, {"cross_entropy": loss.detach()})


def widen(x: Tensor) -> Tensor:
    """Half precision as float32; other tensors as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
