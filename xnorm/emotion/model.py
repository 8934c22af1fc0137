"""Networks over token features of text and audio: one modality, and five ways to bring two together.

All of them take text (B, L, d_t), text_mask (B, L), audio (B, T, d_a), audio_mask (B, T), masks True where a step is
real, and return logits (B, K). Sizes are ours; what is known of the paper's networks is that they were Transformers,
and from another's re-implementation that they exchanged after the first, the middle and the last layer, by linear maps
of the mean over time, and averaged the two logits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.mult_transformer import TransformerEncoder
from xnorm.methods.classifier import Classifier
from xnorm.norm_exchange import NormExchange

FUSIONS = ("text", "audio", "early", "late", "mult", "xnorm")


@dataclass(frozen=True)
class Sizes:
    """What the networks are built with."""

    width: int  # of the Transformers
    heads: int  # of their attention
    layers: int
    exchange: tuple[int, ...]  # xnorm: numbers of the layers, from 0, that an exchange follows
    hidden: int  # of the classifiers
    dropout: float
    weight: float  # late, xnorm: share of the text's logits


def sinusoids(steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """(steps, width): sin at even, cos at odd features of step number / 10000^(2 i / width)."""
    half = torch.arange(0, width, 2, device=device)
    angles = torch.arange(steps, device=device)[:, None] * torch.exp(-math.log(10000.0) * half / width)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def mean_over_steps(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x (B, T, C) over the real steps of mask (B, T): (B, C)."""
    weights = mask[:, :, None].to(x.dtype)
    return (x * weights).sum(dim=1) / weights.sum(dim=1)


