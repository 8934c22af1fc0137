"""The training objectives: cross-entropy, MISA's four terms, and the blended heads of Gradient-Blending."""

from argparse import Namespace
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from xnorm.gradient_blending import Blended
from xnorm.misa import MisaOutput, Pair

MOMENTS = 5
Output = Tensor | Blended | MisaOutput  # what the networks return


class Objective(NamedTuple):
    """total: what is minimised, a scalar. parts: its terms by name, without their weights, detached."""

    total: Tensor
    parts: dict[str, Tensor]


def final_logits(output: Output) -> Tensor:
    """The logits (B, num_classes) that are evaluated: with three heads the joint one's."""
    if isinstance(output, Blended):
        return output.joint
    return output.logits if isinstance(output, MisaOutput) else output


def objective(output: Output, labels: Tensor, args: Namespace, gb_weights: Sequence[float] | None = None) -> Objective:
    """The objective of the method that made `output`.

    labels (B,) int64. args: diff_weight, sim_weight and recon_weight, for MISA. gb_weights: of the heads rgb, flow and
    joint, for Gradient-Blending. Everything is computed in float32 at least.
    """
    if isinstance(output, Blended):
        if gb_weights is None:
            raise ValueError("three heads: expected gb_weights, the weights of their losses")
        return blended_objective(output, labels, gb_weights)
    if isinstance(output, MisaOutput):
        return misa_objective(output, labels, args.diff_weight, args.sim_weight, args.recon_weight)
    loss = cross_entropy(output, labels)
    return Objective(loss, {"cross_entropy": loss.detach()})


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch."""
    return F.cross_entropy(_wide(logits), labels)


def blended_objective(output: Blended, labels: Tensor, weights: Sequence[float]) -> Objective:
    """w_0 CE(rgb) + w_1 CE(flow) + w_2 CE(joint)."""
    losses = [cross_entropy(logits, labels) for logits in output]
    total = sum(weight * loss for weight, loss in zip(weights, losses, strict=True))
    names = ("cross_entropy_rgb", "cross_entropy_flow", "cross_entropy")
    return Objective(total, {name: loss.detach() for name, loss in zip(names, losses, strict=True)})


def misa_objective(
    output: MisaOutput, labels: Tensor, diff_weight: float, sim_weight: float, recon_weight: float
) -> Objective:
    """CE + diff_weight D + recon_weight R + sim_weight S."""
    orig, private, shared, recon = (tuple(map(_wide, pair)) for pair in output[1:])
    terms = {
        "cross_entropy": cross_entropy(output.logits, labels),
        "diff": difference_loss(private, shared),
        "recon": reconstruction_loss(orig, recon),
        "cmd": central_moment_discrepancy(*shared),
    }
    weights = (1.0, diff_weight, recon_weight, sim_weight)
    total = sum(weight * term for weight, term in zip(weights, terms.values(), strict=True))
    return Objective(total, {name: term.detach() for name, term in terms.items()})


def difference_loss(private: Pair, shared: Pair) -> Tensor:
    """D = d(p_1, s_1) + d(p_2, s_2) + d(p_1, p_2): private parts differ from the shared ones and from each other."""
    return (
        squared_correlation(private[0], shared[0])
        + squared_correlation(private[1], shared[1])
        + squared_correlation(*private)
    )


def squared_correlation(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b): mean of the squares of a^T b (h, h), of a and b (B, h) with centred columns and rows of length 1.

    The lengths are taken as constants: no gradient passes through them.
    """
    return (_centred_unit_rows(a).T @ _centred_unit_rows(b)).square().mean()


def _centred_unit_rows(x: Tensor) -> Tensor:
    x = x - x.mean(dim=0)
    return x / (x.detach().norm(dim=1, keepdim=True) + 1e-6)


def reconstruction_loss(orig: Pair, recon: Pair) -> Tensor:
    """R: mean squared error of both reconstructions, averaged. Gradients reach the originals too."""
    return (F.mse_loss(recon[0], orig[0]) + F.mse_loss(recon[1], orig[1])) / 2


def central_moment_discrepancy(a: Tensor, b: Tensor, moments: int = MOMENTS) -> Tensor:
    """S: |m_a - m_b| + sum over k = 2..moments of |c_k(a) - c_k(b)|, Euclidean norms over the h columns.

    a, b (B, h); m: mean over the batch, c_k: mean of the k-th power of what is left. Where moments are equal, as the
    central ones of a batch of one are, the gradient of the norm is 0.
    """
    means = a.mean(dim=0), b.mean(dim=0)
    centred = a - means[0], b - means[1]
    differences = [means[0] - means[1]]
    differences += [centred[0].pow(k).mean(dim=0) - centred[1].pow(k).mean(dim=0) for k in range(2, moments + 1)]
    return torch.linalg.vector_norm(torch.stack(differences), dim=1).sum()


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
