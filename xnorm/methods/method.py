"""What a fusion method is: how its network is built, and in what it differs from the other methods."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from xnorm.losses import Losses, LossWeights, logits_objective


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the networks are built with; the defaults are the published ones."""

    num_classes: int = 8
    hidden: int = 128  # outputs of I3D's new head, width of the classifiers
    dropout: float = 0.1  # of I3D's head and of the classifiers; of misa's fusion alone
    weight: float = 0.5  # late, xnorm: share of the RGB logits
    narrow: int = 1  # I3D's channels are divided by it
    readout: str = "official"  # mult: what it reads (quirk mult_readout)
    frozen_bn: str = "official"  # misa, mult: what the norms of the frozen encoders do (quirk frozen_bn)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A fusion method. What it leaves out is as in most methods.

    build: the network, drawn from torch's generator in the published order. It is called as network(rgb, flow), and
    returns logits (B, num_classes), or what has them as `logits`. Parameters that it freezes get no step.
    objective: what training minimises, of the network's output and the labels (B,).
    """

    build: Callable[[Sizes], nn.Module]
    objective: Callable[[Any, Tensor, LossWeights], Losses] = logits_objective
    streams: tuple[str, ...] = ("rgb", "flow")  # what it reads; the published script decodes both for all
    reads_maps: bool = False  # I3D's last maps, without the head that pools them: it takes clips of any size
    heads: tuple[str, ...] = ()  # whose losses are weighed against each other, by an estimate before the training
    checkpoint: str = "{fusion}_{ablation}_{seed}_{weight}.pt"  # name of the file that the published script writes
