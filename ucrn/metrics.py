"""The score blocks that UCRN's scripts print, in their rounding and wording."""

from collections.abc import Mapping

import numpy as np

from common.metrics.sentiment import accuracy, class_accuracy, correlation, sentiment_scores, weighted_f1

# Published name, ours (common.sentiment); printed after every epoch in this order and spacing.
EPOCH_SCORES = {
    "Has0_acc_2:  ": "has0_acc2",
    "Has0_F1_score:  ": "has0_f1",
    "Non0_acc_2:  ": "non0_acc2",
    "Non0_F1_score:  ": "non0_f1",
    "Mult_acc_5: ": "acc5",
    "Mult_acc_7: ": "acc7",
    "MAE:  ": "mae",
    "Corr:  ": "corr",
}
RULE = "-" * 50


def epoch_scores(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The scores of `sentiment_scores`, rounded to 4 places as the published function returns them."""
    return {name: round(value, 4) for name, value in sentiment_scores(pred, truth).items()}


def epoch_lines(scores: Mapping[str, float]) -> list[str]:
    """The block that is printed for one split after each epoch."""
    return [*(f"{label}{scores[name]}" for label, name in EPOCH_SCORES.items()), RULE]


def final_scores(pred: np.ndarray, truth: np.ndarray, exclude_zero: bool = True) -> dict[str, float]:
    """The scores at the end of training: positive is > 0, on the samples with another true score than 0.

    exclude_zero=False: on all, where 0 is negative. f1_swapped has prediction and truth in each other's place, as
    published: its weights are the shares of the predicted classes; f1 has them right.
    """
    pred, truth = np.asarray(pred).ravel(), np.asarray(truth).ravel()
    kept = truth != 0 if exclude_zero else np.ones(truth.size, bool)
    sign, true_sign = pred[kept] > 0, truth[kept] > 0
    return {
        "mae": float(np.abs(pred - truth).mean()),
        "corr": correlation(pred, truth),
        "acc7": class_accuracy(np.clip(pred, -3, 3), np.clip(truth, -3, 3)),
        "acc5": class_accuracy(np.clip(pred, -2, 2), np.clip(truth, -2, 2)),
        "f1_swapped": weighted_f1(sign, true_sign),
        "f1": weighted_f1(true_sign, sign),
        "acc2": accuracy(sign, true_sign),
    }


def final_lines(scores: Mapping[str, float], swapped: bool) -> list[str]:
    """The block that ends the log; swapped: the published F1 (quirk final_f1)."""
    return [
        f"MAE:  {scores['mae']}",
        f"Correlation Coefficient:  {scores['corr']}",
        f"mult_acc_7:  {scores['acc7']}",
        f"mult_acc_5:  {scores['acc5']}",
        f"F1 score:  {scores['f1_swapped' if swapped else 'f1']}",
        f"Accuracy:  {scores['acc2']}",
        RULE,
    ]
