"""Classification scores: loss, accuracy, macro F1 and the recall of every class."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from torch import Tensor


def classification_scores(logits: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, float | None]:
    """Of logits (N, K) and labels (N,), N at least 1, K names.

    loss: mean cross-entropy; acc (weighted accuracy: every sample counts the same), ua (unweighted: mean recall of the
    classes that occur), macro_f1 (over the classes that occur, in truth or prediction), majority (accuracy of always
    saying the most frequent class of these labels), recall_<name> (None for a class that does not occur): in per cent.
    """
    logits, labels = logits.float().cpu(), labels.cpu()
    truth, predicted = labels.numpy(), logits.argmax(dim=1).numpy()
    counts = np.bincount(truth, minlength=len(names))
    hits = np.bincount(truth[truth == predicted], minlength=len(names))
    recalls = {name: 100 * hits[k] / counts[k] if counts[k] else None for k, name in enumerate(names)}
    return {
        "loss": F.cross_entropy(logits, labels).item(),
        "acc": 100 * float(hits.sum() / len(truth)),
        "ua": float(np.mean([recall for recall in recalls.values() if recall is not None])),
        "macro_f1": 100 * float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "majority": 100 * float(counts.max() / len(truth)),
        **{f"recall_{name}": None if recall is None else float(recall) for name, recall in recalls.items()},
    }


def confusion(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts of (true class, predicted class), int64 (K, K), of logits (N, K) and labels (N,)."""
    cells = labels.cpu() * classes + logits.argmax(dim=1).cpu()
    return torch.bincount(cells, minlength=classes**2).view(classes, classes)
