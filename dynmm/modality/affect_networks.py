"""The networks of CMU-MOSEI and CMU-MOSI: single-modality experts, six fusions, and DynMM.

Inputs are [vision, audio, text], aligned sequences (B, T, 35), (B, T, 74), (B, T, 300), zero-padded at the end;
lengths (B,) int64 are the true steps of all three. Outputs are scores (B, 1) in about [-3, 3].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.errors import UserError
from dynmm.gate import Gated, diff_softmax, mix, resource_loss, route
from dynmm.modality.experts import FEED_FORWARD, GRU, MLP, Expert, GRUWithLinear, Identity, Transformer, narrowed
from dynmm.modality.fusion import MMDL, Concat, ConcatEarly, LowRankTensorFusion
from dynmm.modality.mult import MulT

MODALITIES = ("visual", "audio", "text")
ENCODERS = ("transformer", "gru")
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
        return narrowed(published, self.narrow)

    def transformer(self, inputs: int, width: int, padding: str) -> Transformer:
        """A Transformer of a published width on so many features."""
        return Transformer(inputs, self.hidden(width), padding, self.hidden(FEED_FORWARD))


PUBLISHED = AffectSizes()


def modality_index(mod: int) -> int:
    """The place of --mod in the inputs: 0 visual, 1 audio, any other number text."""
    return mod if mod in (0, 1) else 2


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
    index, enc = modality_index(mod), enc if enc == "gru" else "transformer"
    published = EXPERT_WIDTHS[enc][index]
    width, hidden = hidden1 or sizes.hidden(published[0]), hidden2 or sizes.hidden(published[1])
    if enc == "gru":
        encoder = GRU(sizes.inputs[index], width)
    elif width % 5:
        raise UserError(f"--hidden-dim1: found {width}, expected a multiple of 5, the transformer's number of heads")
    else:
        encoder = Transformer(sizes.inputs[index], width, padding, sizes.hidden(FEED_FORWARD))
    return Expert(encoder, MLP(width, hidden, outputs))


def fusion_name(fusion: int | str) -> str:
    """The name of a fusion given by number or name, in the order of FUSIONS. Raises UserError for another."""
    if fusion in FUSIONS:
        return str(fusion)
    if isinstance(fusion, int) and 0 <= fusion < len(FUSIONS):
        return FUSIONS[fusion]
    choices = ", ".join(f"{index} ({name})" for index, name in enumerate(FUSIONS))
    raise UserError(f"--fusion: found {fusion}, expected one of {choices}")


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
        encoders = [GRU(inputs, width) for inputs, width in zip(sizes.inputs, widths, strict=True)]
        return MMDL(encoders, Concat(), MLP(sum(widths), hidden(512), 1))
    if name == "lf_tran":
        encoders = [
            sizes.transformer(inputs, width, padding)
            for inputs, width in zip(sizes.inputs, (60, 120, 120), strict=True)
        ]
        return MMDL(encoders, Concat(), MLP(sum(hidden(width) for width in (60, 120, 120)), hidden(128), 1))
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


class DynMMNetV2(nn.Module):
    """DynMM on CMU-MOSEI: the gate weighs the text expert (1) and late fusion of transformers (2).

    temperature, hard: of the gate. infer_mode: 1 or 2 forces that expert, 0 is gated, -1 weighs each by 1/2.
    The three are plain attributes and may be set between batches; nothing else is kept from one batch to the
    next. padding: of all transformers.
    """

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

    def freeze_experts(self) -> None:
        """Take the gradients of everything but the gate; modes (train, eval) stay as they are."""
        for expert in self.experts():
            expert.requires_grad_(False)

    def gate_logits(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """The gate on the concatenated inputs: (B, 2)."""
        return self.gate(inputs, lengths)

    def run_expert(self, number: int, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Scores (B, 1) of expert 1 (text, the last of the inputs) or 2 (late fusion)."""
        if number == 1:
            return self.text_head(self.text_encoder(inputs[-1], lengths))
        return self.branch2(inputs, lengths)

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, real_gating: bool = False) -> Gated:
        """Both experts, weighed; with a forced expert that one alone, at cost 0.

        infer_mode -1: both by 1/2 at cost 1/2; the weights returned are the gate's all the same.
        real_gating: what `routed` does, with a gradient for the gate; here so that a wrapper of forward
        (DistributedDataParallel, with find_unused_parameters) sees it.
        """
        if real_gating:
            return self.routed(inputs, lengths, straight_through=True)
        logits = self.gate_logits(inputs, lengths)
        weights = diff_softmax(logits, self.temperature, self.hard)
        if self.infer_mode > 0:
            prediction = self.run_expert(self.infer_mode, inputs, lengths)
            return Gated(prediction, weights.new_zeros(()), weights, logits)
        used = torch.full_like(weights, 0.5) if self.infer_mode == -1 else weights
        outputs = [self.run_expert(number, inputs, lengths) for number in (1, 2)]
        return Gated(mix(used, outputs), resource_loss(used, (0, 1)), weights, logits)

    def routed(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, straight_through: bool = False) -> Gated:
        """Run on each sample its chosen expert alone (dynmm.gate.route); the gate is hard whatever `hard` says.

        Samples keep the batch's padding, so that in eval mode this is the same as forward with a hard gate, up
        to rounding. straight_through: for training; the gate's gradient is then not the published one (see
        route). A forced expert, or halves, run as in forward.
        """
        if self.infer_mode != 0:
            return self.forward(inputs, lengths)
        logits = self.gate_logits(inputs, lengths)
        weights = diff_softmax(logits, self.temperature, hard=True)

        def run(number: int, index: Tensor) -> Tensor:
            chosen = [inputs[-1][index]] if number == 1 else [x[index] for x in inputs]
            return self.run_expert(number, chosen, None if lengths is None else lengths.to(index.device)[index])

        prediction = route(weights, [lambda i: run(1, i), lambda i: run(2, i)], straight_through)
        return Gated(prediction, resource_loss(weights, (0, 1)), weights, logits)


class UnimodalDynMMNet(nn.Module):
    """The authors' older network: the gate weighs three single-modality experts (vision, audio, text).

    No published script builds it. forward returns the weights' mean on the third expert as the cost.
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
