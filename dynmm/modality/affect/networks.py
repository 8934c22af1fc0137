"""The networks of CMU-MOSEI and CMU-MOSI: single-modality experts, six fusions, and DynMM.

Inputs are [vision, audio, text], aligned sequences (B, T, 35), (B, T, 74), (B, T, 300), zero-padded at the end;
lengths (B,) int64 are the true steps of all three. Outputs are scores (B, 1) in about [-3, 3].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.errors import UserError
from dynmm.gate import Gated, diff_softmax, mix, resource_loss
from dynmm.modality.affect.mult import MulT
from dynmm.modality.batches import Data
from dynmm.modality.networks.blocks import (
    FEED_FORWARD,
    GRU,
    HEADS,
    MLP,
    Expert,
    GRUWithLinear,
    Identity,
    Transformer,
    narrow_size,
)
from dynmm.modality.networks.fusion import MMDL, Concat, ConcatEarly, LowRankTensorFusion, choose_fusion
from dynmm.modality.networks.two_experts import TwoExperts

MODALITIES = ("visual", "audio", "text")
FUSIONS = ("ef_gru", "lf_gru", "ef_tran", "lf_tran", "mult", "lrtf")

# (encoder's width, head's hidden width) of the single-modality experts, by encoder and modality.
EXPERT_WIDTHS = {"gru": ((64, 32), (128, 64), (512, 256)), "transformer": ((120, 64),) * 3}


@dataclass(frozen=True)
class AffectSizes:
    """Widths of the inputs, and a divisor of every hidden size (1: as published)."""

    vision: int = 35
    audio: int = 74
    text: int = 300
    narrow: int = 1

    @property
    def inputs(self) -> tuple[int, int, int]:
        """Widths in the order of the modalities."""
        return self.vision, self.audio, self.text

    def hidden(self, published: int) -> int:
        """What a published hidden size becomes."""
        return narrow_size(published, self.narrow)

    def transformer(self, inputs: int, width: int, padding: str) -> Transformer:
        """A Transformer of a published width on so many features."""
        return Transformer(inputs, self.hidden(width), padding, self.hidden(FEED_FORWARD))


PUBLISHED = AffectSizes()


def sizes_of(data: Data, narrow: int) -> AffectSizes:
    """The sizes of a network for these clips, of which all splits have the same features."""
    vision, audio, text = (x.shape[2] for x in data.splits["train"].inputs)
    return AffectSizes(vision, audio, text, narrow)


def modality_index(mod: int) -> int:
    """The place of --mod in the inputs: 0 visual, 1 audio, any other number text."""
    return mod if mod in (0, 1) else 2


def encoder_name(enc: str) -> str:
    """The encoder that --enc names: "gru", or for any other word "transformer", as published."""
    return "gru" if enc == "gru" else "transformer"


def check_width(enc: str, width: int) -> None:
    """Raises UserError for a transformer whose width is no multiple of 5."""
    if encoder_name(enc) == "transformer" and width % HEADS:
        raise UserError(
            f"--hidden-dim1: found {width}, expected a multiple of {HEADS}, the transformer's number of heads"
        )


def unimodal_expert(
    mod: int,
    enc: str = "transformer",
    hidden1: int = 0,
    hidden2: int = 0,
    outputs: int = 1,
    sizes: AffectSizes = PUBLISHED,
    padding: str = "official",
) -> Expert:
    """The expert of --mod and --enc, called with its own modality (B, T, C) and lengths.

    hidden1: the encoder's width; hidden2: the head's hidden width; 0: the published one. outputs: 2 for --clf.
    enc: "gru", or anything else for the transformer, as published.
    Raises UserError for a transformer whose width is no multiple of 5.
    """
    index, enc = modality_index(mod), encoder_name(enc)
    published = EXPERT_WIDTHS[enc][index]
    width, hidden = hidden1 or sizes.hidden(published[0]), hidden2 or sizes.hidden(published[1])
    check_width(enc, width)
    if enc == "gru":
        return Expert(GRU(sizes.inputs[index], width), MLP(width, hidden, outputs))
    encoder = Transformer(sizes.inputs[index], width, padding, sizes.hidden(FEED_FORWARD))
    return Expert(encoder, MLP(width, hidden, outputs))


def fusion_name(fusion: int | str) -> str:
    """The name of a fusion given by number or name, in the order of FUSIONS. Raises UserError for another."""
    return choose_fusion(fusion, FUSIONS, "--fusion")


def fusion_network(
    fusion: int | str, sizes: AffectSizes = PUBLISHED, padding: str = "official", lrtf: str = "trained"
) -> MMDL:
    """The fusion network of --fusion, called with [vision, audio, text] and lengths.

    0 ef_gru, 1 lf_gru, 2 ef_tran, 3 lf_tran (the costly expert of DynMM), 4 mult, 5 lrtf.
    padding: of the transformers and of MulT's reading. lrtf: "trained", or "official" (see LowRankTensorFusion).
    """
    name, hidden = fusion_name(fusion), sizes.hidden
    if name in ("ef_gru", "ef_tran"):
        return MMDL([Identity() for _ in MODALITIES], ConcatEarly(), _early_head(name, sizes, padding))
    if name == "lf_gru":
        widths = [hidden(width) for width in (64, 128, 512)]
        grus = [GRU(inputs, width) for inputs, width in zip(sizes.inputs, widths, strict=True)]
        return MMDL(grus, Concat(), MLP(sum(widths), hidden(512), 1))
    if name == "lf_tran":
        transformers = [
            sizes.transformer(inputs, width, padding)
            for inputs, width in zip(sizes.inputs, (60, 120, 120), strict=True)
        ]
        return MMDL(transformers, Concat(), MLP(sum(hidden(width) for width in (60, 120, 120)), hidden(128), 1))
    if name == "mult":
        return MMDL([Identity() for _ in MODALITIES], MulT(sizes.inputs, width=hidden(40), padding=padding), Identity())
    gru_widths, dims = [hidden(width) for width in (64, 128, 512)], [hidden(width) for width in (32, 32, 128)]
    encoders = [GRUWithLinear(*widths) for widths in zip(sizes.inputs, gru_widths, dims, strict=True)]
    fused = LowRankTensorFusion(dims, hidden(128), hidden(32), trained=lrtf == "trained")
    return MMDL(encoders, fused, MLP(hidden(128), hidden(512), 1))


def _early_head(name: str, sizes: AffectSizes, padding: str) -> Expert:
    """What works on the concatenated inputs (B, T, 409) of early fusion."""
    inputs, hidden = sum(sizes.inputs), sizes.hidden
    if name == "ef_gru":
        return Expert(GRU(inputs, hidden(512)), MLP(hidden(512), hidden(256), 1))
    return Expert(sizes.transformer(inputs, 300, padding), MLP(hidden(300), hidden(128), 1))


class _Gate(nn.Sequential):
    """The gate, 0.* and 1.* in the state dict: a Transformer of width 10 on all features, then a Linear."""

    def __init__(self, sizes: AffectSizes, outputs: int, padding: str) -> None:
        super().__init__(sizes.transformer(sum(sizes.inputs), 10, padding), nn.Linear(10, outputs))

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        encoder, linear = self
        return linear(encoder(torch.cat(list(inputs), dim=2), lengths))


class DynMMNetV2(TwoExperts):
    """DynMM on CMU-MOSEI: the gate weighs the text expert (1) and late fusion of transformers (2).

    temperature, hard: of the gate. infer_mode: 1 or 2 forces that expert, 0 is gated, -1 weighs each by 1/2.
    padding: of all transformers.
    """

    text = -1
    halves = True

    def __init__(
        self,
        sizes: AffectSizes = PUBLISHED,
        temperature: float = 1.0,
        hard: bool = False,
        infer_mode: int = 0,
        padding: str = "official",
    ) -> None:
        super().__init__()
        self.sizes, self.temperature, self.hard, self.infer_mode = sizes, temperature, hard, infer_mode
        self.text_encoder, self.text_head = unimodal_expert(2, sizes=sizes, padding=padding)
        self.branch2 = fusion_network("lf_tran", sizes, padding)
        self.gate = _Gate(sizes, 2, padding)

    def experts(self) -> list[nn.Module]:
        """All modules but the gate: what --freeze freezes."""
        return [self.text_encoder, self.text_head, self.branch2]

    def gate_logits(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """The gate on the concatenated inputs: (B, 2)."""
        return self.gate(inputs, lengths)

    def costly(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Scores (B, 1) of expert 2 (late fusion)."""
        return self.branch2(inputs, lengths)


class UnimodalDynMMNet(nn.Module):
    """The authors' older network: the gate weighs three single-modality experts (vision, audio, text).

    No script builds it; it is kept for a golden case of the published file. forward returns the weights' mean on the
    third expert as the cost.
    """

    def __init__(self, sizes: AffectSizes = PUBLISHED, temperature: float = 1.0, hard: bool = False) -> None:
        super().__init__()
        self.temperature, self.hard = temperature, hard
        experts = [unimodal_expert(mod, sizes=sizes) for mod in range(3)]
        self.encoders = nn.ModuleList(expert[0] for expert in experts)
        self.heads = nn.ModuleList(expert[1] for expert in experts)
        self.gate = _Gate(sizes, 3, "official")

    def run_expert(self, number: int, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Scores (B, 1) of expert 1 (vision), 2 (audio) or 3 (text)."""
        return self.heads[number - 1](self.encoders[number - 1](inputs[number - 1], lengths))

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Gated:
        logits = self.gate(inputs, lengths)
        weights = diff_softmax(logits, self.temperature, self.hard)
        outputs = [self.run_expert(number, inputs, lengths) for number in (1, 2, 3)]
        return Gated(mix(weights, outputs), resource_loss(weights, (0, 0, 1)), weights, logits)
