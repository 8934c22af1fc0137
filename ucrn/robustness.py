"""Tests of a trained model with a modality missing and with noise (`--robustness`).

The paper claims robustness against both; the published code has neither test, so what is damaged and how is ours.
"""

from dataclasses import replace
from typing import Any

import torch

from common.run import Run
from ucrn.data import FIELDS, Clips
from ucrn.evaluate import evaluate, score
from ucrn.losses import Objective
from ucrn.model import UCRN

NOISE_LEVELS = (0.5, 1.0, 2.0)
SCORES = ("mae", "non0_acc2")


def damaged_scores(
    model: UCRN, train: Clips, test: Clips, seed: int, objective: Objective, run: Run
) -> dict[str, float]:
    """mae_no_l, mae_noise_0.5, ...: scores on damaged test sets.

    Each active modality is missing in turn (if there are others), and each level of noise is added to all of them.
    train: the training set, whose features set the scale of the noise. seed: of the noise.
    """
    damaged = {f"no_{m}": without(test, m) for m in model.active} if len(model.active) > 1 else {}
    damaged |= {f"noise_{level:g}": noisy(test, train, level, seed) for level in NOISE_LEVELS}
    scores: dict[str, float] = {}
    for damage, clips in damaged.items():
        found = score(evaluate(model, clips, objective, run))
        scores |= {f"{name}_{damage}": found[name] for name in SCORES}
    return scores


def without(clips: Clips, modality: str) -> Clips:
    """The modality's features all zero, as padding is."""
    field = FIELDS[modality]
    silent: dict[str, Any] = {field: torch.zeros_like(getattr(clips, field))}
    return replace(clips, **silent)


def noisy(clips: Clips, train: Clips, level: float, seed: int) -> Clips:
    """Gaussian noise on every feature of every step, padding too; the same on all devices.

    Its standard deviation is `level` times that of the feature over all steps of the training set.
    """
    generator = torch.Generator().manual_seed(seed)
    noise: dict[str, Any] = {}
    for field in FIELDS.values():
        clean = getattr(clips, field)
        deviation = getattr(train, field).flatten(0, 1).std(dim=0)
        drawn = torch.randn(clean.shape, generator=generator).to(clean.device)
        noise[field] = clean + level * deviation * drawn
    return replace(clips, **noise)
