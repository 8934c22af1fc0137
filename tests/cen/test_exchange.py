"""The exchange of channels and the penalty that brings it about."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cen.exchange import ScaleSlice, exchange_channels, is_kept, penalised_slices, scale_penalty

THRESHOLD = 0.02
SHAPES = [(2, 4), (2, 4, 5), (2, 4, 3, 5), (2, 4, 2, 3, 5)]


def constants(*values, shape=(2, 4, 3, 5)):
    """One tensor a value, filled with it."""
    return [torch.full(shape, float(value)) for value in values]


def by_boolean_masks(streams, scales, threshold):
    """The rule written the slow way: copy, then overwrite the channels of small scale."""
    fused = []
    for index, (stream, scale) in enumerate(zip(streams, scales, strict=True)):
        others = torch.stack([other for place, other in enumerate(streams) if place != index])
        copy, small = stream.clone(), scale.abs() < threshold
        copy[:, small] = others.mean(dim=0)[:, small]
        fused.append(copy)
    return fused


def test_scale_at_the_threshold_keeps_its_channel_and_a_smaller_one_gives_it_up():
    scales = torch.tensor([0.02, -0.02, 0.0199, -0.0199])
    assert is_kept(scales, 0.02).tolist() == [True, True, False, False]
    y, _ = exchange_channels(constants(1, 2), [scales, torch.ones(4)], 0.02)
    assert y[:, :2].unique().tolist() == [1]
    assert y[:, 2:].unique().tolist() == [2]


def test_two_small_scales_swap_their_channel():
    small, large = torch.zeros(4), torch.ones(4)
    a, b = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    swapped = exchange_channels([a, b], [small, small], THRESHOLD)
    assert torch.equal(swapped[0], b)
    assert torch.equal(swapped[1], a)
    copied = exchange_channels([a, b], [small, large], THRESHOLD)
    assert torch.equal(copied[0], b)
    assert torch.equal(copied[1], b)


@pytest.mark.parametrize(("values", "fused"), [((1, 2, 6), (4, 3.5, 1.5)), ((1, 2, 6, 10), (6, 17 / 3, 13 / 3, 3))])
def test_small_scale_takes_the_mean_of_all_others(values, fused):
    scales = [torch.zeros(4) for _ in values]
    for y, expected in zip(exchange_channels(constants(*values), scales, THRESHOLD), fused, strict=True):
        torch.testing.assert_close(y, torch.full_like(y, expected))


def test_large_scales_or_a_zero_threshold_leave_every_stream():
    streams = [torch.randn(2, 4, 3) for _ in range(3)]
    for scales, threshold in ((torch.ones(4), THRESHOLD), (torch.zeros(4), 0.0)):
        for y, x in zip(exchange_channels(streams, [scales] * 3, threshold), streams, strict=True):
            assert torch.equal(y, x)


def test_single_stream_comes_back_as_it_is():
    x = torch.randn(2, 4, 3)
    fused = exchange_channels([x], [torch.zeros(4)], THRESHOLD)
    assert len(fused) == 1
    assert fused[0] is x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3])
def test_any_trailing_dimensions(shape, count):
    streams = [torch.randn(shape) for _ in range(count)]
    scales = [torch.tensor([1.0, 0, 1, 0]).roll(index) for index in range(count)]
    expected = by_boolean_masks(streams, scales, THRESHOLD)
    for y, e in zip(exchange_channels(streams, scales, THRESHOLD), expected, strict=True):
        assert torch.equal(y, e)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(2, 4),
    trailing=st.lists(st.integers(1, 3), max_size=3),
    channels=st.integers(1, 6),
    threshold=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 2**16),
)
def test_equals_overwriting_by_boolean_masks(count, trailing, channels, threshold, seed):
    generator = torch.Generator().manual_seed(seed)
    streams = [torch.randn(2, channels, *trailing, generator=generator) for _ in range(count)]
    scales = [torch.randn(channels, generator=generator).mul(4).round() / 4 for _ in range(count)]
    before = [stream.clone() for stream in streams]
    fused = exchange_channels(streams, scales, threshold)
    for y, expected in zip(fused, by_boolean_masks(before, scales, threshold), strict=True):
        assert torch.equal(y, expected)
    assert all(torch.equal(x, kept) for x, kept in zip(streams, before, strict=True))


def test_streams_and_scales_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        exchange_channels(constants(1, 2), [torch.ones(4)], THRESHOLD)


def test_no_gradient_reaches_the_scales():
    scales = [torch.tensor([0.0, 1, 0, 1], requires_grad=True) for _ in range(2)]
    streams = [torch.randn(2, 4, 3, requires_grad=True) for _ in range(2)]
    sum(y.square().sum() for y in exchange_channels(streams, scales, THRESHOLD)).backward()
    assert all(stream.grad is not None for stream in streams)
    assert all(scale.grad is None for scale in scales)


def test_gradient_goes_to_the_stream_that_was_chosen():
    streams = [torch.randn(1, 2, requires_grad=True) for _ in range(2)]
    scales = [torch.tensor([0.0, 1.0]), torch.ones(2)]
    y0, _ = exchange_channels(streams, scales, THRESHOLD)
    (y0 * torch.tensor([3.0, 5.0])).sum().backward()
    assert streams[0].grad.tolist() == [[0, 5]]
    assert streams[1].grad.tolist() == [[3, 0]]


def test_gradient_of_a_mean_is_shared_by_the_others():
    streams = [torch.randn(1, 1, requires_grad=True) for _ in range(3)]
    scales = [torch.zeros(1), torch.ones(1), torch.ones(1)]
    exchange_channels(streams, scales, THRESHOLD)[0].sum().backward()
    assert [stream.grad.item() for stream in streams] == [0, 0.5, 0.5]


@pytest.mark.parametrize("count", [2, 3])
def test_channels_last_stays_channels_last(count):
    streams = [torch.randn(2, 4, 3, 5).to(memory_format=torch.channels_last) for _ in range(count)]
    scales = [torch.tensor([1.0, 0, 1, 0])] * count
    for y in exchange_channels(streams, scales, THRESHOLD):
        assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("count", [2, 3])
def test_compiled_in_one_graph_gives_the_same(count):
    compiled = torch.compile(exchange_channels, fullgraph=True, backend="aot_eager")
    streams = [torch.randn(2, 4, 3, 5) for _ in range(count)]
    scales = [torch.tensor([1.0, 0, 1, 0]).roll(index).requires_grad_() for index in range(count)]
    expected = exchange_channels(streams, scales, THRESHOLD)
    for y, e in zip(compiled(streams, scales, THRESHOLD), expected, strict=True):
        torch.testing.assert_close(y, e)


def blocks(streams, sizes):
    """Named parameters of blocks that hold, besides a convolution, one norm bn2 a stream."""
    found = []
    for block, size in enumerate(sizes):
        found.append((f"{block}.conv2.module.weight", nn.Parameter(torch.ones(size))))
        for stream in range(streams):
            for kind in ("weight", "bias"):
                found.append((f"{block}.bn2.bn_{stream}.{kind}", nn.Parameter(torch.ones(size))))
    return found


def taken(streams, sizes, parts=2):
    return [tuple(part) for part in penalised_slices(blocks(streams, sizes), "bn2", parts)]


def test_two_streams_give_first_and_second_halves_in_every_block():
    assert taken(2, [8, 6]) == [
        ("0.bn2.bn_0.weight", 0, 4),
        ("0.bn2.bn_1.weight", 4, 8),
        ("1.bn2.bn_0.weight", 0, 3),
        ("1.bn2.bn_1.weight", 3, 6),
    ]


def test_odd_number_of_scales_gives_the_middle_one_to_the_second_half():
    assert [part[1:] for part in taken(2, [7])] == [(0, 3), (3, 7)]


def test_single_stream_alternates_between_the_halves():
    assert [part[1:] for part in taken(1, [8, 8, 8])] == [(0, 4), (4, 8), (0, 4)]


def test_halves_of_three_streams_drift_from_block_to_block():
    assert [part[1:] for part in taken(3, [8, 8])] == [(0, 4), (4, 8), (0, 4), (4, 8), (0, 4), (4, 8)]


def test_thirds_of_three_streams_are_the_same_in_every_block():
    assert [part[1:] for part in taken(3, [9, 9], parts=3)] == [(0, 3), (3, 6), (6, 9)] * 2


@given(size=st.integers(1, 70), parts=st.integers(2, 5))
def test_parts_of_a_block_are_disjoint_and_leave_nothing_out(size, parts):
    covered = [place for _, start, stop in taken(parts, [size], parts) for place in range(start, stop)]
    assert covered == list(range(size))


def test_penalty_is_the_l1_norm_of_the_slices():
    parameters = {"a": torch.tensor([1.0, -2, 3, -4]), "b": torch.tensor([-10.0, 20])}
    slices = [ScaleSlice("a", 0, 2), ScaleSlice("b", 1, 2)]
    assert scale_penalty(parameters, slices).item() == 1 + 2 + 20


def test_penalty_pulls_by_the_sign_inside_the_slices_and_not_outside():
    scales = nn.Parameter(torch.tensor([0.5, -0.5, 0.0, -3.0, 4.0]))
    scale_penalty({"bn2": scales}, [ScaleSlice("bn2", 0, 4)]).backward()
    assert scales.grad.tolist() == [1, -1, 0, -1, 0]
