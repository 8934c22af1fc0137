"""UCRN's idea: the divergences, the gate of a modality, and what refinement may see."""

import math
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.distributions import Categorical, kl_divergence

from common.backbones.mult_transformer import TransformerEncoder
from ucrn.refinement import (
    CrossmodalRefinement,
    SelfQualityImprovement,
    UnimodalRefinement,
    jensen_shannon,
    multimodal_divergence,
    unnormalised_divergence,
)

KINDS = [pytest.param(False, id="official"), pytest.param(True, id="jsd")]


def drawn(modalities=3, steps=2, batch=4, width=5, scale=1.0, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(modalities, steps, batch, width, generator=generator, dtype=dtype)
    return list((scale * features).unbind())


FEATURES = st.builds(
    drawn,
    modalities=st.integers(2, 3),
    steps=st.integers(1, 3),
    batch=st.integers(1, 4),
    width=st.integers(1, 6),
    scale=st.floats(0, 10),
    seed=st.integers(0, 999),
)


@pytest.mark.parametrize("true_js", KINDS)
@pytest.mark.parametrize("modalities", [1, 2, 3])
def test_equal_features_have_divergence_zero(modalities, true_js):
    features = drawn(1) * modalities
    assert multimodal_divergence(features, true_js).item() == pytest.approx(0, abs=1e-15)


@settings(deadline=None, max_examples=50)
@given(FEATURES, st.booleans())
def test_divergence_is_at_least_zero_and_the_same_in_any_order(features, true_js):
    value = multimodal_divergence(features, true_js)
    assert value >= -1e-12
    for order in permutations(features):
        torch.testing.assert_close(multimodal_divergence(order, true_js), value)


@settings(deadline=None, max_examples=50)
@given(FEATURES, st.floats(1, 1e6))
def test_jensen_shannon_stays_within_ln_2(features, stretch):
    value = jensen_shannon(stretch * torch.stack(features))
    assert -1e-12 <= value <= math.log(2) + 1e-12


def test_jensen_shannon_of_disjoint_distributions_is_ln_2_and_the_authors_estimator_has_no_bound():
    far = 100 * torch.eye(2).reshape(2, 1, 1, 2)
    assert jensen_shannon(far).item() == pytest.approx(math.log(2))
    values = [unnormalised_divergence(scale * torch.eye(3).reshape(3, 1, 1, 3)).item() for scale in (1, 5, 10)]
    assert values[0] > math.log(2)
    assert values[2] > 100 * values[1]


def test_two_modalities_of_one_step_are_never_apart_officially():
    features = drawn(2, steps=1, scale=5)
    assert multimodal_divergence(features) == 0
    assert multimodal_divergence(features, true_jensen_shannon=True) > 0.1
    assert multimodal_divergence(drawn(2, steps=2)) > 0


def kl_with_log_target(p, q):
    """The authors' call: KL from e^p and e^q to e^m, sums divided by the first axis, the steps."""
    middle = (p + q) / 2
    terms = [F.kl_div(middle, one, reduction="batchmean", log_target=True) for one in (p, q)]
    return sum(terms) / 2


@settings(deadline=None, max_examples=30)
@given(FEATURES)
def test_official_divergence_is_the_authors_library_call_over_all_pairs(features):
    batch = features[0].shape[1]
    if len(features) == 2:
        p, q = (x.softmax(dim=0) for x in features)
        expected = kl_with_log_target(p, q) / batch
    else:
        language, audio, vision = features
        pairs = [(language, audio), (audio, vision), (vision, language)]
        expected = sum(kl_with_log_target(*pair) for pair in pairs) / 3 / batch
    torch.testing.assert_close(multimodal_divergence(features), expected)


def test_official_divergence_written_out():
    features = drawn(3, steps=2, batch=2, width=3)
    total = 0.0
    for p, q in ((0, 1), (1, 2), (2, 0)):
        for x, y in zip(features[p].flatten().tolist(), features[q].flatten().tolist(), strict=True):
            total += (math.exp(x) - math.exp(y)) * (x - y) / (4 * 2)
    assert multimodal_divergence(features).item() == pytest.approx(total / 3 / 2)


@settings(deadline=None, max_examples=30)
@given(FEATURES)
def test_jensen_shannon_is_that_of_the_softmaxed_features(features):
    values = []
    for one, other in ((0, 1), (1, 2), (2, 0)) if len(features) == 3 else ((0, 1),):
        p, q = (Categorical(logits=features[index]) for index in (one, other))
        middle = Categorical(probs=(p.probs + q.probs) / 2)
        values.append((kl_divergence(p, middle) + kl_divergence(q, middle)).mean() / 2)
    expected = torch.stack(values).mean()
    torch.testing.assert_close(multimodal_divergence(features, True), expected, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("true_js", KINDS)
@pytest.mark.parametrize("modalities", [2, 3])
def test_gradient_flows_through_every_modality(modalities, true_js):
    features = [x.requires_grad_() for x in drawn(modalities, width=3)]
    assert gradcheck(lambda *given: multimodal_divergence(given, true_js), features)
    multimodal_divergence(features, true_js).backward()
    assert all(x.grad.abs().sum() > 0 for x in features)


@pytest.mark.parametrize("true_js", KINDS)
def test_single_modality_is_a_scalar_zero_without_gradient(true_js):
    value = multimodal_divergence([x.requires_grad_() for x in drawn(1, dtype=torch.float32)], true_js)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.item() == 0
    assert not value.requires_grad


def test_gate_is_one_hidden_unit_over_the_mean_of_the_steps():
    quality, (x,) = SelfQualityImprovement(30).double(), drawn(1, steps=3, width=30)
    squeeze, spread = quality.fc[0].weight, quality.fc[2].weight
    assert (squeeze.shape, spread.shape) == ((1, 30), (30, 1))
    gate = 1 / (1 + torch.exp(-(x.sum(0) / 3 @ squeeze.T).clamp(min=0) @ spread.T))
    torch.testing.assert_close(quality.gate(x), gate)
    torch.testing.assert_close(quality(x), x * gate)
    assert SelfQualityImprovement(64, reduction=8).fc[0].weight.shape == (8, 64)


def test_gate_is_the_same_at_every_step():
    quality, (x,) = SelfQualityImprovement(30).double(), drawn(1, steps=4, width=30)
    ratios = quality(x) / x
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))
    assert ((ratios > 0) & (ratios < 1)).all()


