"""MM-IMDB's loss, scores and printed lines: several genres a film, selected by macro F1."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch.nn.functional as F
from sklearn.metrics import f1_score
from torch import Tensor

from dynmm.modality.results import Evaluation, Losses, Metrics, number

AVERAGES = ("micro", "macro", "weighted")


@dataclass(frozen=True)
class GenreTask:
    """Loss, scores and printed lines. Predictions are logits (N, 23), labels 0 or 1 (N, 23).

    higher: whether a higher `selection_score` is better. to_beat: an epoch that is no better is never kept.
    """

    higher: ClassVar[bool] = True
    to_beat: ClassVar[float] = 0.0

    def loss(self, prediction: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy, mean over films and genres."""
        return F.binary_cross_entropy_with_logits(prediction, labels)

    def metrics(self, predictions: Tensor, labels: Tensor) -> Metrics:
        """f1_micro, f1_macro, f1_weighted, in per cent."""
        return {f"f1_{name}": 100 * value for name, value in genre_scores(predictions, labels).items()}

    def selection_score(self, valid: Evaluation) -> float:
        """What the best epoch is selected by on the validation set: macro F1."""
        return number(valid.metrics, "f1_macro")

    def epoch_lines(self, epoch: int, train: Losses, valid: Evaluation, waited: int) -> list[str]:
        """The published lines of an epoch; the cross-entropy is without the cost of the experts."""
        micro, macro = (number(valid.metrics, name) / 100 for name in ("f1_micro", "f1_macro"))
        return [
            "-" * 50,
            f"Epoch {epoch} | Train loss {train.total:.4f} | Train CE loss {train.task:.4f} | "
            f"Val loss {valid.losses.total:.4f} | patience {waited}",
            f"f1 micro: {micro:.3f} | f1 macro: {macro:.3f}",
        ]

    def test_line(self, test: Metrics) -> str:
        """The published line of a test, in per cent."""
        return f"f1_micro: {number(test, 'f1_micro'):.2f} | f1_macro: {number(test, 'f1_macro'):.2f}"

    def nothing_kept(self, epochs: int) -> str:
        """Why no epoch was kept."""
        return f"macro F1 on the validation set was 0 for {epochs} epochs: no genre was ever predicted rightly"


def genre_scores(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """F1 over a whole split, {"micro", "macro", "weighted"} as fractions; a class of no positives counts 0.

    A genre is predicted where sigmoid(logit) rounds to 1, half to even: a logit of 0 is negative.
    """
    predicted, truth = predicted_genres(logits), labels.cpu().numpy().astype(np.int64)
    return {name: float(f1_score(truth, predicted, average=name, zero_division=0)) for name in AVERAGES}


def predicted_genres(logits: Tensor) -> np.ndarray:
    """int64 (N, 23), 0 or 1."""
    return logits.float().sigmoid().round().cpu().numpy().astype(np.int64)
