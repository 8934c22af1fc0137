"""Evaluation: predictions of a whole split, its losses, and the gates that the modalities got."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

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

    prediction, truth (N,); fused features (N, 30 M). By active modality: refined features (N, k, 30) and SQIL gates
    (N, 30); no gates without SQIL. l1, mjsd, loss: means over the clips; loss has the divergence in it where --jsd
    adds it.
    """

    prediction: np.ndarray
    truth: np.ndarray
    fused: np.ndarray
    refined: dict[str, np.ndarray]
    gates: dict[str, np.ndarray]
    l1: float
    mjsd: float
    loss: float


@torch.inference_mode()
def evaluate(model: UCRN, clips: Clips, objective: Objective, run: Run) -> Evaluation:
    """The model in eval mode on all clips, each of them once; several processes share them, and all get the result."""
    model.eval()
    procs = run.procs
    mine = np.arange(procs.rank, len(clips), procs.world)
    parts: list[tuple[Tensor, ...]] = []
    sums = torch.zeros(3, device=run.device)
    for start in range(0, len(mine), BATCH):
        text, audio, vision, labels = clips.batch(mine[start : start + BATCH], run.device)
        with run.autocast():
            output = model(text, audio, vision)
            passed = model.gates(output.refined)  # (M, B, 30)
        sums += len(labels) * torch.stack(objective(output, labels))
        features = torch.stack(output.refined).permute(2, 0, 1, 3)
        parts.append((output.prediction[:, 0], labels[:, 0], output.fused, features, passed.transpose(0, 1)))
    share = [torch.cat(part).float().cpu().numpy() for part in zip(*parts, strict=True)]
    prediction, truth, fused, refined, gates = procs.gather_rows(*share)
    l1, mjsd, loss = (procs.sum(sums) / len(clips)).tolist()
    by_modality = {m: refined[:, index] for index, m in enumerate(model.active)}
    gates_by_modality = dict(zip(model.active, gates.transpose(1, 0, 2), strict=False))
    return Evaluation(prediction, truth, fused, by_modality, gates_by_modality, l1, mjsd, loss)


def score(evaluation: Evaluation) -> dict[str, float]:
    """Every score of `sentiment_scores` and the published final F1 (f1_swapped); accuracies and F1 in percent."""
    scores = sentiment_scores(evaluation.prediction, evaluation.truth)
    scores["f1_swapped"] = final_scores(evaluation.prediction, evaluation.truth)["f1_swapped"]
    return {name: 100 * value if any(part in name for part in PERCENT) else value for name, value in scores.items()}


def gate_statistics(evaluation: Evaluation) -> dict[str, float]:
    """gate_l, gate_a, gate_v: mean over clips and channels of each active modality; gate_sd_l, ...: the deviation."""
    means = {f"gate_{modality}": float(gates.mean()) for modality, gates in evaluation.gates.items()}
    return means | {f"gate_sd_{modality}": float(gates.std()) for modality, gates in evaluation.gates.items()}