def test_dead_hidden_unit_passes_half_and_gets_no_gradient():
    quality = SelfQualityImprovement(30)
    torch.nn.init.constant_(quality.fc[0].weight, -1)
    x = torch.rand(2, 3, 30) + 0.1
    assert torch.equal(quality.gate(x), torch.full((3, 30), 0.5))
    quality(x).square().sum().backward()
    assert all(weight.grad.count_nonzero() == 0 for weight in quality.parameters())


def query_and_key_gradients(steps):
    """Absolute sums of the gradients of all query and key rows, weights and biases, and of the value rows."""
    refine = CrossmodalRefinement(18, num_heads=3, layers=2, attn_mask=False)
    (refine(drawn(3, steps=steps, width=6, dtype=torch.float32)) * torch.randn(18)).sum().backward()
    attended = [layer.self_attn for layer in refine.layers]
    parts = [p.grad.split(18) for one in attended for p in (one.in_proj_weight, one.in_proj_bias)]
    return [sum(part[row].abs().sum().item() for part in parts) for row in range(3)]


def test_crossmodal_query_and_key_rows_get_exactly_no_gradient_from_a_single_step():
    query, key, value = query_and_key_gradients(steps=1)
    assert query == key == 0
    assert value > 0.1


def test_crossmodal_query_and_key_rows_learn_from_two_steps():
    query, key, _ = query_and_key_gradients(steps=2)
    assert min(query, key) > 1e-3


def test_crossmodal_refinement_is_an_encoder_of_the_features_side_by_side_at_its_last_step():
    features = drawn(3, steps=3, width=6, dtype=torch.float32)
    refine, encoder = CrossmodalRefinement(18, 3, 2), TransformerEncoder(18, 3, 2)
    encoder.load_state_dict(refine.state_dict())
    torch.testing.assert_close(refine(features), encoder(torch.cat(features, dim=2))[2])
    assert not torch.allclose(refine(features), refine(features[::-1]))


@settings(deadline=None, max_examples=20)
@given(steps=st.integers(2, 7), changed=st.integers(1, 6), seed=st.integers(0, 99))
def test_unimodal_refinement_never_looks_ahead(steps, changed, seed):
    changed = min(changed, steps - 1)
    (x,) = drawn(1, steps=steps, width=6, seed=seed, dtype=torch.float32)
    other = x.clone()
    other[changed] += 3 * torch.randn(6)
    with torch.no_grad():
        refine = UnimodalRefinement(6, num_heads=3, layers=2)
        before, after = refine(x), refine(other)
        torch.testing.assert_close(before[:changed], after[:changed], rtol=0, atol=1e-6)
        assert not torch.allclose(before[changed:], after[changed:])
        free = UnimodalRefinement(6, num_heads=3, layers=2, attn_mask=False)
        assert not torch.allclose(free(x)[:changed], free(other)[:changed])
