"""The published ways to fuse modalities, and the network around them (MMDL); names as in the state dicts.

Every fusion is called as fusion(parts, lengths) with the outputs of the encoders, in the order of the
modalities, and returns one tensor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.errors import UserError


def choose_fusion(fusion: int | str, names: Sequence[str], flag: str) -> str:
    """The name of a fusion that `flag` gives by number or by name. Raises UserError for one that is not in `names`."""
    if fusion in names:
        return str(fusion)
    if isinstance(fusion, int) and 0 <= fusion < len(names):
        return names[fusion]
    choices = ", ".join(f"{index} ({name})" for index, name in enumerate(names))
    raise UserError(f"{flag}: found {fusion}, expected one of {choices}")


class Concat(nn.Module):
    """K tensors (B, ...) -> (B, sum of their sizes)."""

    def forward(self, parts: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        return torch.cat([part.flatten(1) for part in parts], dim=1)


class ConcatEarly(nn.Module):
    """K aligned sequences (B, T, C_k) -> (B, T, sum of C_k)."""

    def forward(self, parts: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        return torch.cat(list(parts), dim=2)


class LowRankTensorFusion(nn.Module):
    """y = b + sum_r w_r prod_k ([1, x_k] F_k[r]): the tensor product of the modalities at low rank.

    K tensors (B, dims[k]) -> (B, outputs).
    trained=False keeps F, w and b as they start, in buffers outside the state dict: what the published code
    does on a GPU, where they are no parameters of the network and live only in its pickle.
    """

    fusion_weights: Tensor
    fusion_bias: Tensor

    def __init__(self, dims: Sequence[int], outputs: int, rank: int, trained: bool = True) -> None:
        super().__init__()
        self.modalities = len(dims)
        shapes = {f"factor{k}": (rank, dim + 1, outputs) for k, dim in enumerate(dims)}
        values = {name: nn.init.xavier_normal_(torch.empty(shape)) for name, shape in shapes.items()}
        values["fusion_weights"] = nn.init.xavier_normal_(torch.empty(1, rank))
        values["fusion_bias"] = torch.zeros(1, outputs)
        for name, value in values.items():
            if trained:
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value, persistent=False)

    def forward(self, parts: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        product = None
        for k, part in enumerate(parts):
            with_one = torch.cat([part.new_ones(len(part), 1), part], dim=1)
            factor = with_one @ getattr(self, f"factor{k}")
            product = factor if product is None else product * factor
        return torch.einsum("r,rbo->bo", self.fusion_weights[0], product) + self.fusion_bias


class MultiplicativeInteraction(nn.Module):
    """y = x1 W x2 + x1 U + x2 V + b ("matrix" form): (B, n) and (B, m) -> (B, outputs)."""

    def __init__(self, dims: Sequence[int], outputs: int) -> None:
        super().__init__()
        first, second = dims
        self.W = nn.Parameter(nn.init.xavier_normal_(torch.empty(first, second, outputs)))
        self.U = nn.Parameter(nn.init.xavier_normal_(torch.empty(first, outputs)))
        self.V = nn.Parameter(nn.init.xavier_normal_(torch.empty(second, outputs)))
        self.b = nn.Parameter(torch.randn(outputs))

    def forward(self, parts: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        first, second = parts
        pairs = (first[:, :, None] * second[:, None, :]).flatten(1)
        return pairs @ self.W.flatten(0, 1) + first @ self.U + second @ self.V + self.b


class MMDL(nn.Module):
    """An encoder for each modality, a fusion, a head: K inputs -> (B, outputs).

    encoders, head: called as block(x, lengths); fusion: as fusion(parts, lengths).
    """

    def __init__(self, encoders: Sequence[nn.Module], fusion: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.fuse = fusion
        self.head = head

    def encode(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> list[Tensor]:
        """The outputs of the encoders, in the order of the modalities."""
        return [encoder(x, lengths) for encoder, x in zip(self.encoders, inputs, strict=True)]

    def forward(self, inputs: Sequence[Tensor], lengths: Tensor | None = None) -> Tensor:
        return self.head(self.fuse(self.encode(inputs, lengths), lengths), lengths)
