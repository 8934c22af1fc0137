"""MulT's encoder: attention is that of torch.nn.MultiheadAttention, the mask, the positions, and where it drops out."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from common.backbones.mult_transformer import (
    MultiheadAttention,
    SinusoidalPositions,
    TransformerEncoder,
    TransformerEncoderLayer,
    future_mask,
)

WIDTH, HEADS, BATCH = 12, 3, 2
SIZES = [(5, 5), (5, 1), (1, 5), (4, 7), (7, 4), (1, 1)]  # queries, keys
MASKS = [pytest.param(True, id="causal"), pytest.param(False, id="free")]


def lively(module):
    """All parameters drawn, biases and norms too."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.1, 0.4, generator=generator)
    return module


def sequences(queries, keys, requires_grad=False):
    generator = torch.Generator().manual_seed(queries + 10 * keys)
    return [
        torch.randn(steps, BATCH, WIDTH, generator=generator).requires_grad_(requires_grad)
        for steps in (queries, keys, keys)
    ]


@pytest.mark.parametrize("causal", MASKS)
@pytest.mark.parametrize(("queries", "keys"), SIZES)
def test_attention_is_that_of_torch_with_the_same_weights(queries, keys, causal):
    attention = lively(MultiheadAttention(WIDTH, HEADS))
    other = nn.MultiheadAttention(WIDTH, HEADS)
    other.load_state_dict(attention.state_dict())
    query, key, value = sequences(queries, keys, requires_grad=True)
    mask = future_mask(queries, keys) if causal else None
    expected, weights = other(query, key, value, attn_mask=mask)
    found = attention(query, key, value, causal)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(attention.weights(query, key, causal), weights)

    inputs, wanted = (query, key, value), torch.randn(found.shape)
    theirs = torch.autograd.grad(expected, [*other.parameters(), *inputs], wanted)
    ours = torch.autograd.grad(found, [*attention.parameters(), *inputs], wanted, materialize_grads=True)
    for one, another in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, another, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", MASKS)
def test_fused_self_attention_is_the_one_written_out(causal):
    attention = lively(MultiheadAttention(WIDTH, HEADS))
    (x, _, _) = sequences(5, 5)
    head = WIDTH // HEADS
    q, k, v = (F.linear(x, attention.in_proj_weight, attention.in_proj_bias)).split(WIDTH, dim=-1)
    heads = []
    for start in range(0, WIDTH, head):
        part = slice(start, start + head)
        scores = torch.einsum("qbc,kbc->bqk", q[..., part] / math.sqrt(head), k[..., part])
        if causal:
            scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
        heads.append(torch.einsum("bqk,kbc->qbc", scores.softmax(-1), v[..., part]))
    expected = F.linear(torch.cat(heads, -1), attention.out_proj.weight, attention.out_proj.bias)
    torch.testing.assert_close(attention(x, x, x, causal), expected)


@settings(deadline=None, max_examples=40)
@given(queries=st.integers(1, 6), keys=st.integers(1, 6), causal=st.booleans(), scale=st.sampled_from([0, 1, 1e3]))
def test_no_size_and_no_mask_gives_a_number_that_is_none(queries, keys, causal, scale):
    attention = lively(MultiheadAttention(WIDTH, HEADS))
    query, key, value = (scale * x for x in sequences(queries, keys))
    assert attention(query, key, value, causal).isfinite().all()
    weights = attention.weights(query, key, causal)
    torch.testing.assert_close(weights.sum(-1), torch.ones(BATCH, queries))


@given(queries=st.integers(1, 7), keys=st.integers(1, 7))
def test_mask_hides_keys_more_than_the_difference_of_lengths_ahead(queries, keys):
    mask = future_mask(queries, keys)
    for query in range(queries):
        for key in range(keys):
            assert mask[query, key] == (-math.inf if key - query > abs(keys - queries) else 0)


def one_hot_attention(rate, keys):
    """Attention whose output at a query is its dropped-out uniform softmax, head after head; and its inputs."""
    attention = MultiheadAttention(HEADS * keys, HEADS, rate)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.zero_()
        attention.in_proj_weight[-HEADS * keys :] = torch.eye(HEADS * keys)
        attention.out_proj.weight.copy_(torch.eye(HEADS * keys))
    value = torch.eye(keys).repeat(1, HEADS)[:, None]  # key j: one at place j of every head
    return attention, torch.zeros(2000, 1, HEADS * keys), value


@pytest.mark.parametrize("keys", [1, 4])
def test_dropout_is_on_the_softmax_and_only_in_training(keys):
    attention, query, value = one_hot_attention(0.3, keys)
    torch.manual_seed(0)
    dropped = attention(query, value, value)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], torch.full_like(dropped[kept], 1 / (keys * 0.7)))
    assert kept.float().mean().item() == pytest.approx(0.7, abs=0.02)
    heads = kept.reshape(2000, HEADS, keys)
    assert not torch.equal(heads[:, 0], heads[:, 1])
    torch.testing.assert_close(attention.eval()(query, value, value), torch.full_like(dropped, 1 / keys))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="4 heads do not divide the width 30"):
        MultiheadAttention(30, 4)


def sinusoid(number, width):
    half = width // 2
    if number == 0:
        return [0.0] * width
    angles = [number * math.exp(-j * math.log(10000) / (half - 1)) for j in range(half)]
    return [*map(math.sin, angles), *map(math.cos, angles), *([0.0] * (width % 2))]


