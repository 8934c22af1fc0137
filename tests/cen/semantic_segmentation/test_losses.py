"""The objective: cross-entropy of every output, and the penalty on the scales."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cen.semantic_segmentation.losses import segmentation_loss
from cen.semantic_segmentation.model import ensemble

CLASSES, IGNORE = 4, 255
NOTHING = torch.tensor(0.0)


def drawn(outputs=3, batch=2, seed=0, size=(3, 4), mask=(7, 9)):
    """Logits (B, C, h, w) a output, and a target (B, H, W) with about a third of its pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = [
        torch.randn(batch, CLASSES, *size, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(outputs)
    ]
    target = torch.randint(CLASSES, (batch, *mask), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.3] = IGNORE
    return logits, target


def written_out(outputs, target):
    """Sum over the outputs of the mean negative log-probability of the true class, pixel by pixel."""
    total = 0
    kept = target != IGNORE
    for output in outputs:
        enlarged = F.interpolate(output, size=target.shape[-2:], mode="bilinear", align_corners=False)
        logarithms = enlarged - enlarged.exp().sum(dim=1, keepdim=True).log()
        chosen = logarithms.permute(0, 2, 3, 1)[kept].gather(1, target[kept][:, None])
        total = total - chosen.mean()
    return total


def test_equals_the_mean_negative_log_probability_of_every_output():
    logits, target = drawn()
    loss = segmentation_loss(logits, target, NOTHING, 0.0, IGNORE)
    torch.testing.assert_close(loss, written_out(logits, target))
    gradients = torch.autograd.grad(loss, logits)
    for ours, theirs in zip(gradients, torch.autograd.grad(written_out(logits, target), logits), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("outputs", [2, 3, 4])
def test_penalty_counts_once_for_every_output_as_published_or_once_as_in_the_paper(outputs):
    logits, target = drawn(outputs)
    penalty = torch.tensor(10.0, dtype=torch.float64)
    bare = segmentation_loss(logits, target, penalty, 0.0, IGNORE)
    published = segmentation_loss(logits, target, penalty, 0.25, IGNORE)
    paper = segmentation_loss(logits, target, penalty, 0.25, IGNORE, penalty_once=True)
    assert (published - bare).item() == pytest.approx(outputs * 2.5)
    assert (paper - bare).item() == pytest.approx(2.5)


def test_penalty_passes_its_gradient_on():
    logits, target = drawn(3)
    scales = nn.Parameter(torch.ones(4, dtype=torch.float64))
    segmentation_loss(logits, target, scales.abs().sum(), 0.5, IGNORE).backward()
    assert scales.grad.tolist() == [1.5] * 4


def test_ignored_pixels_count_neither_in_the_sum_nor_in_the_mean():
    logits, target = drawn(1, mask=(3, 4))
    with torch.no_grad():
        loss = segmentation_loss(logits, target, NOTHING, 0.0, IGNORE)
        logits[0].permute(0, 2, 3, 1)[target == IGNORE] += torch.tensor([100.0, -50, 0, 7])
        assert segmentation_loss(logits, target, NOTHING, 0.0, IGNORE).item() == pytest.approx(loss.item())
        kept = target != IGNORE
        per_pixel = F.cross_entropy(logits[0].permute(0, 2, 3, 1)[kept], target[kept])
        assert loss.item() == pytest.approx(per_pixel.item())


def test_another_ignore_label_is_taken():
    logits, target = drawn(2)
    moved = torch.where(target == IGNORE, -1, target)
    ours = segmentation_loss(logits, moved, NOTHING, 0.0, -1)
    torch.testing.assert_close(ours, segmentation_loss(logits, target, NOTHING, 0.0, IGNORE))


def test_term_of_the_ensemble_reaches_alpha_alone():
    streams, target = drawn(2)
    alpha = nn.Parameter(torch.tensor([0.3, -0.4], dtype=torch.float64))
    without = torch.autograd.grad(segmentation_loss(streams, target, NOTHING, 0.0, IGNORE), streams)
    outputs = [*streams, ensemble(streams, alpha.softmax(0))]
    *found, of_alpha = torch.autograd.grad(segmentation_loss(outputs, target, NOTHING, 0.0, IGNORE), [*streams, alpha])
    for ours, theirs in zip(found, without, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert of_alpha.abs().min() > 0


def gradients(network, images, target, kept=None):
    """Loss of a small network with its scale penalised, and the gradient of its parameters."""
    outputs = [network(images), 2 * network(images)]
    loss = segmentation_loss(outputs, target, network.weight.abs().sum(), 0.1, IGNORE, kept_pixels=kept)
    return loss.detach(), torch.autograd.grad(loss, list(network.parameters()))


def test_shares_of_a_batch_average_to_the_loss_and_gradient_of_the_whole():
    torch.manual_seed(0)
    network, images = nn.Conv2d(3, CLASSES, 3).double(), torch.randn(4, 3, 6, 7, dtype=torch.float64)
    target = torch.randint(CLASSES, (4, 8, 10))
    target[0] = IGNORE
    target[1, :5] = IGNORE
    loss, gradient = gradients(network, images, target)
    share = (target != IGNORE).sum() / 2
    halves = [gradients(network, images[part], target[part], share) for part in (slice(2), slice(2, 4))]
    torch.testing.assert_close(sum(half for half, _ in halves) / 2, loss)
    for whole, *parts in zip(gradient, *(found for _, found in halves), strict=True):
        torch.testing.assert_close(sum(parts) / 2, whole)
    means_of_their_own = [gradients(network, images[part], target[part])[0] for part in (slice(2), slice(2, 4))]
    assert not torch.isclose(sum(means_of_their_own) / 2, loss)
