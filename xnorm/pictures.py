"""Pictures of a run: curves, confusion matrix, and how strongly the streams modulate each other."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from common.figures import save_figure
from common.metrics.classification import confusion
from common.run import Run

STATISTICS = {"gamma": "mean |scale|", "beta": "mean |shift|"}


def draw_curves(run: Run, selected: int) -> None:
    """images/curves.png: loss of training and validation, accuracy and macro F1 of validation, over the epochs.

    selected: the epoch that was tested, marked.
    """
    train, valid = run.history("train"), run.history("valid")
    if not valid:  # gone on from a checkpoint behind which nothing was left to train
        return
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    for axes, history, key, label in (
        (losses, train, "loss", "training (all terms)"),
        (losses, valid, "loss", "validation"),
        (scores, valid, "acc", "accuracy (%)"),
        (scores, valid, "macro_f1", "macro F1 (%)"),
    ):
        _line(axes, history, key, label)
    for axes, label in ((losses, "loss"), (scores, "validation")):
        axes.axvline(selected, color="grey", linestyle=":", linewidth=1)
        _finish(axes, label)
    figure.suptitle(f"Tested: epoch {selected}")
    save_figure(run, figure, "curves", "curves", valid[-1]["epoch"])


def draw_confusion(run: Run, logits: Tensor, labels: Tensor, names: Sequence[str]) -> None:
    """images/confusion.png: rows the true classes of the test set, columns the predicted ones; shares of each row."""
    counts = confusion(logits, labels, len(names)).double()
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    side = 2.4 + 0.4 * len(names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    for row in range(len(names)):
        for column in range(len(names)):
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=45, ha="right")
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted", ylabel="true", title=f"test set, {len(labels)} samples")
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    save_figure(run, figure, "confusion", "confusion", 0)


def draw_exchange(run: Run) -> None:
    """images/exchange.png: mean size of the exchanged scales and shifts over the epochs, if there are any."""
    history = run.history("exchange")
    if not history:
        return
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (prefix, label) in zip(figure.subplots(1, 2), STATISTICS.items(), strict=True):
        for key in history[-1]:
            if key.startswith(f"{prefix}_"):
                stream, place = key.removeprefix(f"{prefix}_").rsplit("_l", 1)
                _line(axes, history, key, f"into {stream}, {place}")
        _finish(axes, f"{label} on the validation set")
    save_figure(run, figure, "exchange", "exchange", history[-1]["epoch"])


def _line(axes: Axes, history: list[dict], key: str, label: str) -> None:
    axes.plot([entry["epoch"] for entry in history], [entry[key] for entry in history], marker=".", label=label)


def _finish(axes: Axes, label: str) -> None:
    axes.set(xlabel="epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
