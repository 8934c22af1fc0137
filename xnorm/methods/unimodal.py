"""One stream alone: I3D and a classifier (methods `rgb` and `flow`)."""

from functools import partial

from torch import Tensor, nn

from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_encoder, head_features
from xnorm.methods.method import Method, Sizes


class Unimodal(nn.Module):
    """y = C(E(x)) of the stream "rgb" or "flow"; takes both clips, as every method does, and ignores one."""

    def __init__(
        self, stream: str, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, narrow: int = 1
    ) -> None:
        super().__init__()
        self.stream = stream
        self.add_module(f"{stream}_enc", head_encoder(stream, hidden, dropout, narrow))
        self.add_module(f"{stream}_out", Classifier(hidden, hidden, dropout, num_classes))

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W) -> logits (B, num_classes)."""
        encoder, classifier = getattr(self, f"{self.stream}_enc"), getattr(self, f"{self.stream}_out")
        return classifier(head_features(encoder(rgb if self.stream == "rgb" else flow)))


def build_unimodal(stream: str, sizes: Sizes) -> Unimodal:
    """The network of the stream "rgb" or "flow"."""
    return Unimodal(stream, sizes.num_classes, sizes.hidden, sizes.dropout, sizes.narrow)


RGB = Method(build=partial(build_unimodal, "rgb"), streams=("rgb",))
FLOW = Method(build=partial(build_unimodal, "flow"), streams=("flow",))
