"""MISA (Hazarika et al., ACM MM 2020; method `misa`): what the modalities share, and what is private to each.

Its objective has four terms: cross-entropy, difference D, reconstruction R and similarity S (central moment
discrepancy).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xnorm.losses import Losses, LossWeights, cross_entropy, widen
from xnorm.methods.encoders import FrozenEncoders, map_width
from xnorm.methods.method import Method, Sizes

FUSION_HEADS, FUSION_HIDDEN, FUSION_DROPOUT = 2, 2048, 0.1  # of the transformer layer; no flag reaches them
MOMENTS = 5

Pair = tuple[Tensor, Tensor]  # of RGB and flow


class MisaOutput(NamedTuple):
    """logits (B, num_classes); of both modalities, (B, hidden) each: the projected features (orig), their private and
    shared parts, and what is reconstructed of the parts' sum."""

    logits: Tensor
    orig: Pair
    private: Pair
    shared: Pair
    recon: Pair


class MisaHead(nn.Module):
    """MISA over two feature maps, without the encoders.

    d_1, d_2: channels of the maps of RGB and flow. Entries, and the order in which they are drawn, are the published
    ones. dropout: in the fusion alone.
    """

    def __init__(
        self, num_classes: int = 8, hidden: int = 128, dropout: float = 0.1, d_1: int = 1024, d_2: int = 1024
    ) -> None:
        super().__init__()
        self.rnn_11, self.rnn_12 = _lstm(d_1, d_1), _lstm(2 * d_1, d_1)
        self.rnn_21, self.rnn_22 = _lstm(d_2, d_2), _lstm(2 * d_2, d_2)
        self.project_1, self.project_2 = (
            nn.Sequential(nn.Linear(4 * d, hidden), nn.ReLU(), nn.LayerNorm(hidden)) for d in (d_1, d_2)
        )
        self.private_1, self.private_2, self.shared = (
            nn.Sequential(nn.Linear(hidden, hidden), nn.Sigmoid()) for _ in range(3)
        )
        self.recon_1, self.recon_2 = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.fusion = nn.Sequential(
            nn.Linear(4 * hidden, 2 * hidden), nn.Dropout(dropout), nn.ReLU(), nn.Linear(2 * hidden, num_classes)
        )
        self.layer_norm_1, self.layer_norm_2 = nn.LayerNorm(2 * d_1), nn.LayerNorm(2 * d_2)
        layer = nn.TransformerEncoderLayer(hidden, FUSION_HEADS, FUSION_HIDDEN, FUSION_DROPOUT)
        self.transformer_encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)

    def forward(self, x_1: Tensor, x_2: Tensor) -> MisaOutput:
        """Maps (B, d_1, T, H, W) and (B, d_2, T, H, W), read as sequences of T H W steps, of RGB and flow."""
        orig = (
            self.project_1(_read(x_1, self.rnn_11, self.layer_norm_1, self.rnn_12)),
            self.project_2(_read(x_2, self.rnn_21, self.layer_norm_2, self.rnn_22)),
        )
        private = self.private_1(orig[0]), self.private_2(orig[1])
        shared = self.shared(orig[0]), self.shared(orig[1])
        recon = self.recon_1(private[0] + shared[0]), self.recon_2(private[1] + shared[1])
        tokens = self.transformer_encoder(torch.stack([*private, *shared]))
        return MisaOutput(self.fusion(torch.cat(list(tokens), dim=1)), orig, private, shared, recon)


class Misa(FrozenEncoders, MisaHead):
    """MISA over the last maps of two frozen I3Ds, which must have d_1 and d_2 channels."""

    def __init__(
        self,
        num_classes: int = 8,
        hidden: int = 128,
        dropout: float = 0.1,
        d_1: int = 1024,
        d_2: int = 1024,
        narrow: int = 1,
        frozen_bn: str = "official",
    ) -> None:
        super().__init__(num_classes, hidden, dropout, d_1, d_2)
        self.add_encoders(narrow, frozen_bn)

    def forward(self, rgb: Tensor, flow: Tensor) -> MisaOutput:
        """rgb (B, 3, T, H, W), flow (B, 2, T, H, W), of any length and size."""
        return super().forward(*self.encode(rgb, flow))


