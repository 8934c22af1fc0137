"""The blocks of the experts: sequences, padding, Maxout."""

import pytest
import torch
from torch import nn

from dynmm.modality.networks.blocks import (
    GRU,
    MLP,
    Expert,
    GRUWithLinear,
    Identity,
    Maxout,
    MaxoutMLP,
    Transformer,
    last_step,
    narrow_size,
)

LENGTHS = torch.tensor([3, 6, 1, 5])


def sequences(width=4, steps=6):
    """Four clips of LENGTHS, zero-padded at the end."""
    x = torch.randn(len(LENGTHS), steps, width)
    return x.masked_fill((torch.arange(steps) >= LENGTHS[:, None])[:, :, None], 0.0)


def small_transformer(padding):
    torch.manual_seed(0)
    return Transformer(4, 10, padding, feed_forward=16).eval()


def alone(block, x):
    """Every clip in a batch of its own, cut at its length."""
    return torch.cat([block(x[i : i + 1, :length], LENGTHS[i : i + 1]) for i, length in enumerate(LENGTHS.tolist())])


@pytest.mark.parametrize(
    "block", [GRU(4, 6), GRUWithLinear(4, 6, 3), small_transformer("masked")], ids=["gru", "gru_linear", "masked"]
)
def test_prediction_does_not_depend_on_which_clips_share_a_batch(block):
    x = sequences()
    block.eval()
    with torch.no_grad():
        together = block(x, LENGTHS)
        longer = block(nn.functional.pad(x, (0, 0, 0, 3)), LENGTHS)
        torch.testing.assert_close(together, alone(block, x), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(together, longer, rtol=1e-5, atol=1e-6)


def test_masked_prediction_ignores_what_stands_in_the_padding():
    x, block = sequences(), small_transformer("masked")
    garbage = torch.where((torch.arange(6) >= LENGTHS[:, None])[:, :, None], torch.full_like(x, 7.0), x)
    with torch.no_grad():
        torch.testing.assert_close(block(x, LENGTHS), block(garbage, LENGTHS), rtol=1e-5, atol=1e-6)


def test_official_padding_lets_the_batch_change_a_short_clip_but_not_the_longest():
    x, official, masked = sequences(), small_transformer("official"), small_transformer("masked")
    with torch.no_grad():
        together, apart = official(x, LENGTHS), alone(official, x)
        assert (together - apart).abs().amax(dim=1)[[0, 2, 3]].min() > 1e-3
        torch.testing.assert_close(together[1], apart[1])
        torch.testing.assert_close(together[1], masked(x, LENGTHS)[1], rtol=1e-5, atol=1e-6)


def test_official_transformer_takes_steps_in_any_order_but_the_last():
    block, x = small_transformer("official"), torch.randn(2, 5, 4)
    with torch.no_grad():
        torch.testing.assert_close(block(x), block(x[:, [2, 0, 3, 1, 4]]), rtol=1e-5, atol=1e-6)


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="oficial"):
        Transformer(4, 10, padding="oficial")


def test_layers_start_as_copies_of_one():
    first, *others = Transformer(4, 10, feed_forward=16).transformer.layers
    assert len(others) == 4
    for layer in others:
        for a, b in zip(first.parameters(), layer.parameters(), strict=True):
            assert torch.equal(a, b)


def test_gru_equals_a_packed_one():
    block, x = GRU(4, 6).eval(), sequences()
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    with torch.no_grad():
        torch.testing.assert_close(block(x, LENGTHS), block.gru(packed)[1][0])


def test_dropout_of_the_gru_is_on_its_hidden_state_alone():
    block, x = GRU(4, 200).train(), sequences()
    found, without = block(x, LENGTHS), last_step(block.gru(x)[0], LENGTHS)
    kept = found != 0
    torch.testing.assert_close(found[kept], without[kept] / 0.9)
    assert 0.02 < 1 - kept.float().mean().item() < 0.25


def test_last_step_without_lengths_is_the_last_index():
    x = torch.randn(2, 4, 3)
    assert torch.equal(last_step(x, None), x[:, -1])
    assert torch.equal(last_step(x, torch.tensor([2, 4])), torch.stack([x[0, 1], x[1, 3]]))


def test_maxout_takes_the_larger_of_neighbouring_units():
    block = Maxout(2, 2)
    with torch.no_grad():
        block.lin.weight.zero_()
        block.lin.bias.copy_(torch.tensor([1.0, 5.0, 3.0, 2.0]))
    assert block(torch.zeros(1, 2)).tolist() == [[5.0, 3.0]]


def test_maxout_mlp_names_and_norms_are_the_published_ones():
    block = MaxoutMLP(6, 4, 3)
    modules = [name.rsplit(".", 1)[0] for name in block.state_dict()]
    assert list(dict.fromkeys(modules)) == ["op0", "op1.lin", "op2.0", "op3.lin", "op4.0"]
    assert [block.op0.eps, block.op2[0].eps, block.op4[0].eps] == [1e-4, 1e-5, 1e-5]
    assert [block.op2[1].p, block.op4[1].p] == [0.3, 0.3]
    assert block(torch.randn(5, 6)).shape == (5, 3)
    assert MaxoutMLP(6, 4, 3, outputs=2)(torch.randn(5, 6)).shape == (5, 2)


def test_expert_hands_the_lengths_to_its_encoder():
    x = sequences()
    expert = Expert(GRU(4, 6), MLP(6, 5, 2)).eval()
    torch.testing.assert_close(expert(x, LENGTHS), expert[1](expert[0](x, LENGTHS)))
    assert not torch.allclose(expert(x, LENGTHS)[0], expert(x)[0])
    assert Identity()(x, LENGTHS) is x


@pytest.mark.parametrize("size", [10, 60, 120, 128, 512, 2048])
@pytest.mark.parametrize("narrow", [1, 2, 4, 100])
def test_narrowed_sizes_are_divisible_by_all_heads_and_one_is_published(size, narrow):
    found = narrow_size(size, narrow)
    assert found == size if narrow == 1 else found % 10 == 0
    assert 10 <= found <= size
