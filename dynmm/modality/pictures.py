"""Pictures of a run: curves of loss and score, and what the gate decided."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from common.figures import save_figure
from common.run import Run

BINS = 40
CURVES = {"f1_macro": "macro F1 (%)", "acc2": "accuracy of signs (%)"}


def draw_curves(run: Run, best_epoch: int) -> None:
    """images/curves.png: loss of training and validation, and the validation set's score, over the epochs."""
    train, valid = run.history("train"), run.history("valid")
    if not valid:  # gone on from a checkpoint behind which nothing was left to train
        return
    score = next(name for name in CURVES if name in valid[-1])
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    for name, history in (("train", train), ("valid", valid)):
        _line(losses, history, "loss", name)
    losses.set_ylabel("loss")
    losses.legend(frameon=False)
    _line(scores, valid, score, "valid")
    scores.set_ylabel(CURVES[score])
    for axes in (losses, scores):
        axes.axvline(best_epoch, color="grey", linestyle=":", linewidth=1)
    figure.suptitle(f"Best epoch: {best_epoch}")
    save_figure(run, figure, "curves", "curves", valid[-1]["epoch"])


def draw_gate(run: Run, weights: Tensor, needs: np.ndarray | None) -> None:
    """images/gate_weights.png (the test set's weights of expert 2, by need where it is known) and gate_share.png."""
    second = weights[:, 1].float().cpu().numpy()
    groups = {"all samples": np.ones(len(second), bool)}
    if needs is not None:
        groups = {"the text decides": needs == 0, "all modalities needed": needs == 1}
    valid = run.history("valid")
    epoch = valid[-1]["epoch"] if valid else 0
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for label, members in groups.items():
        share = (second[members] > 0.5).mean() if members.any() else float("nan")
        label = f"{label}: share {share:.2f}"
        axes.hist(second[members], bins=np.linspace(0, 1, BINS + 1).tolist(), alpha=0.6, label=label)
    axes.set_xlabel("weight of expert 2")
    axes.set_ylabel("test samples")
    axes.legend(frameon=False)
    save_figure(run, figure, "gate_weights", "gate/weights", epoch)
    if valid:
        _draw_shares(run, valid, epoch)


def _draw_shares(run: Run, valid: list[dict[str, Any]], epoch: int) -> None:
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    _line(axes, valid, "share_e2", "share of samples sent to expert 2")
    _line(axes, valid, "cost", "mean weight of expert 2")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False)
    save_figure(run, figure, "gate_share", "gate/share", epoch)


def _line(axes: Axes, history: list[dict[str, Any]], metric: str, label: str) -> None:
    axes.plot([entry["epoch"] for entry in history], [entry[metric] for entry in history], marker=".", label=label)
    axes.set_xlabel("epoch")
