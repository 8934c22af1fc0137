"""The objectives: terms by loops and by definition, their weights, and gradients where moments are equal."""

import pytest
import torch
import torch.nn.functional as F

from xnorm.losses import LossWeights, cross_entropy, logits_objective, logits_of
from xnorm.methods.gradient_blending import Blended, blended_objective
from xnorm.methods.misa import (
    MisaOutput,
    central_moment_discrepancy,
    difference_loss,
    misa_objective,
    reconstruction_loss,
    squared_correlation,
)
from xnorm.models import METHODS

WEIGHTS = LossWeights(diff=0.3, sim=1.0, recon=1.0)
LABELS = torch.tensor([0, 2, 1, 2])


def draw(count, shape=(4, 5), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def misa_output(seed=0):
    parts = [part.requires_grad_() for part in draw(9, (4, 3), seed)]
    pairs = [(parts[i], parts[i + 1]) for i in (1, 3, 5, 7)]
    return MisaOutput(parts[0], *pairs)


def test_one_head_has_the_cross_entropy():
    (logits,) = draw(1, (4, 3))
    found = logits_objective(logits, LABELS, WEIGHTS)
    torch.testing.assert_close(found.total, F.cross_entropy(logits, LABELS))
    assert list(found.parts) == ["cross_entropy"]
    assert logits_of(logits) is logits


def test_three_heads_are_blended_in_the_order_rgb_flow_joint():
    output = Blended(*draw(3, (4, 3)))
    found = blended_objective(output, LABELS, LossWeights(heads=(0.2, 0.5, 0.3)))
    rgb, flow, joint = (F.cross_entropy(logits, LABELS) for logits in output)
    torch.testing.assert_close(found.total, 0.2 * rgb + 0.5 * flow + 0.3 * joint)
    assert found.parts == {"cross_entropy_rgb": rgb, "cross_entropy_flow": flow, "cross_entropy": joint}
    assert logits_of(output) is output.joint
    assert blended_objective(output, LABELS, LossWeights(heads=(0, 1, 0))).total == flow


def test_each_method_has_its_own_objective():
    own = {name: method.objective for name, method in METHODS.items() if method.objective is not logits_objective}
    assert own == {"misa": misa_objective, "gb": blended_objective}


def test_three_heads_without_weights_are_refused():
    with pytest.raises(ValueError, match="three heads: expected a weight for each, found 0"):
        blended_objective(Blended(*draw(3, (4, 3))), LABELS, WEIGHTS)


@pytest.mark.parametrize(("diff", "sim", "recon"), [(0.3, 1.0, 1.0), (2.0, 0.0, 0.5), (0.0, 3.0, 0.0)])
def test_terms_of_misa_are_weighed_by_their_flags(diff, sim, recon):
    output = misa_output()
    found = misa_objective(output, LABELS, LossWeights(diff=diff, sim=sim, recon=recon))
    parts = found.parts
    expected = parts["cross_entropy"] + diff * parts["diff"] + sim * parts["cmd"] + recon * parts["recon"]
    torch.testing.assert_close(found.total, expected)
    assert not any(part.requires_grad for part in parts.values())
    assert logits_of(output) is output.logits


def test_terms_of_misa_are_taken_between_the_right_parts():
    output = misa_output()
    parts = misa_objective(output, LABELS, WEIGHTS).parts
    (p1, p2), (s1, s2), (o1, o2), (r1, r2) = output.private, output.shared, output.orig, output.recon
    expected = {
        "cross_entropy": F.cross_entropy(output.logits, LABELS),
        "diff": squared_correlation(p1, s1) + squared_correlation(p2, s2) + squared_correlation(p1, p2),
        "recon": ((o1 - r1).square().mean() + (o2 - r2).square().mean()) / 2,
        "cmd": central_moment_discrepancy(s1, s2),
    }
    assert set(parts) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value.detach())