class TokenEncoder(nn.Module):
    """Linear map to `width`, sinusoidal positions, then post-norm Transformer layers that skip padding."""

    def __init__(self, inputs: int, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.project, self.dropout = nn.Linear(inputs, width), dropout
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True) for _ in range(layers)
        )

    def embed(self, x: Tensor) -> Tensor:
        """x (B, T, inputs) -> what the first layer takes, (B, T, width)."""
        h = self.project(x)
        return F.dropout(h + sinusoids(h.shape[1], h.shape[2], h.device), self.dropout, self.training)

    def layer(self, number: int, h: Tensor, mask: Tensor) -> Tensor:
        """One layer (from 0) on h (B, T, width)."""
        return self.layers[number](h, src_key_padding_mask=~mask)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The mean of the last layer over the real steps: (B, width)."""
        h = self.embed(x)
        for number in range(len(self.layers)):
            h = self.layer(number, h, mask)
        return mean_over_steps(h, mask)


class Unimodal(nn.Module):
    """modality: "text" or "audio", the one that is read."""

    def __init__(self, modality: str, encoder: TokenEncoder, classifier: Classifier) -> None:
        super().__init__()
        self.modality, self.encoder, self.classifier = modality, encoder, classifier

    def forward(self, text: Tensor, text_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> Tensor:
        chosen = (text, text_mask) if self.modality == "text" else (audio, audio_mask)
        return self.classifier(self.encoder(*chosen))


class Early(nn.Module):
    """One classifier over both encoders' outputs, side by side."""

    def __init__(self, text_enc: TokenEncoder, audio_enc: TokenEncoder, classifier: Classifier) -> None:
        super().__init__()
        self.text_enc, self.audio_enc, self.classifier = text_enc, audio_enc, classifier

    def forward(self, text: Tensor, text_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> Tensor:
        both = [self.text_enc(text, text_mask), self.audio_enc(audio, audio_mask)]
        return self.classifier(torch.cat(both, dim=1))


class Late(nn.Module):
    """weight * text logits + (1 - weight) * audio logits; with `exchange`, a NormExchange after those layers.

    exchange: numbers of layers, from 0; empty for late fusion. width: of both encoders.
    """

    def __init__(
        self,
        text_enc: TokenEncoder,
        audio_enc: TokenEncoder,
        text_out: Classifier,
        audio_out: Classifier,
        weight: float,
        width: int,
        exchange: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.text_enc, self.text_out, self.audio_enc, self.audio_out = text_enc, text_out, audio_enc, audio_out
        self.weight = weight
        self.exchanges = nn.ModuleDict(
            {str(number): NormExchange(width, form="tokens", pooled=True) for number in exchange}
        )

    def forward(self, text: Tensor, text_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> Tensor:
        t, a = self.text_enc.embed(text), self.audio_enc.embed(audio)
        for number in range(len(self.text_enc.layers)):
            t, a = self.text_enc.layer(number, t, text_mask), self.audio_enc.layer(number, a, audio_mask)
            if str(number) in self.exchanges:
                t, a = self.exchanges[str(number)](t, a, text_mask, audio_mask)
        text_logits = self.text_out(mean_over_steps(t, text_mask))
        return self.weight * text_logits + (1 - self.weight) * self.audio_out(mean_over_steps(a, audio_mask))


class MulT(nn.Module):
    """Crossmodal attention both ways, then the mean over the real steps and one classifier.

    As in MulT nothing masks the padding of the keys: a padded step is a zero vector without a position. No causal mask.
    """

    def __init__(
        self, widths: tuple[int, int], width: int, heads: int, layers: int, dropout: float, classifier: Classifier
    ) -> None:
        super().__init__()
        self.text_proj, self.audio_proj = (nn.Linear(inputs, width, bias=False) for inputs in widths)
        rates = (dropout, dropout, dropout, dropout)
        options = {"attn_mask": False, "positions": True}
        self.text_with_audio = TransformerEncoder(width, heads, layers, *rates, **options)
        self.audio_with_text = TransformerEncoder(width, heads, layers, *rates, **options)
        self.classifier = classifier

    def forward(self, text: Tensor, text_mask: Tensor, audio: Tensor, audio_mask: Tensor) -> Tensor:
        t, a = self.text_proj(text).transpose(0, 1), self.audio_proj(audio).transpose(0, 1)
        attended = [self.text_with_audio(t, a, a), self.audio_with_text(a, t, t)]
        both = zip(attended, (text_mask, audio_mask), strict=True)
        return self.classifier(torch.cat([mean_over_steps(h.transpose(0, 1), mask) for h, mask in both], dim=1))


def build_model(fusion: str, sizes: Sizes, widths: tuple[int, int], classes: int) -> nn.Module:
    """The network of a method; widths: features of text and audio."""
    size = (sizes.width, sizes.heads, sizes.layers, sizes.dropout)

    def classifier(inputs: int) -> Classifier:
        return Classifier(inputs, sizes.hidden, sizes.dropout, classes)

    if fusion in ("text", "audio"):
        inputs = widths[("text", "audio").index(fusion)]
        return Unimodal(fusion, TokenEncoder(inputs, *size), classifier(sizes.width))
    if fusion == "mult":
        return MulT(widths, *size, classifier(2 * sizes.width))
    text_enc, audio_enc = (TokenEncoder(inputs, *size) for inputs in widths)
    if fusion == "early":
        return Early(text_enc, audio_enc, classifier(2 * sizes.width))
    text_out, audio_out = classifier(sizes.width), classifier(sizes.width)
    exchange = sizes.exchange if fusion == "xnorm" else ()
    return Late(text_enc, audio_enc, text_out, audio_out, sizes.weight, sizes.width, exchange)


def exchange_encoders(model: nn.Module) -> dict[str, nn.Module]:
    """The encoders of every exchange, by the stream that they change and the layer: "text_l0", "audio_l0", ..."""
    if not isinstance(model, Late):
        return {}
    exchanges = {number: exchange for number, exchange in model.exchanges.items() if isinstance(exchange, NormExchange)}
    first: dict[str, nn.Module] = {f"text_l{number}": one.second_to_first for number, one in exchanges.items()}
    return first | {f"audio_l{number}": one.first_to_second for number, one in exchanges.items()}