@pytest.mark.parametrize("width", [8, 9])
@pytest.mark.parametrize(
    ("left_pad", "first", "numbers"),
    [
        (False, [1, -2, 0.5, 3], [1, 2, 3, 4]),
        (False, [1, 0, 0.5, 0], [1, 0, 3, 0]),
        (False, [0, 0, 4, 5], [0, 0, 3, 4]),
        (True, [0, 0, 4, 5], [0, 0, 1, 2]),
        (True, [1, 2, 3, 4], [1, 2, 3, 4]),
        (False, [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_positions_count_steps_and_leave_padding_at_zero(width, left_pad, first, numbers):
    found = SinusoidalPositions(width, left_pad)(torch.tensor([first]))
    torch.testing.assert_close(found, torch.tensor([[sinusoid(number, width) for number in numbers]]))


def test_positions_serve_longer_sequences_than_before_and_need_no_entry_for_it():
    positions = SinusoidalPositions(8)
    short = positions(torch.ones(1, 3))
    long = positions(torch.ones(2, 40))
    torch.testing.assert_close(long[:, :3], short.expand(2, -1, -1))
    assert list(positions.state_dict()) == ["_float_tensor"]


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_encoder_has_12_entries_a_layer_and_3_more(layers):
    encoder = TransformerEncoder(30, 3, layers)
    assert len(encoder.state_dict()) == 12 * layers + 3
    assert sum(p.numel() for p in encoder.parameters()) == layers * (12 * 30**2 + 13 * 30) + 2 * 30
    assert next(iter(encoder.state_dict())) == "version"
    assert encoder.version.tolist() == [2.0]


def test_encoder_without_layers_norms_the_scaled_input():
    encoder, (x, _, _) = TransformerEncoder(WIDTH, HEADS, 0), sequences(4, 4)
    torch.testing.assert_close(encoder(x), F.layer_norm(math.sqrt(WIDTH) * x, (WIDTH,)))


def test_positions_are_added_to_the_scaled_input_by_the_zeros_of_the_unscaled_one():
    encoder, (x, _, _) = TransformerEncoder(WIDTH, HEADS, 0, positions=True), sequences(4, 4)
    x[2, 0, 0] = 0
    numbers = [[1, 2, 0, 4], [1, 2, 3, 4]]
    added = torch.tensor([[sinusoid(number, WIDTH) for number in row] for row in numbers]).transpose(0, 1)
    torch.testing.assert_close(encoder(x), F.layer_norm(math.sqrt(WIDTH) * x + added, (WIDTH,)))


def test_encoder_attends_to_given_keys_and_values_in_every_layer():
    encoder = lively(TransformerEncoder(WIDTH, HEADS, 2, attn_mask=False))
    x, keys, values = sequences(4, 6)
    scale = math.sqrt(WIDTH)
    expected = scale * x
    for layer in encoder.layers:
        expected = layer(expected, scale * keys, scale * values)
    torch.testing.assert_close(encoder(x, keys, values), encoder.layer_norm(expected))
    alone = lively(TransformerEncoder(WIDTH, HEADS, 1))
    torch.testing.assert_close(alone(x, x, x), alone(x))


@pytest.fixture
def dropped(monkeypatch):
    """(shape, rate) of everything that is dropped out while a module trains."""
    seen, original = [], F.dropout

    def recorded(x, p, training=True):
        if training:
            seen.append((tuple(x.shape), p))
        return original(x, p, training)

    monkeypatch.setattr(F, "dropout", recorded)
    return seen


def test_encoder_drops_out_input_hidden_units_and_both_branches(dropped):
    encoder = TransformerEncoder(WIDTH, HEADS, 2, 0.1, 0.2, 0.3, 0.4)
    x, keys, values = sequences(4, 6)
    encoder(x)
    layer = [((4, 2, 12), 0.3), ((4, 2, 48), 0.2), ((4, 2, 12), 0.3)]
    assert dropped == [((4, 2, 12), 0.4), *layer, *layer]
    dropped.clear()
    encoder(x, keys, values)
    assert dropped[:3] == [((4, 2, 12), 0.4), ((6, 2, 12), 0.4), ((6, 2, 12), 0.4)]
    dropped.clear()
    encoder.eval()(x)
    assert dropped == []


def test_dropout_of_the_branches_comes_before_the_residual_sums():
    (x, _, _) = sequences(4, 4)
    assert torch.equal(lively(TransformerEncoderLayer(WIDTH, HEADS, res_dropout=1.0))(x), x)


def test_dropout_of_hidden_units_comes_behind_the_relu():
    (x, _, _) = sequences(4, 4)
    layer = lively(TransformerEncoderLayer(WIDTH, HEADS, relu_dropout=1.0))
    norm = layer.layer_norms[0](x)
    expected = x + layer.self_attn(norm, norm, norm, causal=True) + layer.fc2.bias
    torch.testing.assert_close(layer(x), expected)


def test_initial_weights_are_xavier_uniform_and_biases_zero():
    layer = TransformerEncoderLayer(30, 3)
    for weight in (layer.self_attn.in_proj_weight, layer.self_attn.out_proj.weight, layer.fc1.weight, layer.fc2.weight):
        bound = math.sqrt(6 / sum(weight.shape))
        assert 0.95 * bound < weight.abs().max() <= bound
    for bias in (layer.self_attn.in_proj_bias, layer.self_attn.out_proj.bias, layer.fc1.bias, layer.fc2.bias):
        assert bias.count_nonzero() == 0
