"""Evaluation: predictions of a whole split, its losses, and the gates that the modalities got."""

from typing import NamedTuple

import numpy as np
import torch

from common.metrics.sentiment import sentiment_scores
from common.run import Run
from ucrn.data import Clips
from ucrn.losses import Objective
from ucrn.metrics import final_scores
from ucrn.model import UCRN

BATCH = 256  # clips evaluated together; scores and losses do not depend on it beyond rounding
PERCENT = ("acc", "f1")


class Evaluation(NamedTuple):
    """What a split's N clips came to, in the split's order.

    prediction, truth (N,); fused (N, 30 M) and refined (N, M, k, 30) features; gates (N, M, 30): the
    SQIL gates, (N, 0, 30) without SQIL. l1, mjsd, loss: means over the clips; loss has the divergence in it
    where --jsd adds it.
    """

    prediction: np.ndarray
    truth: np.ndarray
    fused: np.ndarray
    refined: np.ndarray
    gates: np.ndarray
    l1: float
    mjsd: float
    loss: float


@torch.inference_mode()
def evaluate(model: UCRN, clips: Clips, objective: Objective, run: Run) -> Evaluation:
    """The model in eval mode on all clips, each of them once; several processes share them, and all get the result."""
    model.eval()
    procs = run.procs
    mine = np.arange(procs.rank, len(clips), procs.world)
    parts, sums = [], torch.zeros(3, device=run.device)
    for start in range(0, len(mine), BATCH):
        text, audio, vision, labels = clips.batch(mine[start : start + BATCH], run.device)
        with run.autocast():
            output = model(text, audio, vision)
            gates = model.gates(output.refined)
        sums += len(labels) * torch.stack(objective(output, labels))
        refined = torch.stack(output.refined)  # (M, k, B, 30)
        parts.append(
            (output.prediction[:, 0], labels[:, 0], output.fused, refined.permute(2, 0, 1, 3), gates.transpose(0, 1))
        )
    share = [torch.cat(part).float().cpu().numpy() for part in zip(*parts, strict=True)]
    prediction, truth, fused, refined, gates = procs.gather_rows(*share)
    l1, mjsd, loss = (procs.sum(sums) / len(clips)).tolist()
    return Evaluation(prediction, truth, fused, refined, gates, l1, mjsd, loss)


def recorded(evaluation: Evaluation) -> dict[str, float]:
    """For the run's record: every score of `sentiment_scores`, accuracies and F1 in percent, and the published
    final F1 (f1_swapped)."""
    scores = sentiment_scores(evaluation.prediction, evaluation.truth)
    scores["f1_swapped"] = final_scores(evaluation.prediction, evaluation.truth)["f1_swapped"]
    return {name: 100 * value if any(part in name for part in PERCENT) else value for name, value in scores.items()}


def named_gates(model: UCRN, evaluation: Evaluation) -> dict[str, float]:
    """gate_l, gate_a, gate_v: mean over clips and channels of each active modality; gate_sd_l, ...: the deviation."""
    gates = dict(zip(model.active, evaluation.gates.transpose(1, 0, 2), strict=False))
    means = {f"gate_{modality}": float(values.mean()) for modality, values in gates.items()}
    return means | {f"gate_sd_{modality}": float(values.std()) for modality, values in gates.items()}