def _lstm(inputs: int, hidden: int) -> nn.LSTM:
    return nn.LSTM(inputs, hidden, bidirectional=True)


def _read(x: Tensor, first: nn.LSTM, norm: nn.LayerNorm, second: nn.LSTM) -> Tensor:
    """Last hidden states of two LSTMs over a map's steps: (B, 4 d), [first, second] forwards, then backwards."""
    steps, (a, _) = first(x.flatten(2).permute(2, 0, 1))
    _, (b, _) = second(norm(steps))
    return torch.cat([a, b], dim=2).transpose(0, 1).flatten(1)


def misa_objective(output: MisaOutput, labels: Tensor, weights: LossWeights) -> Losses:
    """CE + diff D + recon R + sim S, with the weights diff, recon and sim."""
    orig, private, shared, recon = ((widen(one), widen(other)) for one, other in output[1:])
    terms = {
        "cross_entropy": cross_entropy(output.logits, labels),
        "diff": difference_loss(private, shared),
        "recon": reconstruction_loss(orig, recon),
        "cmd": central_moment_discrepancy(*shared),
    }
    total = terms["cross_entropy"] + weights.diff * terms["diff"]
    total = total + weights.recon * terms["recon"] + weights.sim * terms["cmd"]
    return Losses(total, {name: term.detach() for name, term in terms.items()})


def difference_loss(private: Pair, shared: Pair) -> Tensor:
    """D = d(p_1, s_1) + d(p_2, s_2) + d(p_1, p_2): private parts differ from the shared ones and from each other."""
    return (
        squared_correlation(private[0], shared[0])
        + squared_correlation(private[1], shared[1])
        + squared_correlation(*private)
    )


def squared_correlation(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b): mean of the squares of a^T b (h, h), of a and b (B, h) with centred columns and rows of length 1.

    The lengths are taken as constants: no gradient passes through them.
    """
    return (_centred_unit_rows(a).T @ _centred_unit_rows(b)).square().mean()


def _centred_unit_rows(x: Tensor) -> Tensor:
    x = x - x.mean(dim=0)
    return x / (x.detach().norm(dim=1, keepdim=True) + 1e-6)


def reconstruction_loss(orig: Pair, recon: Pair) -> Tensor:
    """R: mean squared error of both reconstructions, averaged. Gradients reach the originals too."""
    return (F.mse_loss(recon[0], orig[0]) + F.mse_loss(recon[1], orig[1])) / 2


def central_moment_discrepancy(a: Tensor, b: Tensor, moments: int = MOMENTS) -> Tensor:
    """S: |m_a - m_b| + sum over k = 2..moments of |c_k(a) - c_k(b)|, Euclidean norms over the h columns.

    a, b (B, h); m: mean over the batch, c_k: mean of the k-th power of what is left. Where moments are equal, as the
    central ones of a batch of one are, the gradient of the norm is 0.
    """
    means = a.mean(dim=0), b.mean(dim=0)
    centred = a - means[0], b - means[1]
    differences = [means[0] - means[1]]
    differences += [centred[0].pow(k).mean(dim=0) - centred[1].pow(k).mean(dim=0) for k in range(2, moments + 1)]
    return torch.linalg.vector_norm(torch.stack(differences), dim=1).sum()


def build_misa(sizes: Sizes) -> Misa:
    """MISA over the maps of encoders of these sizes."""
    width = map_width(sizes.narrow)
    return Misa(sizes.num_classes, sizes.hidden, sizes.dropout, width, width, sizes.narrow, sizes.frozen_bn)


MISA = Method(build=build_misa, objective=misa_objective, reads_maps=True, checkpoint="misa.pt")
