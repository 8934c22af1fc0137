"""The network of UCRN: projections, unimodal refinement, temporal projection, gates, crossmodal refinement, head."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucrn.refinement import CrossmodalRefinement, SelfQualityImprovement, UnimodalRefinement

MODALITIES = ("l", "a", "v")  # language, audio, vision: the order of all inputs and of the fused vector
WIDTH = 30


class Output(NamedTuple):
    """prediction (B, 1); fused: z (B, 30 M) before the head; refined: (k, B, 30) of each active modality before its
    gate, in the order l, a, v."""

    prediction: Tensor
    fused: Tensor
    refined: list[Tensor]


class UCRN(nn.Module):
    """Sentiment of a clip from its sequences of text, audio and vision features.

    widths, lengths: features and steps of text, audio and vision. The temporal projection has a weight for each step,
    so a network serves one set of lengths.
    active: the modalities that are used, at least one of "l", "a", "v". Projections of the others exist as in the
    published network, without a use.
    temp_proj: k, the steps that the temporal projection leaves; 0 takes the last step of the refined sequence.
    attn_dropout: on attention weights, of the text's refinement and the crossmodal one; the others have their own.
    attn_mask: refinement attends to the past alone. positions: sinusoids in every refinement (none as published).
    without: parts left out, of "urm", "sqil" and "crm" (ablations).
    Entries of the state dict are the published ones.
    """

    def __init__(
        self,
        widths: Sequence[int],
        lengths: Sequence[int],
        active: Sequence[str] = MODALITIES,
        *,
        temp_proj: int = 1,
        num_heads: int = 3,
        layers: int = 5,
        attn_dropout: float = 0.1,
        attn_dropout_a: float = 0.0,
        attn_dropout_v: float = 0.0,
        relu_dropout: float = 0.1,
        res_dropout: float = 0.1,
        out_dropout: float = 0.5,
        embed_dropout: float = 0.25,
        attn_mask: bool = True,
        positions: bool = False,
        without: Collection[str] = (),
        output_dim: int = 1,
    ) -> None:
        super().__init__()
        self.active, self.temp_proj = tuple(active), temp_proj
        self.embed_dropout, self.out_dropout = embed_dropout, out_dropout
        # Drawn in the published order, so that a seed starts from the published weights.
        for modality, width in zip(MODALITIES, widths, strict=True):
            self.add_module(f"proj_{modality}", nn.Conv1d(width, WIDTH, kernel_size=1, bias=False))
        if temp_proj:
            for modality, length in zip(MODALITIES, lengths, strict=True):
                self.add_module(f"temp_proj_{modality}", nn.Conv1d(length, temp_proj, kernel_size=1, bias=False))
        rates = {"l": attn_dropout, "a": attn_dropout_a, "v": attn_dropout_v}
        common = (relu_dropout, res_dropout, embed_dropout, attn_mask, positions)
        for modality in self.active:
            if "urm" not in without:
                refine = UnimodalRefinement(WIDTH, num_heads, layers, rates[modality], *common)
                self.add_module(f"{modality}_refine", refine)
            if "sqil" not in without:
                self.add_module(f"{modality}_quality", SelfQualityImprovement(WIDTH))
        fused = WIDTH * len(self.active)
        if "crm" not in without:
            self.cross_modal_fusion = CrossmodalRefinement(fused, num_heads, layers, attn_dropout, *common)
        self.proj1, self.proj2 = nn.Linear(fused, fused), nn.Linear(fused, fused)
        self.out_layer = nn.Linear(fused, output_dim)
        self.without = frozenset(without)

    def forward(self, text: Tensor, audio: Tensor, vision: Tensor) -> Output:
        """text (B, L_l, d_l), audio (B, L_a, d_a), vision (B, L_v, d_v)."""
        refined = self.refine(text, audio, vision)
        gated = refined
        if "sqil" not in self.without:
            gated = [getattr(self, f"{m}_quality")(h) for m, h in zip(self.active, refined, strict=True)]
        fused = torch.cat(gated, dim=-1)[-1] if "crm" in self.without else self.cross_modal_fusion(gated)
        hidden = F.dropout(F.relu(self.proj1(fused)), self.out_dropout, self.training)
        return Output(self.out_layer(self.proj2(hidden) + fused), fused, refined)

    def refine(self, text: Tensor, audio: Tensor, vision: Tensor) -> list[Tensor]:
        """The refined features (k, B, 30) of each active modality."""
        sequences = {"l": text, "a": audio, "v": vision}
        if "l" in self.active:
            sequences["l"] = F.dropout(text, self.embed_dropout, self.training)
        return [self._refine_one(modality, sequences[modality]) for modality in self.active]

    def gates(self, refined: Sequence[Tensor]) -> Tensor:
        """The SQIL gates (M, B, 30) of refined features; (0, B, 30) without SQIL."""
        if "sqil" in self.without:
            return refined[0].new_empty(0, *refined[0].shape[1:])
        return torch.stack([getattr(self, f"{m}_quality").gate(h) for m, h in zip(self.active, refined, strict=True)])

    def _refine_one(self, modality: str, x: Tensor) -> Tensor:
        if x.shape[-1] != WIDTH:  # as published: features of the network's own width are taken as they are
            x = F.linear(x, getattr(self, f"proj_{modality}").weight[:, :, 0])
        x = x.transpose(0, 1)
        if "urm" not in self.without:
            x = getattr(self, f"{modality}_refine")(x)
        if not self.temp_proj:
            return x[-1:]
        over_time = getattr(self, f"temp_proj_{modality}").weight[:, :, 0]
        return torch.einsum("kt,tbc->kbc", over_time, x)
