"""The gate of DynMM: each sample chooses the expert network that works on it (Eq. 1).

A light network looks at the raw input of a sample and gives a logit to each of E experts, from cheap to
costly. Their softmax, or its argmax with a straight-through gradient, weighs the experts' outputs. The loss
adds lambda times the expected cost, so that a sample goes to a costly expert only where that pays. With hard
weights all experts but one have weight zero, and `route` runs none but the chosen one.

The paper calls the hard gate a Gumbel-softmax with straight-through estimator; the authors' code draws no
noise, and neither does this: training and inference see the same weights.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Gated(NamedTuple):
    """What a gated network returns for B samples and E experts.

    prediction: (B, C). cost: scalar, the mean weight on the costly expert, what lambda multiplies.
    weights: (B, E), of the gate, whatever expert was forced. logits: (B, E), of the gate.
    """

    prediction: Tensor
    cost: Tensor
    weights: Tensor
    logits: Tensor


def diff_softmax(logits: Tensor, temperature: float = 1.0, hard: bool = False) -> Tensor:
    """Weights of the experts: y = softmax(logits / temperature), or one-hot at its largest entry.

    logits: (B, E). Returns (B, E). hard: onehot(argmax y) - stopgrad(y) + y: exactly 0 for the experts that
    are not chosen, 1 up to rounding for the chosen one (the first of equals), with the gradient of y.
    """
    soft = (logits / temperature).softmax(dim=-1)
    if not hard:
        return soft
    one_hot = torch.zeros_like(soft).scatter_(-1, soft.argmax(dim=-1, keepdim=True), 1.0)
    return one_hot - soft.detach() + soft


def mix(weights: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    """y = sum_k w_k p_k. weights: (B, E); outputs: E tensors (B, C). Returns (B, C)."""
    return sum(weight * output for weight, output in zip(weights.split(1, dim=-1), outputs, strict=True))


def resource_loss(weights: Tensor, costs: Sequence[float]) -> Tensor:
    """Expected cost of a batch, sum_k C(E_k) mean_b w_k: the second term of Eq. 1, without its lambda.

    weights: (B, E); costs: E numbers. The authors' code takes costs (0, 1): with two experts every other
    pair gives the same up to a scale and an offset. Returns a scalar; with hard weights and costs (0, 1) it
    is the share of samples sent to the costly expert.
    """
    means = weights.mean(dim=0).unbind()
    return sum((cost * mean for cost, mean in zip(costs, means, strict=True)), weights.new_zeros(()))


def route(
    weights: Tensor,
    experts: Sequence[Callable[[Tensor], Tensor]],
    straight_through: bool = False,
    at_least: int = 1,
) -> Tensor:
    """Run on every sample its expert of the largest weight alone; the others cost nothing.

    weights: (B, E). experts: E callables; the k-th is called at most once, with the indices (n,) int64 of
    the samples that chose it, in rising order, and returns their outputs (n, C). One without samples is not
    called. at_least: a smaller group is filled up with other samples, whose output is dropped (a batch norm
    in training mode needs two). Returns (B, C) in the order of the samples.

    The sizes of the groups are read from the device: one wait a call, and no other.

    straight_through=False: y_b = p_c, c the chosen expert: no gradient reaches the gate. For inference.
    straight_through=True: y_b = w_c p_c with `diff_softmax`'s hard weights. Against mixing hard weights,
    - outputs and the gradients of the experts are the same (an expert that is not chosen gets none);
    - the gate's gradient is not. Mixing gives dL/dw_k = <dL/dy, p_k> for every expert k; here the outputs of
      the others do not exist, so dL/dw_c = <dL/dy, p_c> and dL/dw_k = 0 for k != c. With two experts the
      logit of the chosen one gets s_1 s_2 <dL/dy, p_c> / temperature in place of
      s_1 s_2 <dL/dy, p_c - p_k> / temperature (s: the softmax): as if the other expert had answered 0.
      The gradient of the cost term needs no outputs and is exact;
    - what depends on the group differs: batch norm statistics in training mode, the draws of dropout.
    """
    choice = weights.detach().argmax(dim=-1)
    order = choice.argsort(stable=True)
    counts = (choice[:, None] == torch.arange(len(experts), device=choice.device)).sum(dim=0)
    outputs, start = [], 0
    for expert, size in zip(experts, counts.tolist(), strict=True):
        if size or not len(order):  # an empty batch still needs an output of the right width
            stop = start + size
            group = order[start:stop]
            if size < at_least:
                others = torch.cat([order[:start], order[stop:]])
                group = torch.cat([group, others[: at_least - size]])
            outputs.append(expert(group)[:size])
            start = stop
    grouped = torch.cat(outputs)
    prediction = torch.zeros_like(grouped).index_copy(0, order, grouped)
    if straight_through:
        prediction = prediction * weights.gather(-1, choice[:, None])
    return prediction
