"""Early fusion: one classifier over the features of both streams (method `early`)."""

import torch
from torch import Tensor, nn

from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_encoder, head_features
from xnorm.methods.method import Method


class Early(nn.Module):
    """y = C([E_rgb(x_rgb), E_flow(x_flow)])."""

    def __init__(self, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, narrow: int = 1) -> None:
        super().__init__()
        self.rgb_enc = head_encoder("rgb", hidden, dropout, narrow)
        self.flow_enc = head_encoder("flow", hidden, dropout, narrow)
        self.out = Classifier(2 * hidden, hidden, dropout, num_classes)

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W) -> logits (B, num_classes)."""
        return self.out(torch.cat([head_features(self.rgb_enc(rgb)), head_features(self.flow_enc(flow))], dim=1))


EARLY = Method(build=lambda sizes: Early(sizes.num_classes, sizes.hidden, sizes.dropout, sizes.narrow))
