"""Gradient-Blending (Wang et al., CVPR 2020; method `gb`): three heads, and the weights of their losses.

Before training, each head k (rgb, flow, joint) is trained alone for a few epochs. Its losses on the rows that it was
trained on, L_t, and on others, L_v, decide its weight:

    official   w_k ~ |L_v / O^2|  with the gap O = L_v - L_t at the end
    paper      w_k ~ G / O^2      with the gain G = L_v(start) - L_v(end) and the growth O of the gap L_v - L_t
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xnorm.losses import Losses, LossWeights, cross_entropy
from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_encoder, head_features
from xnorm.methods.method import Method

HEADS = ("rgb", "flow", "joint")
SMALLEST_GAP = 1e-4
# Blending weights of rgb, flow and joint that the published script holds for two of its seeds.
PUBLISHED_WEIGHTS = {1: (0.02495882, 0.95270437, 0.02233681), 2: (0.08169739, 0.84437539, 0.07392722)}


class Blended(NamedTuple):
    """Logits (B, num_classes) of the three heads; `joint` is the one that is evaluated."""

    rgb: Tensor
    flow: Tensor
    joint: Tensor

    @property
    def logits(self) -> Tensor:
        """Those that are evaluated."""
        return self.joint


class GradientBlending(nn.Module):
    """y_rgb = C_rgb(r), y_flow = C_flow(f), y_joint = C([r, f]) with the features r and f of the two encoders."""

    def __init__(self, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, narrow: int = 1) -> None:
        super().__init__()
        self.rgb_enc = head_encoder("rgb", hidden, dropout, narrow)
        self.rgb_out = Classifier(hidden, hidden, dropout, num_classes)
        self.flow_enc = head_encoder("flow", hidden, dropout, narrow)
        self.flow_out = Classifier(hidden, hidden, dropout, num_classes)
        self.out = Classifier(2 * hidden, hidden, dropout, num_classes)

    def forward(self, rgb: Tensor, flow: Tensor) -> Blended:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W) -> the logits of the three heads."""
        r, f = head_features(self.rgb_enc(rgb)), head_features(self.flow_enc(flow))
        return Blended(self.rgb_out(r), self.flow_out(f), self.out(torch.cat([r, f], dim=1)))


def blended_objective(output: Blended, labels: Tensor, weights: LossWeights) -> Losses:
    """w_rgb CE(rgb) + w_flow CE(flow) + w_joint CE(joint) with the weights `heads`. Raises ValueError without them."""
    if len(weights.heads) != len(HEADS):
        raise ValueError(f"three heads: expected a weight for each, found {len(weights.heads)}")
    rgb, flow, joint = (cross_entropy(logits, labels) for logits in output)
    total = weights.heads[0] * rgb + weights.heads[1] * flow + weights.heads[2] * joint
    return Losses(
        total,
        {"cross_entropy_rgb": rgb.detach(), "cross_entropy_flow": flow.detach(), "cross_entropy": joint.detach()},
    )


@dataclass
class Estimate:
    """How far the estimate of the heads' weights is; a checkpoint keeps it.

    first, losses: (L_t, L_v) of each head before (for the paper's formula) and after its training. network: the state
    of the head in training, where a checkpoint was written in the middle of it. weights: of the heads, once they are
    known.
    """

    first: list[tuple[float, float]] = field(default_factory=list)
    losses: list[tuple[float, float]] = field(default_factory=list)
    network: dict[str, Any] | None = None
    weights: list[float] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return vars(self).copy()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        vars(self).update(state)


def official_weight(train_loss: float, valid_loss: float) -> float:
    """|L_v / O^2|, not yet normalised. A gap O below 0 counts as 1e-4, and so does 0, where the script stops."""
    gap = valid_loss - train_loss
    return abs(valid_loss / (gap if gap > 0 else SMALLEST_GAP) ** 2)


def paper_weight(train_loss: float, valid_loss: float, first_train_loss: float, first_valid_loss: float) -> float:
    """G / O^2, not yet normalised; without a gain 0. A growth |O| below 1e-4 counts as 1e-4."""
    gain = max(first_valid_loss - valid_loss, 0.0)
    growth = (valid_loss - train_loss) - (first_valid_loss - first_train_loss)
    return gain / max(abs(growth), SMALLEST_GAP) ** 2


def blending_weights(
    losses: Sequence[tuple[float, float]], first_losses: Sequence[tuple[float, float]] | None = None
) -> list[float]:
    """The weights of the heads, sum 1; equal ones where no head has any.

    losses: (L_t, L_v) of each head at the end of its training. first_losses: the same before it; with these the
    paper's formula holds, without them the official one.
    """
    if first_losses is None:
        raw = [official_weight(*pair) for pair in losses]
    else:
        raw = [paper_weight(*pair, *first) for pair, first in zip(losses, first_losses, strict=True)]
    total = sum(raw)
    return [weight / total for weight in raw] if total > 0 else [1 / len(raw)] * len(raw)


GB = Method(
    build=lambda sizes: GradientBlending(sizes.num_classes, sizes.hidden, sizes.dropout, sizes.narrow),
    objective=blended_objective,
    heads=HEADS,
    checkpoint="gb_{seed}.pt",
)
