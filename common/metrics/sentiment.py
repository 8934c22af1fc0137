"""Scores of sentiment regression on CMU-MOSI and CMU-MOSEI, each named with its convention.

Two conventions of binary accuracy and F1 are in use, and tables seldom say which they print:

    has0   all samples; a score of exactly 0 counts as positive (>= 0), in truth and prediction
    non0   samples whose true score is not 0; positive is > 0
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import f1_score


def sentiment_scores(pred: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Scores of predictions against true scores in [-3, 3], any shapes of equal size.

    has0_acc2, has0_f1, non0_acc2, non0_f1, acc5, acc7, weighted_acc2, as fractions; mae; corr (Pearson). NaN where
    undefined: non0 without any score other than 0, corr where either side is constant.
    """
    pred, truth = np.asarray(pred).ravel(), np.asarray(truth).ravel()
    nonzero = truth != 0
    return {
        "has0_acc2": accuracy(pred >= 0, truth >= 0),
        "has0_f1": weighted_f1(truth >= 0, pred >= 0),
        "non0_acc2": accuracy(pred[nonzero] > 0, truth[nonzero] > 0),
        "non0_f1": weighted_f1(truth[nonzero] > 0, pred[nonzero] > 0),
        "acc5": class_accuracy(np.clip(pred, -2, 2), np.clip(truth, -2, 2)),
        "acc7": class_accuracy(np.clip(pred, -3, 3), np.clip(truth, -3, 3)),
        "weighted_acc2": weighted_accuracy(pred, truth),
        "mae": float(np.abs(pred - truth).mean()),
        "corr": correlation(pred, truth),
    }


def accuracy(pred: np.ndarray, truth: np.ndarray) -> float:
    """Share of equal entries; NaN of none."""
    return float((pred == truth).mean()) if truth.size else float("nan")


def class_accuracy(pred: np.ndarray, truth: np.ndarray) -> float:
    """Share of scores that round (half to even) to the same class; clip them before to merge the outer classes."""
    return accuracy(np.round(pred), np.round(truth))


def weighted_f1(truth: np.ndarray, pred: np.ndarray) -> float:
    """F1 of two classes, weighted by their share in `truth`; a class never hit counts 0. NaN of no sample."""
    return float(f1_score(truth, pred, average="weighted", zero_division=0)) if truth.size else float("nan")


def weighted_accuracy(pred: np.ndarray, truth: np.ndarray) -> float:
    """Mean of the two classes' own accuracies, positive being > 0 (0 is negative); NaN where a class is missing."""
    rates = [accuracy(pred[part] > 0, truth[part] > 0) for part in (truth > 0, truth <= 0)]
    return float(np.mean(rates))


def correlation(pred: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's correlation; NaN where either side is constant."""
    if pred.size < 2 or np.ptp(pred) == 0 or np.ptp(truth) == 0:
        return float("nan")
    return float(np.corrcoef(pred, truth)[0, 1])
