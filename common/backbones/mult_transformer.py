"""The transformer encoder of MulT (Tsai et al., ACL 2019), key names as published: self- and crossmodal attention.

Tensors are (time, batch, width), as in the original. Pre-norm layers; attention goes through PyTorch's fused kernels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def future_mask(queries: int, keys: int, device: torch.device | None = None) -> Tensor:
    """Additive mask (queries, keys): 0, and -inf where key index - query index > |keys - queries|."""
    mask = torch.full((queries, keys), -math.inf, device=device)
    return mask.triu(1 + abs(keys - queries))


class MultiheadAttention(nn.Module):
    """concat_h(softmax(Q_h K_h^T / sqrt(C / heads) + mask) V_h) W_o + b_o, dropout on the softmax.

    Entries are those of torch.nn.MultiheadAttention; rows of in_proj: queries, keys, values. Raises ValueError where
    `embed_dim` is no multiple of `num_heads`.
    """

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"{num_heads} heads do not divide the width {embed_dim}")
        self.num_heads, self.dropout = num_heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dim))
        self.out_proj = nn.Linear(embed_dim, embed_dim)  # torch's own draw comes first, as published
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.xavier_uniform_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
        """query (T, B, C), key and value (S, B, C) -> (T, B, C). causal: attend under `future_mask`."""
        dropout = self.dropout if self.training else 0.0
        if len(key) == 1:
            attended = self._attend_to_one(query, value, dropout)
        else:
            q, k, v = map(self._heads, self._project(query, key, value))
            square = causal and len(query) == len(key)
            mask = future_mask(len(query), len(key), query.device).to(q.dtype) if causal and not square else None
            attended = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=square)
        return self.out_proj(attended.permute(2, 0, 1, 3).flatten(2))

    def weights(self, query: Tensor, key: Tensor, causal: bool = False) -> Tensor:
        """The softmax, mean over the heads: (B, T, S)."""
        q, k, _ = map(self._heads, self._project(query, key, key))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if causal:
            scores = scores + future_mask(len(query), len(key), query.device)
        return scores.softmax(dim=-1).mean(dim=1)

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        if query is key and key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        parts = zip((query, key, value), self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3), strict=True)
        return tuple(F.linear(x, weight, bias) for x, weight, bias in parts)

    def _heads(self, x: Tensor) -> Tensor:
        """(T, B, C) -> (B, heads, T, C / heads); heads are consecutive slices of the width."""
        return x.unflatten(-1, (self.num_heads, -1)).permute(1, 2, 0, 3)

    def _attend_to_one(self, query: Tensor, value: Tensor, dropout: float) -> Tensor:
        """A softmax over one key is 1. So written, W_q and W_k get a gradient of exactly 0 and no rounding noise, which
        Adam would turn into steps of the size of the learning rate."""
        width = value.shape[-1]
        v = self._heads(F.linear(value, self.in_proj_weight[-width:], self.in_proj_bias[-width:]))
        return v * F.dropout(v.new_ones(*v.shape[:2], len(query), 1), dropout)


class SinusoidalPositions(nn.Module):
    """Sinusoids of the step numbers 1, 2, ..., and the zero vector where a step is padding.

    A step is padding where its first feature is exactly 0. With `left_pad` the numbers of the real steps, which then
    stand at the end, start at 1.
    """

    table: Tensor

    def __init__(self, embed_dim: int, left_pad: bool = False) -> None:
        super().__init__()
        self.embed_dim, self.left_pad = embed_dim, left_pad
        self.register_buffer("_float_tensor", torch.zeros(1))  # an entry of published files; its value has no use
        self.register_buffer("table", self._rows(1), persistent=False)

    def _rows(self, length: int) -> Tensor:
        """Rows 0 .. length - 1; [sin | cos], a last 0 for an odd width; row 0 is zero."""
        half = self.embed_dim // 2
        frequencies = torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))
        angles = torch.arange(length)[:, None] * frequencies
        rows = torch.cat([angles.sin(), angles.cos(), torch.zeros(length, self.embed_dim % 2)], dim=1)
        rows[0] = 0
        return rows

    def forward(self, first: Tensor) -> Tensor:
        """first (B, T): the first feature of every step. Returns (B, T, embed_dim)."""
        length = first.shape[1]
        if len(self.table) <= length:
            self.table = self._rows(length + 1).to(self.table.device)
        real = first != 0
        numbers = torch.arange(1, length + 1, device=first.device).expand_as(real)
        if self.left_pad:
            numbers = numbers + real.sum(dim=1, keepdim=True) - length
        return self.table[torch.where(real, numbers, 0)]


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Xavier uniform weights and no bias, drawn after torch's own draw, as published: a seed gives its weights."""
    linear = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class TransformerEncoderLayer(nn.Module):
    """x + D(MHA(n0(x), n0(k), n0(v))), then x + D(W2 D(relu(W1 n1(x)))), hidden width 4 C."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        attn_dropout: float = 0.0,
        relu_dropout: float = 0.0,
        res_dropout: float = 0.0,
        attn_mask: bool = True,
    ) -> None:
        super().__init__()
        self.self_attn = MultiheadAttention(embed_dim, num_heads, attn_dropout)
        self.fc1, self.fc2 = _linear(embed_dim, 4 * embed_dim), _linear(4 * embed_dim, embed_dim)
        self.layer_norms = nn.ModuleList(nn.LayerNorm(embed_dim) for _ in range(2))
        self.relu_dropout, self.res_dropout, self.attn_mask = relu_dropout, res_dropout, attn_mask

    def forward(self, x: Tensor, keys: Tensor | None = None, values: Tensor | None = None) -> Tensor:
        """x (T, B, C) and, for crossmodal attention, keys and values (S, B, C); returns (T, B, C)."""
        norm = self.layer_norms[0]
        query = norm(x)
        key, value = (query, query) if keys is None else (norm(keys), norm(values))
        x = x + F.dropout(self.self_attn(query, key, value, self.attn_mask), self.res_dropout, self.training)
        hidden = F.dropout(F.relu(self.fc1(self.layer_norms[1](x))), self.relu_dropout, self.training)
        return x + F.dropout(self.fc2(hidden), self.res_dropout, self.training)


class TransformerEncoder(nn.Module):
    """sqrt(C) x, with positions where wanted, dropped out; the layers; a last LayerNorm.

    Without keys every layer attends from x to x; with keys and values (S, B, C) to these, which are scaled and dropped
    out once, before the first layer.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        layers: int,
        attn_dropout: float = 0.0,
        relu_dropout: float = 0.0,
        res_dropout: float = 0.0,
        embed_dropout: float = 0.0,
        attn_mask: bool = True,
        positions: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("version", torch.full((1,), 2.0))  # an entry of published files; not used
        self.scale, self.embed_dropout = math.sqrt(embed_dim), embed_dropout
        self.embed_positions = SinusoidalPositions(embed_dim) if positions else None
        rates = (attn_dropout, relu_dropout, res_dropout)
        self.layers = nn.ModuleList(
            TransformerEncoderLayer(embed_dim, num_heads, *rates, attn_mask) for _ in range(layers)
        )
        self.layer_norm = nn.LayerNorm(embed_dim)

    def forward(self, x: Tensor, keys: Tensor | None = None, values: Tensor | None = None) -> Tensor:
        """x (T, B, C), keys and values (S, B, C) or None; returns (T, B, C)."""
        x = self._embed(x)
        if keys is not None and values is not None:
            keys, values = self._embed(keys), self._embed(values)
        for layer in self.layers:
            x = layer(x, keys, values)
        return self.layer_norm(x)

    def _embed(self, x: Tensor) -> Tensor:
        embedded = self.scale * x
        if self.embed_positions is not None:
            embedded = embedded + self.embed_positions(x[:, :, 0].T).transpose(0, 1)
        return F.dropout(embedded, self.embed_dropout, self.training)
