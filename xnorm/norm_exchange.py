"""NormExchange: two streams exchange the parameters of a normalisation (X-Norm, section 3 and Figure 2).

For the features x1, x2 of two streams, with one mean and one deviation for each sample,

    x^_m       = (x_m - mean(x_m)) / (std(x_m) + 1e-8)                                  normalise
    (b_1, g_1) = split(A(x2)),   (b_2, g_2) = split(B(x1))                              NormEncoder
    x_1 <- x_1 + g_1 * x^_1 + b_1,   x_2 <- x_2 + g_2 * x^_2 + b_2                      exchange

A and B are linear maps of each position's channels (a convolution of kernel 1), twice as wide as what they modulate.
Both read the features from before the exchange, and the scale g and the shift b keep one value for each position: a
modulation, not a constant of each channel. Features are maps (B, C, H, W), clips (B, C, T, H, W) or sequences of tokens
(B, T, C).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

EPS = 1e-8
# Where the channels stand: maps and clips have them behind the batch, tokens at the end.
CHANNEL_DIM = {"map": 1, "clip": 1, "tokens": -1}


class NormParameters(NamedTuple):
    """shift: added; scale: what the normalised features are multiplied by. Both broadcast to the features."""

    shift: Tensor
    scale: Tensor


def norm_encoder(inputs: int, outputs: int, form: str = "clip") -> nn.Module:
    """The map from one stream's channels to shift and scale of the other's: a layer of 2 * outputs channels.

    form: "map", "clip" or "tokens". Weights are drawn as torch draws them, so that an exchange disturbs two trained
    streams from the first step on.
    """
    layers = {"map": nn.Conv2d, "clip": nn.Conv3d, "tokens": nn.Linear}
    return layers[form](inputs, 2 * outputs, *([] if form == "tokens" else [1]))


def normalise(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """x with mean 0 and deviation 1 over everything but the batch, without learned parameters.

    The deviation is the unbiased one; statistics are in float32 at least. mask (B, T): the tokens (B, T, C) that count;
    the others are normalised with the same statistics.
    """
    dims = tuple(range(1, x.dim()))
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if mask is None:
        std, mean = torch.std_mean(wide, dim=dims, keepdim=True)
        return (wide - mean) / (std + EPS)
    counts = mask[:, :, None].to(wide.dtype)
    number = x.shape[-1] * counts.sum(dim=dims, keepdim=True)
    mean = (wide * counts).sum(dim=dims, keepdim=True) / number
    centred = wide - mean
    std = torch.linalg.vector_norm(centred * counts, dim=dims, keepdim=True) / (number - 1).sqrt()
    return centred / (std + EPS)


def exchange(
    x1: Tensor,
    x2: Tensor,
    to_first: NormParameters,
    to_second: NormParameters,
    masks: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Tensor, Tensor]:
    """Both streams' features after the exchange, in their own shapes."""
    y1 = x1 + normalise(x1, masks[0]) * to_first.scale + to_first.shift
    y2 = x2 + normalise(x2, masks[1]) * to_second.scale + to_second.shift
    return y1, y2


def parameters(encoder: nn.Module, x: Tensor, form: str = "clip") -> NormParameters:
    """Shift and scale that `encoder` makes of the other stream's x; the first half of its channels is the shift."""
    return NormParameters(*encoder(x).chunk(2, dim=CHANNEL_DIM[form]))


class NormExchange(nn.Module):
    """An exchange between two streams, to put between any two of their layers.

    channels, other_channels: of the first and the second stream; the second has the first's where it is not given.
    form: "map" (B, C, H, W), "clip" (B, C, T, H, W) or "tokens" (B, T, C).
    pooled: shift and scale are made of the other stream's mean over its positions, and are then one value for each
    channel. It is needed where the streams differ in their positions.
    """

    def __init__(
        self, channels: int, other_channels: int | None = None, form: str = "clip", pooled: bool = False
    ) -> None:
        super().__init__()
        if form not in CHANNEL_DIM:
            raise ValueError(f"form {form!r}: expected one of {', '.join(CHANNEL_DIM)}")
        other = channels if other_channels is None else other_channels
        self.form, self.pooled = form, pooled
        self.second_to_first = norm_encoder(other, channels, form)
        self.first_to_second = norm_encoder(channels, other, form)

    def modulation(
        self, x1: Tensor, x2: Tensor, mask1: Tensor | None = None, mask2: Tensor | None = None
    ) -> tuple[NormParameters, NormParameters]:
        """What the first and the second stream are given, from the features before the exchange."""
        sources = self._source(x1, mask1), self._source(x2, mask2)
        return (
            parameters(self.second_to_first, sources[1], self.form),
            parameters(self.first_to_second, sources[0], self.form),
        )

    def forward(
        self, x1: Tensor, x2: Tensor, mask1: Tensor | None = None, mask2: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x1, x2 in the form's shape; mask1, mask2 (B, T): tokens that count. Returns both after the exchange."""
        return exchange(x1, x2, *self.modulation(x1, x2, mask1, mask2), (mask1, mask2))

    def _source(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if not self.pooled:
            return x
        if self.form != "tokens":
            return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)
        if mask is None:
            return x.mean(dim=1, keepdim=True)
        weights = mask[:, :, None].to(x.dtype)
        return (x * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
