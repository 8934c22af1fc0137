"""MulT (Tsai et al., ACL 2019; method `mult`): each modality's map attends to the other's."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.mult_transformer import TransformerEncoder
from xnorm.methods.encoders import FrozenEncoders, map_width
from xnorm.methods.method import Method, Sizes

WIDTH, HEADS, LAYERS = 30, 5, 5  # fixed as published; the two memories ask for 3 layers and get 5
ATTENTION_DROPOUT, RELU_DROPOUT, RESIDUAL_DROPOUT, EMBED_DROPOUT = 0.1, 0.1, 0.1, 0.25
READOUTS = ("official", "last")


class MultHead(nn.Module):
    """MulT over two feature maps of the same size, without the encoders.

        z_m = proj_m(x_m),  h_1 = mem_1(trans_1_with_2(z_1; z_2)),  h_2 = mem_2(trans_2_with_1(z_2; z_1))
        v = [h_1, h_2] at one position,  y = out_layer(v + proj2(relu(proj1 v)))

    d_1, d_2: channels of the maps of RGB and flow. Attention is causal over the positions in the order T, H, W.
    readout: "last" reads the last position, as the original MulT; "official" the first, as published. The first
    attends to nothing but the first: the corner of the first half of the clip decides alone. So only this position is
    computed, with the same result as for all.
    """

    def __init__(self, num_classes: int = 8, d_1: int = 1024, d_2: int = 1024, readout: str = "official") -> None:
        super().__init__()
        if readout not in READOUTS:
            raise ValueError(f"readout {readout!r}: expected one of {', '.join(READOUTS)}")
        self.readout = readout
        self.proj_1 = nn.Conv1d(d_1, WIDTH, kernel_size=1, bias=False)
        self.proj_2 = nn.Conv1d(d_2, WIDTH, kernel_size=1, bias=False)
        self.trans_1_with_2, self.trans_2_with_1 = _transformer(), _transformer()
        self.trans_1_mem, self.trans_2_mem = _transformer(), _transformer()
        self.proj1, self.proj2 = nn.Linear(2 * WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, 2 * WIDTH)
        self.out_layer = nn.Linear(2 * WIDTH, num_classes)

    def forward(self, x_1: Tensor, x_2: Tensor) -> Tensor:
        """Maps (B, d_1, T, H, W) and (B, d_2, T, H, W) of RGB and flow -> logits (B, num_classes)."""
        x_1, x_2 = x_1.flatten(2), x_2.flatten(2)
        if self.readout == "official":
            x_1, x_2 = x_1[:, :, :1], x_2[:, :, :1]
        z_1, z_2 = self.project(x_1, x_2)
        h_1 = self.trans_1_mem(self.trans_1_with_2(z_1, z_2, z_2))
        h_2 = self.trans_2_mem(self.trans_2_with_1(z_2, z_1, z_1))
        v = torch.cat([h_1[-1], h_2[-1]], dim=1)
        return self.out_layer(v + self.proj2(F.relu(self.proj1(v))))

    def project(self, x_1: Tensor, x_2: Tensor) -> tuple[Tensor, Tensor]:
        """(B, d_1, S) and (B, d_2, S) -> sequences (S, B, 30)."""
        return self.proj_1(x_1).permute(2, 0, 1), self.proj_2(x_2).permute(2, 0, 1)


class Mult(FrozenEncoders, MultHead):
    """MulT over the last maps of two frozen I3Ds, which must have d_1 and d_2 channels."""

    def __init__(
        self,
        num_classes: int = 8,
        d_1: int = 1024,
        d_2: int = 1024,
        narrow: int = 1,
        readout: str = "official",
        frozen_bn: str = "official",
    ) -> None:
        super().__init__(num_classes, d_1, d_2, readout)
        self.add_encoders(narrow, frozen_bn)

    def forward(self, rgb: Tensor, flow: Tensor) -> Tensor:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W), of any length and size -> logits (B, num_classes)."""
        return super().forward(*self.encode(rgb, flow))


def _transformer() -> TransformerEncoder:
    return TransformerEncoder(
        WIDTH,
        HEADS,
        LAYERS,
        ATTENTION_DROPOUT,
        RELU_DROPOUT,
        RESIDUAL_DROPOUT,
        EMBED_DROPOUT,
        attn_mask=True,
        positions=True,
    )


def build_mult(sizes: Sizes) -> Mult:
    """MulT over the maps of encoders of these sizes."""
    width = map_width(sizes.narrow)
    return Mult(sizes.num_classes, width, width, sizes.narrow, sizes.readout, sizes.frozen_bn)


MULT = Method(build=build_mult, reads_maps=True, checkpoint="mult.pt")
