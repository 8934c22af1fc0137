"""Channel exchange: the fusion without parameters of CEN (section 3.2, Eq. 4 to 6).

Streams of different modalities share every convolution; each has a normalisation of its own, with one
scale a channel. A channel whose scale is close to zero adds next to nothing to its stream, so its place
is given to the same channel of the other streams. An L1 penalty on disjoint parts of the scales, one
part a stream, keeps such places coming, and lets each channel be given up by one stream only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


def exchange_channels(streams: Sequence[Tensor], scales: Sequence[Tensor], threshold: float) -> list[Tensor]:
    """Replace the channels of small scale by those of the other streams (Eq. 6).

        y_m[c] = x_m[c]                              where |gamma_m[c]| >= threshold
        y_m[c] = mean of x_n[c] over all n != m      elsewhere

    streams: M tensors (B, C, *), each just normalised with its own scales.
    scales: M vectors (C,), the live scales gamma of those normalisations. No gradient passes to them here.
    threshold: theta >= 0; a scale exactly at the threshold keeps its channel.
    Returns M tensors (B, C, *). All read the inputs: where two scales are small, the two streams swap.
    A single stream comes back as it is.
    """
    if len(streams) == 1:
        return list(streams)
    fused = []
    for index, (own, scale) in enumerate(zip(streams, scales, strict=True)):
        others = [stream for other, stream in enumerate(streams) if other != index]
        replacement = others[0] if len(others) == 1 else torch.stack(others).mean(dim=0)
        kept = is_kept(scale, threshold).view(1, -1, *(1,) * (own.dim() - 2))
        fused.append(torch.where(kept, own, replacement))
    return fused


def is_kept(scale: Tensor, threshold: float) -> Tensor:
    """Whether a channel stays with its stream: bool (C,) for scales (C,)."""
    return scale.detach().abs() >= threshold


class ScaleSlice(NamedTuple):
    """The part [start, stop) of one normalisation's scale vector that the L1 penalty presses on."""

    name: str
    start: int
    stop: int


def penalised_slices(
    named_parameters: Iterable[tuple[str, nn.Parameter]], norm: str, parts: int = 2
) -> list[ScaleSlice]:
    """The disjoint slices of the scales that are penalised, in the order of the parameters.

    Every weight whose name contains `norm` is taken in turn; the k-th gives its part k mod `parts`. With two
    streams whose norms stand side by side, stream 0 gives its first half and stream 1 its second, in every
    block. A single stream gives first and second halves in alternation (as the authors' code does). For
    M > 2 streams the paper asks for `parts` = M disjoint parts; their code halves whatever the number is.

    named_parameters: of the bare network; norm: for example "bn2".
    """
    slices: list[ScaleSlice] = []
    for name, parameter in named_parameters:
        if norm in name and name.endswith("weight"):
            part, size = len(slices) % parts, parameter.numel()
            slices.append(ScaleSlice(name, size * part // parts, size * (part + 1) // parts))
    return slices


def scale_penalty(parameters: Mapping[str, Tensor], slices: Sequence[ScaleSlice]) -> Tensor:
    """L1 norm over all penalised scales (the sum behind lambda in Eq. 4): a scalar.

    parameters: name -> scale vector, of the network that the slices were taken from.
    """
    return torch.cat([parameters[part.name][part.start : part.stop] for part in slices]).abs().sum()
