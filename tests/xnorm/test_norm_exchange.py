"""NormExchange: the equations in all three forms, what reads what, masks, and where gradients go."""

import pytest
import torch
from torch import nn

from xnorm.norm_exchange import NormExchange, NormParameters, exchange, norm_encoder, normalise, parameters

SHAPES = {"map": (3, 6, 4, 5), "clip": (3, 6, 2, 4, 5), "tokens": (3, 7, 6)}


def features(form, seed=0, spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    return 1 + spread * torch.randn(SHAPES[form], generator=generator)


def per_sample(x):
    """The normalisation, one sample after the other, as the paper states it."""
    return torch.stack([(one - one.mean()) / (one.std(unbiased=True) + 1e-8) for one in x])


@pytest.mark.parametrize("form", SHAPES)
def test_each_sample_is_normalised_as_a_whole(form):
    x = features(form)
    normed = normalise(x)
    torch.testing.assert_close(normed, per_sample(x))
    torch.testing.assert_close(normed.flatten(1).mean(dim=1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.flatten(1).std(dim=1), torch.ones(3))


def test_small_constant_stands_beside_the_deviation_not_the_variance():
    x = torch.tensor([[[1e-8, -1e-8]]])
    torch.testing.assert_close(normalise(x), x / (2**0.5 * 1e-8 + 1e-8))


def test_constant_features_give_no_nan():
    x = torch.ones(2, 3, 4, requires_grad=True)
    y = normalise(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(2, 3, 4))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("form", SHAPES)
def test_exchange_is_the_equation(form):
    module, x1, x2 = NormExchange(6, form=form), features(form, 1), features(form, 2)
    y1, y2 = module(x1, x2)
    for x, other, encoder, y in (
        (x1, x2, module.second_to_first, y1),
        (x2, x1, module.first_to_second, y2),
    ):
        both = encoder(other)
        shift, scale = (both[..., :6], both[..., 6:]) if form == "tokens" else (both[:, :6], both[:, 6:])
        torch.testing.assert_close(y, x + per_sample(x) * scale + shift)
        assert y.shape == x.shape


@pytest.mark.parametrize("form", SHAPES)
def test_encoders_see_single_positions(form):
    encoder, x = norm_encoder(6, 4, form), features(form)
    dim = -1 if form == "tokens" else 1
    before = parameters(encoder, x, form)
    x.select(-2 if form == "tokens" else -1, 2).add_(1.0)
    after = parameters(encoder, x, form)
    for one, other in zip(before, after, strict=True):
        changed = (one != other).any(dim=dim).flatten(1)
        assert changed.any()
        assert not changed.all()
        assert one.shape[dim] == 4


def test_both_streams_are_modulated_by_what_was_before_the_exchange():
    module, x1, x2 = NormExchange(6), features("clip", 1), features("clip", 2)
    swapped = NormExchange(6)
    swapped.second_to_first, swapped.first_to_second = module.first_to_second, module.second_to_first
    y1, y2 = module(x1, x2)
    z2, z1 = swapped(x2, x1)
    torch.testing.assert_close(y1, z1)
    torch.testing.assert_close(y2, z2)


def test_neither_stream_leaks_into_its_own_modulation():
    module, x1, x2 = NormExchange(6), features("clip", 1), features("clip", 2)
    to_first, to_second = module.modulation(x1, x2)
    again_first, again_second = module.modulation(x1 + 1, x2)
    assert torch.equal(to_first.scale, again_first.scale)
    assert not torch.equal(to_second.scale, again_second.scale)


def test_zero_scale_and_shift_leave_the_streams_alone():
    x1, x2 = features("clip", 1), features("clip", 2)
    nothing = NormParameters(torch.zeros(1), torch.zeros(1))
    y1, y2 = exchange(x1, x2, nothing, nothing)
    assert torch.equal(y1, x1)
    assert torch.equal(y2, x2)


def test_fresh_exchange_disturbs_both_streams():
    x1, x2 = features("clip", 1), features("clip", 2)
    for x, y in zip((x1, x2), NormExchange(6)(x1, x2), strict=True):
        assert (y - x).abs().mean() > 0.01


def test_gradients_are_those_of_finite_differences():
    module = NormExchange(3, 2, "tokens").double()
    x1, x2 = torch.randn(2, 4, 3).double().requires_grad_(), torch.randn(2, 4, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(module, (x1, x2))
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    assert torch.autograd.gradcheck(module, (x1, x2, mask, mask))


@pytest.mark.parametrize("pooled", [False, True])
def test_streams_of_different_width_exchange(pooled):
    x1, x2 = torch.randn(2, 5, 3, 4), torch.randn(2, 7, 3, 4)
    y1, y2 = NormExchange(5, 7, "map", pooled)(x1, x2)
    assert (y1.shape, y2.shape) == (x1.shape, x2.shape)


def test_pooled_parameters_are_those_of_the_mean_and_the_same_everywhere():
    module = NormExchange(6, form="clip", pooled=True)
    x1, x2 = features("clip", 1), features("clip", 2)[:, :, :1]
    to_first, to_second = module.modulation(x1, x2)
    expected = module.second_to_first(x2.mean(dim=(2, 3, 4), keepdim=True))
    torch.testing.assert_close(torch.cat(to_first, dim=1), expected)
    assert to_second.scale.shape == (3, 6, 1, 1, 1)


def test_padding_takes_no_part():
    module = NormExchange(6, form="tokens", pooled=True)
    generator = torch.Generator().manual_seed(5)
    text, audio = (torch.randn(1, steps, 6, generator=generator) for steps in (4, 9))
    expected = module(text, audio)
    padded = [torch.cat([x, torch.full((1, 3, 6), 50.0)], dim=1) for x in (text, audio)]
    masks = [torch.tensor([[1] * (x.shape[1] - 3) + [0] * 3]) for x in padded]
    for y, wanted in zip(module(*padded, *masks), expected, strict=True):
        torch.testing.assert_close(y[:, :-3], wanted)


def test_full_mask_is_no_mask():
    x = features("tokens")
    torch.testing.assert_close(normalise(x, torch.ones(3, 7, dtype=torch.bool)), normalise(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_statistics_of_half_precision_are_taken_in_float32(dtype):
    x = (300 * features("clip")).to(dtype)  # squares beyond what float16 holds
    torch.testing.assert_close(normalise(x), per_sample(x.float()), rtol=1e-4, atol=1e-4)


def test_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form 'video': expected one of map, clip, tokens"):
        NormExchange(3, form="video")


def test_encoders_are_drawn_as_torch_draws_them():
    torch.manual_seed(1)
    encoder = norm_encoder(6, 6)
    torch.manual_seed(1)
    expected = nn.Conv3d(6, 12, 1)
    assert torch.equal(encoder.weight, expected.weight)
    assert torch.equal(encoder.bias, expected.bias)
