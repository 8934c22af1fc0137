"""X-Norm's network: two I3Ds side by side that exchange normalisation parameters at three depths (method `xnorm`)."""

from torch import Tensor, nn

from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_encoder, head_features
from xnorm.methods.method import Method, Sizes
from xnorm.norm_exchange import exchange, norm_encoder, parameters

POINTS = ("Mixed_3b", "Mixed_4d", "Mixed_5c")  # stages after which the streams exchange


class ExchangeNetwork(nn.Module):
    """y = w C_rgb(r) + (1 - w) C_flow(f), where the encoders exchange after Mixed_3b, Mixed_4d and Mixed_5c.

    weight: w, the share of RGB. Names are the published ones: rgb2flow_l1 reads the flow and modulates RGB, flow2rgb_l1
    reads RGB and modulates the flow, and so on for levels 2 and 3.
    """

    def __init__(
        self, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, weight: float = 0.5, narrow: int = 1
    ) -> None:
        super().__init__()
        self.weight = weight
        self.rgb_enc = head_encoder("rgb", hidden, dropout, narrow)
        self.rgb_out = Classifier(hidden, hidden, dropout, num_classes)
        self.flow_enc = head_encoder("flow", hidden, dropout, narrow)
        self.flow_out = Classifier(hidden, hidden, dropout, num_classes)
        for direction in ("rgb2flow", "flow2rgb"):
            for level, point in enumerate(POINTS, start=1):
                width = self.rgb_enc.widths[point]
                self.add_module(f"{direction}_l{level}", norm_encoder(width, width))

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W) -> logits (B, num_classes)."""
        for level in range(1, len(POINTS) + 1):
            rgb, flow = self.advance(level, rgb, flow)
        return self.classify(*self.features(rgb, flow))

    def advance(self, level: int, rgb: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams after the exchange of a level, 1 to 3, from what they were after the one before it."""
        before, point = None if level == 1 else POINTS[level - 2], POINTS[level - 1]
        rgb, flow = self.rgb_enc.run(rgb, before, point), self.flow_enc.run(flow, before, point)
        to_rgb = parameters(getattr(self, f"rgb2flow_l{level}"), flow)
        to_flow = parameters(getattr(self, f"flow2rgb_l{level}"), rgb)
        return exchange(rgb, flow, to_rgb, to_flow)

    def features(self, rgb: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, hidden) of both last maps, by each stream's own head."""
        return head_features(self.rgb_enc.head(rgb)), head_features(self.flow_enc.head(flow))

    def classify(self, r: Tensor, f: Tensor) -> Tensor:
        """Logits (B, num_classes) of both streams' features (B, hidden)."""
        return self.weight * self.rgb_out(r) + (1 - self.weight) * self.flow_out(f)


def build_exchange_network(sizes: Sizes) -> ExchangeNetwork:
    """X-Norm's network."""
    return ExchangeNetwork(sizes.num_classes, sizes.hidden, sizes.dropout, sizes.weight, sizes.narrow)


XNORM = Method(build=build_exchange_network)
