"""The blocks that experts and gates are made of; attribute names are the published state-dict names.

Every block is called as block(x, lengths). lengths: (B,) int64, the true steps of each sequence, at least 1,
on the device of x; blocks that see no time ignore it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS, LAYERS, FEED_FORWARD = 5, 5, 2048
PADDINGS = ("official", "masked")


def narrow_size(size: int, narrow: int) -> int:
    """A published hidden size divided by `narrow`: a multiple of 10, at least 10, which all heads divide.

    narrow = 1 is the published size itself.
    """
    return size if narrow == 1 else max(10, size // narrow // 10 * 10)


class Identity(nn.Module):
    """y = x."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return x


class Linear(nn.Module):
    """y = fc(x): (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.fc(x)


class MLP(nn.Module):
    """y = fc2(relu(fc(x))): (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.fc2(F.relu(self.fc(x)))


class Maxout(nn.Module):
    """The larger of each pair of neighbouring units: (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.lin = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(x).unflatten(-1, (-1, 2)).amax(dim=-1)


class MaxoutMLP(nn.Module):
    """Two Maxout layers between batch norms: (B, inputs) -> (B, hidden2), or (B, outputs) with a last Linear.

    outputs=None: without the last Linear.
    """

    def __init__(
        self, inputs: int, hidden1: int, hidden2: int, outputs: int | None = None, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.op0 = nn.BatchNorm1d(inputs, eps=1e-4)
        self.op1 = Maxout(inputs, hidden1)
        self.op2 = nn.Sequential(nn.BatchNorm1d(hidden1), nn.Dropout(dropout))
        self.op3 = Maxout(hidden1, hidden2)
        self.op4 = nn.Sequential(nn.BatchNorm1d(hidden2), nn.Dropout(dropout))
        self.hid2val = None if outputs is None else nn.Linear(hidden2, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.op2(self.op1(self.op0(x)))
        x = self.op4(self.op3(x))
        return x if self.hid2val is None else self.hid2val(x)


def last_step(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The last true step of each sequence: (B, T, C) -> (B, C). lengths None: the last step there is."""
    if lengths is None:
        return x[:, -1]
    return x[torch.arange(len(x), device=x.device), lengths.to(x.device) - 1]


class GRU(nn.Module):
    """One GRU layer; its hidden state after the last true step: (B, T, inputs) -> (B, hidden).

    The states before the end of a sequence do not depend on the padding after it, so that nothing is packed:
    the same numbers up to rounding, without a wait for the lengths.
    """

    def __init__(self, inputs: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.dropout(last_step(self.gru(x)[0], lengths))


class GRUWithLinear(GRU):
    """GRU and a Linear after its dropout: (B, T, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__(inputs, hidden, dropout)
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(super().forward(x, lengths))


class Transformer(nn.Module):
    """Five post-norm encoder layers on a sequence, read at one step: (B, T, inputs) -> (B, width).

    No positional encoding. width: a multiple of 5, the number of heads.
    padding: "official" reads the last index of the zero-padded sequence, and padded steps take part as keys,
    so that a prediction depends on the batch's longest clip; "masked" keeps them out and reads the last true
    step.
    """

    def __init__(self, inputs: int, width: int, padding: str = "official", feed_forward: int = FEED_FORWARD) -> None:
        super().__init__()
        if padding not in PADDINGS:
            raise ValueError(f"padding: found {padding!r}, expected one of {PADDINGS}")
        self.padding = padding
        self.conv = nn.Conv1d(inputs, width, kernel_size=1, bias=False)
        layer = nn.TransformerEncoderLayer(width, HEADS, feed_forward, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        x = self.conv(x.transpose(1, 2)).transpose(1, 2)
        if self.padding == "official" or lengths is None:
            return self.transformer(x)[:, -1]
        padded = torch.arange(x.shape[1], device=x.device) >= lengths.to(x.device)[:, None]
        return last_step(self.transformer(x, src_key_padding_mask=padded), lengths)


class Expert(nn.Sequential):
    """An encoder and a head, 0.* and 1.* in the state dict: x and lengths -> (B, outputs)."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__(encoder, head)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        encoder, head = self
        return head(encoder(x, lengths))