def test_correlation_is_that_of_loops():
    a, b = draw(2)
    total = 0.0
    rows = []
    for x in (a, b):
        centred = [[x[i, j] - x[:, j].mean() for j in range(5)] for i in range(4)]
        rows.append([[v / (sum(w**2 for w in row) ** 0.5 + 1e-6) for v in row] for row in centred])
    for i in range(5):
        for j in range(5):
            total += sum(rows[0][n][i] * rows[1][n][j] for n in range(4)) ** 2
    torch.testing.assert_close(squared_correlation(a, b), total / 25)


def test_lengths_of_the_rows_are_constants_for_the_gradient():
    a, b = draw(2)
    a.requires_grad_()
    squared_correlation(a, b).backward()
    lengths = (a.detach() - a.detach().mean(dim=0)).norm(dim=1, keepdim=True) + 1e-6
    scaled = a.detach().clone().requires_grad_()
    rows = (scaled - scaled.mean(dim=0)) / lengths
    other = (b - b.mean(dim=0)) / ((b - b.mean(dim=0)).norm(dim=1, keepdim=True) + 1e-6)
    (rows.T @ other).square().mean().backward()
    torch.testing.assert_close(a.grad, scaled.grad)


def test_differences_of_a_single_sample_are_zero():
    private, shared = ([part.requires_grad_() for part in draw(2, (1, 5), seed)] for seed in (0, 1))
    loss = difference_loss(private, shared)
    loss.backward()
    assert loss == 0
    assert all(part.grad.isfinite().all() for part in (*private, *shared))


def test_reconstruction_sends_gradients_to_both_sides():
    orig, recon = ([part.requires_grad_() for part in draw(2, seed=seed)] for seed in (0, 1))
    reconstruction_loss(orig, recon).backward()
    for one, other in zip(orig, recon, strict=True):
        torch.testing.assert_close(one.grad, -other.grad)
        torch.testing.assert_close(one.grad, (one - other).detach() / one.numel())


def test_moment_discrepancy_is_that_of_its_definition():
    a, b = draw(2, (6, 3))
    expected = (a.mean(0) - b.mean(0)).square().sum().sqrt()
    for k in range(2, 6):
        central = [((x - x.mean(0)) ** k).mean(0) for x in (a, b)]
        expected = expected + (central[0] - central[1]).square().sum().sqrt()
    torch.testing.assert_close(central_moment_discrepancy(a, b), expected)


def test_equal_distributions_have_no_discrepancy_whatever_their_order():
    (a,) = draw(1, (6, 3))
    assert central_moment_discrepancy(a, a.flip(0)).abs() < 1e-5
    assert central_moment_discrepancy(a, a + 1) > 1


@pytest.mark.parametrize("batch", [1, 4])
def test_equal_moments_have_a_finite_gradient(batch):
    (a,) = draw(1, (batch, 3))
    b = a.clone().requires_grad_()
    a.requires_grad_()
    central_moment_discrepancy(a, b).backward()
    assert torch.equal(a.grad, torch.zeros_like(a))
    assert torch.equal(b.grad, torch.zeros_like(b))


def test_single_samples_are_drawn_together_by_their_means_alone():
    a, b = (x.requires_grad_() for x in draw(2, (1, 3)))
    loss = central_moment_discrepancy(a, b)
    loss.backward()
    torch.testing.assert_close(loss, (a - b).norm())
    torch.testing.assert_close(a.grad, ((a - b) / (a - b).norm()).detach())


def test_whole_objective_of_a_single_sample_is_finite_with_its_gradients():
    output = misa_output()
    single = MisaOutput(output.logits[:1], *((one[:1], other[:1]) for one, other in output[1:]))
    misa_objective(single, LABELS[:1], WEIGHTS).total.backward()
    assert all(part.grad.isfinite().all() for pair in output[1:] for part in pair)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_outputs_have_losses_in_float32(dtype):
    output = misa_output()
    small = MisaOutput(output.logits.to(dtype), *((a.to(dtype), b.to(dtype)) for a, b in output[1:]))
    found = misa_objective(small, LABELS, WEIGHTS)
    assert found.total.dtype == torch.float32
    torch.testing.assert_close(found.total, misa_objective(output, LABELS, WEIGHTS).total, rtol=0.05, atol=0.05)
    assert cross_entropy(small.logits, LABELS).dtype == torch.float32
