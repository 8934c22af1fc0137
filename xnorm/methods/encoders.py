"""The I3D encoders as the methods use them: with a small head of their own, or frozen and without one."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from common.backbones.i3d import I3D, LAST, widths
from common.backbones.i3d_weights import CHANNELS

FROZEN_BN = ("official", "eval")


def map_width(narrow: int = 1) -> int:
    """Channels of the encoders' last map: 1024 in the published network."""
    return widths(narrow)[LAST]


def head_encoder(stream: str, hidden: int, dropout: float, narrow: int = 1) -> I3D:
    """I3D of "rgb" or "flow" with `hidden` outputs in the place of the 400 classes; all of it is trained.

    The whole network is drawn, the head of 400 classes included, before the new head, as published.
    """
    encoder = I3D(CHANNELS[stream], dropout=dropout, narrow=narrow)
    encoder.replace_logits(hidden)
    return encoder


def head_features(logits: Tensor) -> Tensor:
    """The outputs (B, hidden, 1) of a replaced head as features (B, hidden).

    Raises ValueError for a head of several steps, which clips of more than 16 frames give.
    """
    if logits.shape[2] != 1:
        raise ValueError(f"clips that give {logits.shape[2]} steps: expected at most 16 frames")
    return logits.flatten(1)


class FrozenEncoders(nn.Module):
    """What MISA and MulT share: two I3Ds of which no parameter is trained, and their last maps as features.

    Their heads of 400 classes stay in the state dict, without a use.
    frozen_bn: "official" has their batch norms use and follow the statistics of training batches, as published;
    "eval" keeps the statistics of Kinetics.
    """

    streams: ClassVar[tuple[str, str]] = ("rgb", "flow")
    rgb_enc: I3D
    flow_enc: I3D

    def add_encoders(self, narrow: int, frozen_bn: str) -> None:
        """Add rgb_enc and flow_enc after what is there. Raises ValueError for another `frozen_bn`."""
        if frozen_bn not in FROZEN_BN:
            raise ValueError(f"frozen_bn {frozen_bn!r}: expected one of {', '.join(FROZEN_BN)}")
        for stream in self.streams:
            self.add_module(f"{stream}_enc", I3D(CHANNELS[stream], narrow=narrow).requires_grad_(False))
        self.frozen_bn = frozen_bn

    def train(self, mode: bool = True) -> "FrozenEncoders":
        """Train or eval mode; with frozen_bn "eval" the encoders always stay in eval mode."""
        super().train(mode)
        if self.frozen_bn == "eval":
            for stream in self.streams:
                getattr(self, f"{stream}_enc").eval()
        return self

    @torch.no_grad()
    def encode(self, rgb: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Clips (B, 3, T, H, W) and (B, 2, T, H, W) -> the last maps (B, width, T', H', W') of both."""
        return self.rgb_enc.run(rgb), self.flow_enc.run(flow)
