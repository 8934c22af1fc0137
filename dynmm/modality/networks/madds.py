"""Multiply-adds a sample: by the rule behind the published constants, as measured, and totals for given shares.

The published constants (millions: 1.25261 and 10.86908 on MM-IMDB, 135.13226 and 320.03205 on CMU-MOSEI with
50 steps) count an expert and the gate together. Here gate and experts are counted apart.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from dynmm.modality.affect.networks import AffectSizes, DynMMNetV2
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes
from dynmm.modality.networks.blocks import Expert

STEPS = 50


class PathMadds(NamedTuple):
    """Multiply-adds a sample of the gate and of each expert alone, in the order of the gate's outputs."""

    gate: int
    experts: tuple[int, ...]

    @property
    def branches(self) -> tuple[int, ...]:
        """Gate and expert together: the published constants, times a million."""
        return tuple(self.gate + expert for expert in self.experts)

    def accounted(self, shares: Sequence[float]) -> float:
        """The paper's accounting, sum_k branch_k share_k, in millions: also where every expert runs (soft gates).

        shares: mean weights of the experts, or shares of samples sent to each; they sum to 1.
        """
        return sum(branch * share for branch, share in zip(self.branches, shares, strict=True)) / 1e6

    def spent(self, shares: Sequence[float] | None = None) -> float:
        """What is computed, in millions: gate + sum_k share_k expert_k where only the chosen expert runs.

        shares None: every expert runs on every sample (soft gates, or hard ones without routing).
        """
        used = [1.0] * len(self.experts) if shares is None else shares
        return (self.gate + sum(expert * share for expert, share in zip(self.experts, used, strict=True))) / 1e6

    @property
    def gate_counted_twice(self) -> float:
        """Sum of the branches in millions: the paper's figure for soft gates, which counts the gate E times."""
        return sum(self.branches) / 1e6


@torch.no_grad()
def madds_by_rule(module: nn.Module, *inputs: object) -> int:
    """Multiply-adds of one call module(*inputs), by the rule that the published constants follow exactly.

    Weights of every Linear and Conv1d that is called as a module, once an output position, and 2 an output of
    BatchNorm1d; nothing for LayerNorm, biases, and attention (its projections and scores are no module calls).
    GRUs are no part of the rule either. inputs: one sample; the module is run in eval mode.
    """
    total = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.BatchNorm1d):
            total += 2 * output.numel()
        elif isinstance(layer, nn.Linear | nn.Conv1d):
            total += output.numel() * layer.weight[0].numel()

    counted = [layer for layer in module.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.BatchNorm1d)]
    hooks = [layer.register_forward_hook(count) for layer in counted]
    try:
        in_eval_mode(module, lambda: module(*inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def in_eval_mode(module: nn.Module, run: Callable[[], object]) -> None:
    """Call run() with the module in eval mode; every part then returns to the mode that it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        run()
    finally:
        for part, training in modes:
            part.training = training


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


# torch's counter knows the fused attention of CUDA, not that of the CPU.
_CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


def measure_madds(run: Callable[[], object], samples: int) -> float:
    """Multiply-adds a sample of what run() really computes: FLOPs of torch.utils.flop_counter / 2, in millions.

    samples: how many samples run() works on. Counts matrix products, convolutions and attention scores, and no
    element-wise work. A GRU is counted on a CPU only, where it is made of matrix products.
    """
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter, torch.no_grad():
        run()
    return counter.get_total_flops() / 2 / samples / 1e6


class Part(NamedTuple):
    """A module and the arguments of one call of it, for one sample."""

    module: nn.Module
    arguments: tuple[object, ...]


def parts(net: DynMMNet | DynMMNetV2, steps: int = STEPS) -> tuple[Part, list[Part]]:
    """The gate and the experts (cheap, costly) of a network, each with an example of `steps` steps."""
    inputs, lengths = example(net.sizes, steps)
    device = next(net.parameters()).device
    inputs, lengths = [x.to(device) for x in inputs], lengths.to(device)
    text = Expert(net.text_encoder, net.text_head)
    if isinstance(net, DynMMNet):
        gate = Part(net.gate, (torch.cat(inputs, dim=1),))
        return gate, [Part(text, (inputs[0],)), Part(net.branch3, (inputs,))]
    return Part(net.gate, (inputs, lengths)), [Part(text, (inputs[2], lengths)), Part(net.branch2, (inputs, lengths))]


def path_madds(net: DynMMNet | DynMMNetV2, steps: int = STEPS) -> PathMadds:
    """Gate and experts of a network by the rule, for a clip of `steps` steps (MM-IMDB has none).

    At published sizes and 50 steps `branches` are the published constants.
    """
    gate, experts = parts(net, steps)
    return PathMadds(
        madds_by_rule(gate.module, *gate.arguments),
        tuple(madds_by_rule(expert.module, *expert.arguments) for expert in experts),
    )


def example(sizes: ImdbSizes | AffectSizes, steps: int = STEPS) -> tuple[list[Tensor], Tensor]:
    """One sample of zeros in the form that the networks of these sizes take: inputs and lengths (1,)."""
    lengths = torch.tensor([steps])
    if isinstance(sizes, ImdbSizes):
        return [torch.zeros(1, sizes.text), torch.zeros(1, sizes.image)], lengths
    return [torch.zeros(1, steps, width) for width in sizes.inputs], lengths


def count_lines(counted: Sequence[Part]) -> list[str]:
    """What the count scripts print of the parts that make up a path: by the rule, measured, parameters."""
    by_rule = sum(madds_by_rule(part.module, *part.arguments) for part in counted)
    for part in counted:
        part.module.eval()
    measured = measure_madds(lambda: [part.module(*part.arguments) for part in counted], samples=1)
    parameters = sum(parameter.numel() for part in counted for parameter in part.module.parameters())
    grus = any(isinstance(module, nn.GRU) for part in counted for module in part.module.modules())
    without = "  (the rule leaves GRUs out)" if grus else ""
    return [
        f"MACs {with_unit(by_rule)}  parameters {with_unit(parameters)}{without}",
        f"MACs measured {with_unit(measured * 1e6)}  (matrix products, convolutions, attention; no norms)",
    ]


def with_unit(number: float) -> str:
    """Five decimals and a unit: 1.25261M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if number > size:
            return f"{number / size:.5f}{unit}"
    return f"{number:.5f}B"
