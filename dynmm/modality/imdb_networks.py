"""The networks of MM-IMDB: text and image experts, four fusions, and DynMM over the text expert and late fusion.

Inputs are [text, image]: text (B, 300) mean word vectors, image (B, 4096) VGG-16 features. Outputs are logits
(B, 23), one for each genre. `lengths` is there because all blocks take it; nothing here reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.errors import UserError
from dynmm.gate import Gated, diff_softmax, mix, resource_loss, route
from dynmm.modality.experts import MLP, Expert, Identity, Linear, MaxoutMLP, narrowed
from dynmm.modality.fusion import MMDL, Concat, LowRankTensorFusion, MultiplicativeInteraction

FUSIONS = ("ef", "lf", "lrtf", "mim")
EXPERTS = ("text", "image")


@dataclass(frozen=True)
class ImdbSizes:
    """Widths of the inputs, number of genres, and a divisor of every hidden size (1: as published)."""

    text: int = 300
    image: int = 4096
    genres: int = 23
    narrow: int = 1

    def hidden(self, published: int) -> int:
        """What a published hidden size becomes."""
        return narrowed(published, self.narrow)


PUBLISHED = ImdbSizes()


def text_expert(sizes: ImdbSizes = PUBLISHED) -> Expert:
    """Expert 1: Expert(MLP(300, 512, 512), MLP(512, 512, 23)), called with text (B, 300)."""
    hidden = sizes.hidden(512)
    return Expert(MLP(sizes.text, hidden, hidden), MLP(hidden, hidden, sizes.genres))


def image_expert(sizes: ImdbSizes = PUBLISHED) -> Expert:
    """Expert(MLP(4096, 1024, 512), MLP(512, 512, 23)), called with image (B, 4096)."""
    hidden = sizes.hidden(512)
    return Expert(MLP(sizes.image, sizes.hidden(1024), hidden), MLP(hidden, hidden, sizes.genres))


def unimodal_expert(mod: int, sizes: ImdbSizes = PUBLISHED) -> Expert:
    """The expert of --mod: 0 text, 1 image. Raises UserError for another number."""
    if mod not in (0, 1):
        raise UserError(f"--mod: found {mod}, expected 0 (text) or 1 (image)")
    return image_expert(sizes) if mod else text_expert(sizes)


def fusion_name(fuse: int | str) -> str:
    """The name of a fusion given by number or name: 0 ef, 1 lf, 2 lrtf, 3 mim. Raises UserError for another."""
    if fuse in FUSIONS:
        return str(fuse)
    if isinstance(fuse, int) and 0 <= fuse < len(FUSIONS):
        return FUSIONS[fuse]
    choices = ", ".join(f"{index} ({name})" for index, name in enumerate(FUSIONS))
    raise UserError(f"--fuse: found {fuse}, expected one of {choices}")


def fusion_network(fuse: int | str, sizes: ImdbSizes = PUBLISHED, lrtf: str = "trained") -> MMDL:
    """The fusion network of --fuse, called with [text, image].

    0 ef: the inputs concatenated; 1 lf: late fusion, the costly expert of DynMM; 2 lrtf: low-rank tensor
    fusion of rank 128; 3 mim: multiplicative interaction, whose W alone has 268 million entries.
    lrtf: "trained", or "official": the factors stay as they start (see LowRankTensorFusion).
    """
    name = fusion_name(fuse)
    hidden = sizes.hidden(512)
    if name == "ef":
        head = MaxoutMLP(sizes.text + sizes.image, hidden, hidden, sizes.genres)
        return MMDL([Identity(), Identity()], Concat(), head)
    encoders = [MaxoutMLP(sizes.text, hidden, hidden), MaxoutMLP(sizes.image, sizes.hidden(1024), hidden)]
    if name == "lf":
        return MMDL(encoders, Concat(), Linear(2 * hidden, sizes.genres))
    if name == "lrtf":
        fusion = LowRankTensorFusion([hidden, hidden], hidden, sizes.hidden(128), trained=lrtf == "trained")
        return MMDL(encoders, fusion, Linear(hidden, sizes.genres))
    fused = sizes.hidden(1024)
    return MMDL(encoders, MultiplicativeInteraction([hidden, hidden], fused), Linear(fused, sizes.genres))


class DynMMNet(nn.Module):
    """DynMM on MM-IMDB: the gate weighs the text expert (1) and late fusion (2).

    temperature, hard: of the gate. infer_mode: 1 or 2 forces that expert, 0 or less is gated. The three are
    plain attributes and may be set between batches; nothing else is kept from one batch to the next.
    The image expert has no part in the output; it is there because published checkpoints hold it.
    """

    def __init__(
        self,
        sizes: ImdbSizes = PUBLISHED,
        temperature: float = 1.0,
        hard: bool = True,
        infer_mode: int = 0,
    ) -> None:
        super().__init__()
        self.sizes, self.temperature, self.hard, self.infer_mode = sizes, temperature, hard, infer_mode
        self.text_encoder, self.text_head = text_expert(sizes)
        self.image_encoder, self.image_head = image_expert(sizes)
        self.branch3 = fusion_network("lf", sizes)
        self.gate = MLP(sizes.text + sizes.image, sizes.hidden(128), 2)

    def experts(self) -> list[nn.Module]:
        """All modules but the gate: what --freeze freezes."""
        return [self.text_encoder, self.text_head, self.image_encoder, self.image_head, self.branch3]

    def freeze_experts(self) -> None:
        """Take the gradients of everything but the gate; modes (train, eval) stay as they are."""
        for expert in self.experts():
            expert.requires_grad_(False)

    def gate_logits(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """The gate on the concatenated inputs: (B, 2)."""
        return self.gate(torch.cat(list(inputs), dim=1))

    def run_expert(self, number: int, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Logits (B, 23) of expert 1 (text) or 2 (late fusion)."""
        return self.text_head(self.text_encoder(inputs[0])) if number == 1 else self.branch3(inputs)

    def image_branch(self, image: Tensor) -> Tensor:
        """Logits (B, 23) of the image expert."""
        return self.image_head(self.image_encoder(image))

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, real_gating: bool = False) -> Gated:
        """Both experts, weighed; with a forced expert that one alone, at cost 0.

        real_gating: what `routed` does, with a gradient for the gate; here so that a wrapper of forward
        (DistributedDataParallel, with find_unused_parameters) sees it.
        """
        if real_gating:
            return self.routed(inputs, lengths, straight_through=True)
        logits = self.gate_logits(inputs)
        weights = diff_softmax(logits, self.temperature, self.hard)
        if self.infer_mode > 0:
            return Gated(self.run_expert(self.infer_mode, inputs), weights.new_zeros(()), weights, logits)
        outputs = [self.run_expert(number, inputs) for number in (1, 2)]
        return Gated(mix(weights, outputs), resource_loss(weights, (0, 1)), weights, logits)

    def routed(self, inputs: Sequence[Tensor], lengths: Tensor | None = None, straight_through: bool = False) -> Gated:
        """Run on each sample its chosen expert alone (dynmm.gate.route); the gate is hard whatever `hard` says.

        In eval mode the same as forward with a hard gate, up to rounding. straight_through: for training; the
        gate's gradient is then not the published one (see route). A forced expert runs as in forward.
        """
        if self.infer_mode > 0:
            return self.forward(inputs)
        text, image = inputs
        logits = self.gate_logits(inputs)
        weights = diff_softmax(logits, self.temperature, hard=True)
        experts = [lambda i: self.run_expert(1, [text[i]]), lambda i: self.run_expert(2, [text[i], image[i]])]
        prediction = route(weights, experts, straight_through, at_least=2 if self.branch3.training else 1)
        return Gated(prediction, resource_loss(weights, (0, 1)), weights, logits)
