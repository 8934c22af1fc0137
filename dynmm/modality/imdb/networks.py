"""The networks of MM-IMDB: text and image experts, four fusions, and DynMM over the text expert and late fusion.

Inputs are [text, image]: text (B, 300) mean word vectors, image (B, 4096) VGG-16 features. Outputs are logits
(B, 23), one for each genre. `lengths` is there because all blocks take it; nothing here reads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.errors import UserError
from dynmm.modality.networks.blocks import MLP, Expert, Identity, Linear, MaxoutMLP, narrow_size
from dynmm.modality.networks.fusion import MMDL, Concat, LowRankTensorFusion, MultiplicativeInteraction, choose_fusion
from dynmm.modality.networks.two_experts import TwoExperts

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
        return narrow_size(published, self.narrow)


PUBLISHED = ImdbSizes()


def text_expert(sizes: ImdbSizes = PUBLISHED) -> Expert:
    """Expert 1: Expert(MLP(300, 512, 512), MLP(512, 512, 23)), called with text (B, 300)."""
    hidden = sizes.hidden(512)
    return Expert(MLP(sizes.text, hidden, hidden), MLP(hidden, hidden, sizes.genres))


def image_expert(sizes: ImdbSizes = PUBLISHED) -> Expert:
    """Expert(MLP(4096, 1024, 512), MLP(512, 512, 23)), called with image (B, 4096)."""
    hidden = sizes.hidden(512)
    return Expert(MLP(sizes.image, sizes.hidden(1024), hidden), MLP(hidden, hidden, sizes.genres))


def expert_name(mod: int) -> str:
    """The name of the expert of --mod: 0 text, 1 image. Raises UserError for another number."""
    if mod not in (0, 1):
        raise UserError(f"--mod: found {mod}, expected 0 (text) or 1 (image)")
    return EXPERTS[mod]


def unimodal_expert(mod: int, sizes: ImdbSizes = PUBLISHED) -> Expert:
    """The expert of --mod. Raises UserError for a number that is none."""
    return image_expert(sizes) if expert_name(mod) == "image" else text_expert(sizes)


def fusion_name(fuse: int | str) -> str:
    """The name of a fusion given by number or name: 0 ef, 1 lf, 2 lrtf, 3 mim. Raises UserError for another."""
    return choose_fusion(fuse, FUSIONS, "--fuse")


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


class DynMMNet(TwoExperts):
    """DynMM on MM-IMDB: the gate weighs the text expert (1) and late fusion (2).

    temperature, hard: of the gate. infer_mode: 1 or 2 forces that expert, 0 or less is gated.
    The image expert has no part in the output; it is there because published checkpoints hold it.
    """

    text = 0

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

    def gate_logits(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """The gate on the concatenated inputs: (B, 2)."""
        return self.gate(torch.cat(list(inputs), dim=1))

    def costly(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        """Logits (B, 23) of expert 2 (late fusion)."""
        return self.branch3(inputs)

    def least_batch(self) -> int:
        """Late fusion's batch norms need two samples in training mode."""
        return 2 if self.branch3.training else 1

    def image_branch(self, image: Tensor) -> Tensor:
        """Logits (B, 23) of the image expert.

        No script calls it; it is kept for a golden case of the published network, which holds this expert.
        """
        return self.image_head(self.image_encoder(image))
