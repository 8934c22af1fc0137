"""MulT (Tsai et al., ACL 2019) as fusion 4 of CMU-MOSEI: every modality attends to every modality."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.mult_transformer import TransformerEncoder
from dynmm.modality.networks.blocks import PADDINGS, last_step

# Attention dropout by the modality that is attended to: vision, audio, text; and of the memories.
KEY_DROPOUT, MEMORY_DROPOUT = (0.0, 0.0, 0.1), 0.1
LAYERS, MEMORY_LAYERS = 4, 4


class MulT(nn.Module):
    """Crossmodal transformers, a memory over each modality, a residual head: K sequences -> (B, outputs).

        h_i = mem_i([E_i0(p_i; p_0) | E_i1(p_i; p_1) | ...]) at its last step,  p_i = proj_i(x_i)
        z = [h_0 | h_1 | ...],  y = out_layer(proj2(D(relu(proj1 z))) + z)

    E_ij attends from p_i to p_j under a causal mask, with positions; width of p: `width`, a multiple of `heads`.
    Called as fusion([(B, T, C_k), ...], lengths).
    padding: "official" reads the last index of the zero-padded sequence; "masked" the last true step, whose
    result, the mask being causal, does not depend on the padding after it.
    """

    def __init__(
        self, inputs: Sequence[int], width: int = 40, heads: int = 10, outputs: int = 1, padding: str = "official"
    ) -> None:
        super().__init__()
        if padding not in PADDINGS:
            raise ValueError(f"padding: found {padding!r}, expected one of {PADDINGS}")
        self.padding, self.output_dropout = padding, 0.1
        count = len(inputs)
        memory = count * width
        self.proj = nn.ModuleList(nn.Conv1d(size, width, kernel_size=1, bias=False) for size in inputs)
        self.trans = nn.ModuleList(
            nn.ModuleList(_encoder(width, heads, LAYERS, KEY_DROPOUT[key]) for key in range(count))
            for _ in range(count)
        )
        self.trans_mems = nn.ModuleList(_encoder(memory, heads, MEMORY_LAYERS, MEMORY_DROPOUT) for _ in range(count))
        self.proj1 = nn.Linear(count * memory, count * memory)
        self.proj2 = nn.Linear(count * memory, count * memory)
        self.out_layer = nn.Linear(count * memory, outputs)

    def forward(self, parts: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        projected = [proj(x.transpose(1, 2)).permute(2, 0, 1) for proj, x in zip(self.proj, parts, strict=True)]
        read = None if self.padding == "official" else lengths
        states = []
        for number, (query, memory) in enumerate(zip(projected, self.trans_mems, strict=True)):
            encoders = self.trans[number].children()
            attended = [encoder(query, key, key) for encoder, key in zip(encoders, projected, strict=True)]
            states.append(last_step(memory(torch.cat(attended, dim=2)).transpose(0, 1), read))
        z = torch.cat(states, dim=1)
        hidden = F.dropout(F.relu(self.proj1(z)), self.output_dropout, self.training)
        return self.out_layer(self.proj2(hidden) + z)


def _encoder(width: int, heads: int, layers: int, attn_dropout: float) -> TransformerEncoder:
    """An encoder with the dropout rates and the mask of the published setting."""
    return TransformerEncoder(
        width,
        heads,
        layers,
        attn_dropout=attn_dropout,
        relu_dropout=0.1,
        res_dropout=0.1,
        embed_dropout=0.2,
        attn_mask=True,
        positions=True,
    )
