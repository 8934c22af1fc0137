"""The norms' scales over training: the published figures, and pictures of which channels are exchanged."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from cen.exchange import ScaleSlice, is_kept
from cen.semantic_segmentation.model import Bottleneck
from common.figures import save_figure
from common.run import Run

COLUMNS = 512  # of the heat map: the channels of a layer stretched to one width


def exchange_scales(model: nn.Module) -> dict[str, list[Tensor]]:
    """Scales at every exchange: block name -> P vectors (C,), detached."""
    return {
        name: [norm.weight.detach() for norm in block.bn2.norms()]
        for name, block in model.named_modules()
        if isinstance(block, Bottleneck)
    }


def slimming_figures(penalised: Tensor, threshold: float) -> tuple[float, float]:
    """The two printed figures of the penalised scales (n,), both over signed values as in the authors' code.

    Returns the value at 3 % of the sorted scales (element n // 33), and the share below the threshold.
    """
    ordered = penalised.sort().values
    return ordered[len(ordered) // 33].item(), (ordered < threshold).double().mean().item()


def record_scales(
    model: nn.Module, slices: Sequence[ScaleSlice], streams: Sequence[str], threshold: float, run: Run, epoch: int
) -> None:
    """Print the published lines; record them and the share of exchanged channels of every block and stream.

    streams: their names. threshold: of the exchange. slim_portion counts signed values below the threshold, as
    published; slim_portion_abs those of |scale|.
    """
    parameters = dict(model.named_parameters())
    penalised = torch.cat([parameters[part.name].detach()[part.start : part.stop] for part in slices])
    smallest, portion = slimming_figures(penalised, threshold)
    run.print(f"Epoch {epoch}, 3% smallest slim_params: {smallest:.4f}")
    run.print(f"Epoch {epoch}, portion of slim_params < {threshold:.0e}: {portion:.4f}")
    figures: dict[str, Any] = {"slim_smallest": smallest, "slim_portion": portion}
    figures["slim_portion_abs"] = (~is_kept(penalised, threshold)).double().mean().item()
    if len(streams) > 1:
        for block, scales in exchange_scales(model).items():
            for name, scale in zip(streams, scales, strict=True):
                figures[f"{block}/{name}"] = (~is_kept(scale, threshold)).double().mean().item()
    run.record(epoch, "exchange", **figures)


def draw_exchange(model: nn.Module, streams: Sequence[str], threshold: float, run: Run, epoch: int) -> None:
    """images/exchange_channels.png: which channels are replaced now; exchange_share.png: the share by epoch."""
    if len(streams) == 1 or not run.procs.first:
        return
    scales = exchange_scales(model)
    save_figure(run, _channels(streams, scales, threshold, epoch), "exchange_channels", "exchange/map", epoch)
    history = run.history("exchange")
    save_figure(run, _development(streams, list(scales), history), "exchange_share", "exchange/share", epoch)


def _channels(names: Sequence[str], scales: dict[str, list[Tensor]], threshold: float, epoch: int) -> Figure:
    """One panel a stream, one row a block, its channels from left to right; dark: replaced."""
    figure, axes = _panels(len(names), len(scales))
    for stream, (axis, name) in enumerate(zip(axes, names, strict=True)):
        replaced = [~is_kept(vectors[stream], threshold).cpu().numpy() for vectors in scales.values()]
        rows = [row[np.arange(COLUMNS) * len(row) // COLUMNS] for row in replaced]
        axis.imshow(
            rows, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest", extent=(0, 1, len(rows), 0)
        )
        share = np.concatenate(replaced).mean()
        axis.set_title(f"{name}: {share:.1%} of its channels replaced")
        axis.set_xlabel("channel, as a share of the layer's")
        axis.axvline(0.5, color="tab:red", linewidth=0.6, linestyle="--")
    _name_blocks(axes[0], list(scales))
    figure.suptitle(f"Exchanged channels after epoch {epoch} (black: |scale| < {threshold:g})")
    return figure


def _development(names: Sequence[str], blocks: list[str], history: list[dict[str, Any]]) -> Figure:
    """One panel a stream, one row a block, one column an epoch; the colour is the share of replaced channels."""
    figure, axes = _panels(len(names), len(blocks))
    first, last = history[0]["epoch"], history[-1]["epoch"]
    shares = [[[entry[f"{block}/{name}"] for entry in history] for block in blocks] for name in names]
    top = max(0.01, np.max(shares))
    for axis, name, rows in zip(axes, names, shares, strict=True):
        extent = (first - 0.5, last + 0.5, len(rows), 0)
        image = axis.imshow(
            rows, aspect="auto", cmap="viridis", vmin=0, vmax=top, interpolation="nearest", extent=extent
        )
        axis.set_title(name)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    _name_blocks(axes[0], blocks)
    figure.colorbar(image, ax=list(axes), label="share of channels replaced")
    figure.suptitle("Share of exchanged channels over training")
    return figure


def _panels(columns: int, rows: int) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(2 + 4 * columns, 2 + 0.17 * rows), layout="constrained")
    return figure, figure.subplots(1, columns, sharey=True, squeeze=False)[0]


def _name_blocks(axis: Axes, blocks: list[str]) -> None:
    axis.set_yticks([row + 0.5 for row in range(len(blocks))], blocks, fontsize=7)
