"""CMU-MOSEI's and CMU-MOSI's loss, scores and printed lines: one sentiment score a clip, selected by its loss.

Published: Accuracy, the share of equal signs, where 0 counts as positive on both sides; Corr, the correlation of the
two signs, not of the scores; Loss. Beside them stand the usual scores of these data, each with its convention.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common.metrics.sentiment import accuracy, correlation, sentiment_scores
from dynmm.modality.results import Evaluation, Losses, Metrics, number

FRACTIONS = ("has0_f1", "non0_acc2", "non0_f1", "acc5", "acc7", "weighted_acc2")


@dataclass(frozen=True)
class SentimentTask:
    """Loss, scores and printed lines. Predictions are scores (N, 1), labels (N, 1); with classes logits (N, 2).

    batch_size: of the test. classes: two outputs and cross-entropy; a label of at least 0 is positive, as Accuracy has
    it. summed_loss: the test's Loss is the published dynamic script's, about batch_size times the mean.
    corr_of_scores: Corr is the correlation of the scores.
    higher: whether a higher `selection_score` is better. to_beat: an epoch that is no better is never kept.
    """

    batch_size: int
    classes: bool = False
    summed_loss: bool = False
    corr_of_scores: bool = False

    higher: ClassVar[bool] = False
    to_beat: ClassVar[float] = 10000.0

    def loss(self, prediction: Tensor, labels: Tensor) -> Tensor:
        """Mean absolute error, or cross-entropy of the two classes."""
        if self.classes:
            return F.cross_entropy(prediction, (labels[:, 0] >= 0).long())
        return F.l1_loss(prediction, labels)

    def metrics(self, predictions: Tensor, labels: Tensor) -> Metrics:
        """acc2, corr, loss as published (acc2 in per cent); of scores also mae, corr_signs, corr_scores and the usual.

        None where a correlation is undefined or there are no clips to score.
        """
        loss = self.loss(predictions, labels).item()
        if self.classes:
            predictions = predictions.argmax(dim=1, keepdim=True) - 0.5
        found = {"loss": loss, **sign_scores(predictions, labels)}
        if not self.classes:
            usual = sentiment_scores(predictions.cpu().numpy(), labels.cpu().numpy())
            found |= {"mae": usual["mae"], "corr_signs": found["corr"], "corr_scores": usual["corr"]}
            found |= {name: 100 * usual[name] for name in FRACTIONS}
            found["above0_acc2"] = 100 * accuracy((predictions > 0).cpu().numpy(), (labels > 0).cpu().numpy())
            if self.summed_loss:
                found["loss"] = summed_loss(predictions, labels, self.batch_size)
            if self.corr_of_scores:
                found["corr"] = found["corr_scores"]
        return {name: None if np.isnan(value) else value for name, value in found.items()}

    def selection_score(self, valid: Evaluation) -> float:
        """What the best epoch is selected by on the validation set: the loss, with the cost of the experts."""
        return valid.losses.total

    def epoch_lines(self, epoch: int, train: Losses, valid: Evaluation, waited: int) -> list[str]:
        """The published line of an epoch; both losses with the cost of the experts."""
        return [f"Epoch {epoch} | train loss {train.total:.3f} | valid loss {valid.losses.total:.3f}"]

    def test_line(self, test: Metrics) -> str:
        """The published line of a test; Accuracy in per cent."""
        loss, acc2, corr = (number(test, name) for name in ("loss", "acc2", "corr"))
        return f"Loss: {loss:.4f} | Accuracy {acc2:.2f} | Corr {corr:.3f}"

    def nothing_kept(self, epochs: int) -> str:
        """Why no epoch was kept."""
        return f"the loss on the validation set was never below 10000 in {epochs} epochs"


def sign_scores(predictions: Tensor, labels: Tensor) -> dict[str, float]:
    """acc2 (per cent) and corr of the signs; 0 is positive, no clip is left out. NaN where a side is constant."""
    positive, truth = ((x >= 0).flatten().cpu().numpy() for x in (predictions, labels))
    return {"acc2": 100 * accuracy(positive, truth), "corr": correlation(positive.astype(float), truth.astype(float))}


def summed_loss(predictions: Tensor, labels: Tensor, batch_size: int) -> float:
    """The published dynamic script's Loss: sum over batches of (sum of absolute errors x clips), over all clips."""
    errors = (predictions - labels).abs().flatten()
    batches = errors.split(batch_size)
    return (torch.stack([batch.sum() * len(batch) for batch in batches]).sum() / len(errors)).item()
