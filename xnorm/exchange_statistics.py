"""How strongly two streams modulate each other: mean size of the exchanged scales and shifts."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from common.processes import Processes
from xnorm.methods.exchange_network import POINTS, ExchangeNetwork


class ExchangeStatistics:
    """Inside a `with` block, watches what the encoders of an exchange put out; costs nothing outside of it.

    encoders: by a name that ends in the modulated stream and the place, for example "rgb_l1"; each puts out shift and
    scale side by side on the dimension `dim`.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], dim: int) -> None:
        self.encoders, self.dim = encoders, dim
        self.sums: dict[str, Tensor] = {}

    def __enter__(self) -> "ExchangeStatistics":
        self.hooks = [
            encoder.register_forward_hook(lambda _, __, output, name=name: self._add(name, output))
            for name, encoder in self.encoders.items()
        ]
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self.hooks:
            hook.remove()

    @torch.no_grad()
    def _add(self, name: str, output: Tensor) -> None:
        shift, scale = output.float().chunk(2, dim=self.dim)
        means = torch.stack([scale.abs().mean(), shift.abs().mean(), torch.ones_like(scale.mean())])
        self.sums[name] = self.sums.get(name, 0) + len(output) * means

    def means(self, procs: Processes) -> dict[str, Any]:
        """gamma_<name>, beta_<name>: mean |scale| and |shift| over the samples of all processes."""
        found: dict[str, Any] = {}
        for name in self.encoders:
            scale, shift, samples = procs.sum(self.sums[name].clone()).tolist()
            found |= {f"gamma_{name}": scale / samples, f"beta_{name}": shift / samples}
        return found


def encoders_of(model: nn.Module) -> dict[str, nn.Module]:
    """The exchange's encoders in the network of action recognition, none in the other methods' networks.

    "rgb_l1" is what modulates RGB at the first depth; its published name, rgb2flow_l1, is crosswise.
    """
    if not isinstance(model, ExchangeNetwork):
        return {}
    names = {"rgb": "rgb2flow", "flow": "flow2rgb"}
    levels = range(1, len(POINTS) + 1)
    return {f"{stream}_l{n}": getattr(model, f"{name}_l{n}") for stream, name in names.items() for n in levels}
