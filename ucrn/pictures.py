"""Pictures of a run: curves, predicted beside true scores, gates of the modalities and their divergence."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from common.figures import save_figure
from common.run import Run

NAMES = {"l": "language", "a": "audio", "v": "vision"}
COLOURS = {"l": "tab:blue", "a": "tab:orange", "v": "tab:green"}
SPLITS = {"train_eval": "train", "valid": "valid", "test": "test"}


def draw_curves(run: Run) -> None:
    """images/curves.png: loss, has0 F1 and MAE of the splits; images/divergence.png: MJS, and gates on the test set."""
    histories = {split: [entry for entry in run.history(split) if not entry.get("final")] for split in SPLITS}
    if not histories["test"]:  # a finished run's checkpoint that was only tested
        return
    last = histories["test"][-1]["epoch"]
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    panels = (("loss", "loss"), ("has0_f1", "F1 (%), zero is positive"), ("mae", "mean absolute error"))
    for axes, (key, label) in zip(figure.subplots(1, 3), panels, strict=True):
        _plot(axes, histories, key, label)
    save_figure(run, figure, "curves", "curves", last)

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot(left, histories, "mjsd", "divergence between modalities")
    for modality, name in NAMES.items():
        gates = [
            (entry["epoch"], entry[f"gate_{modality}"]) for entry in histories["test"] if f"gate_{modality}" in entry
        ]
        if gates:
            right.plot(*zip(*gates, strict=True), color=COLOURS[modality], label=name)
    _finish(right, "mean gate on the test set")
    save_figure(run, figure, "divergence", "divergence", last)


def _plot(axes: Axes, histories: dict[str, list[dict]], key: str, label: str) -> None:
    for split, name in SPLITS.items():
        axes.plot(
            [entry["epoch"] for entry in histories[split]], [entry[key] for entry in histories[split]], label=name
        )
    _finish(axes, label)


def _finish(axes: Axes, label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines:
        axes.legend()


def draw_scatter(run: Run, truth: np.ndarray, prediction: np.ndarray) -> None:
    """images/scatter.png: predicted against true scores of the test set, both (N,)."""
    figure = Figure(figsize=(4.2, 4), layout="constrained")
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color="0.7", linewidth=1)
    axes.scatter(truth, prediction, s=8, alpha=0.5)
    axes.set(xlabel="true score", ylabel="predicted score", title=f"test set, {len(truth)} clips", xlim=(-3.2, 3.2))
    save_figure(run, figure, "scatter", "scatter", 0)


def draw_gates(run: Run, gates: Mapping[str, np.ndarray]) -> None:
    """images/gates.png: how strongly the SQIL gates (N, 30) of each modality pass its channels, if there are any."""
    if not gates:
        return
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = [edge / 40 for edge in range(41)]
    for modality, values in gates.items():
        axes.hist(values.ravel(), bins=bins, alpha=0.6, color=COLOURS[modality], label=NAMES[modality])
    axes.set(xlabel="gate of a channel (0.5: hidden unit off)", ylabel="channels of the test clips")
    axes.legend()
    save_figure(run, figure, "gates", "gates", 0)
