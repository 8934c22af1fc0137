"""Late fusion: the weighted mean of two classifiers' logits (method `late`)."""

from torch import Tensor, nn

from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_encoder, head_features
from xnorm.methods.method import Method


class Late(nn.Module):
    """y = w C_rgb(E_rgb(x_rgb)) + (1 - w) C_flow(E_flow(x_flow)); w: `weight`, the share of RGB."""

    def __init__(
        self, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, weight: float = 0.5, narrow: int = 1
    ) -> None:
        super().__init__()
        self.weight = weight
        self.rgb_enc = head_encoder("rgb", hidden, dropout, narrow)
        self.rgb_out = Classifier(hidden, hidden, dropout, num_classes)
        self.flow_enc = head_encoder("flow", hidden, dropout, narrow)
        self.flow_out = Classifier(hidden, hidden, dropout, num_classes)

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W) -> logits (B, num_classes)."""
        y_rgb = self.rgb_out(head_features(self.rgb_enc(rgb)))
        y_flow = self.flow_out(head_features(self.flow_enc(flow)))
        return self.weight * y_rgb + (1 - self.weight) * y_flow


LATE = Method(build=lambda sizes: Late(sizes.num_classes, sizes.hidden, sizes.dropout, sizes.weight, sizes.narrow))
