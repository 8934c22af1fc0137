"""Segmentation scores by a confusion matrix that stays on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor


class ConfusionMatrix:
    """Counts of (true class, predicted class), kept on the device without waiting for it.

    counts: int64 (K, K), rows true, columns predicted. Pixels whose label or prediction
    lies outside 0..K-1 are left out.
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self._bins = torch.zeros(num_classes**2 + 1, dtype=torch.int64, device=device)

    def update(self, target: Tensor, prediction: Tensor) -> None:
        """Add two integer maps of one shape, any dimensions."""
        target, prediction = target.reshape(-1).long(), prediction.reshape(-1).long()
        counted = (target >= 0) & (target < self.num_classes) & (prediction >= 0) & (prediction < self.num_classes)
        bins = torch.where(counted, target * self.num_classes + prediction, self.num_classes**2)
        self._bins.scatter_add_(0, bins, torch.ones_like(bins))

    @property
    def counts(self) -> Tensor:
        """int64 (K, K), a view."""
        return self._bins[:-1].view(self.num_classes, self.num_classes)


@dataclass(frozen=True)
class SegmentationScores:
    """In per cent."""

    pixel_acc: float
    mean_acc: float
    miou: float


def segmentation_scores(confusion: Tensor) -> SegmentationScores:
    """Pixel accuracy, mean class accuracy and mean intersection over union of int (K, K) counts.

    A class without true pixels is left out of the mean accuracy, one without true and predicted pixels out
    of the mean IoU. An empty matrix scores zero.
    """
    counts = confusion.double().cpu()
    if counts.sum() == 0:
        return SegmentationScores(0.0, 0.0, 0.0)
    hits, true, predicted = counts.diag(), counts.sum(1), counts.sum(0)
    return SegmentationScores(
        pixel_acc=100 * (hits.sum() / counts.sum()).item(),
        mean_acc=100 * (hits / true).nanmean().item(),
        miou=100 * (hits / (true + predicted - hits)).nanmean().item(),
    )
