"""Evaluation: what the network makes of a split's rows, and their scores as the published script prints them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.metrics.classification import classification_scores
from common.run import Run
from xnorm.data import Batch
from xnorm.losses import logits_of


class Evaluation(NamedTuple):
    """What N rows came to, in their order, on the CPU: logits float32 (N, K), labels int64 (N,)."""

    logits: Tensor
    labels: Tensor

    def scores(self, names: Sequence[str], rows: int | None = None) -> dict[str, Any]:
        """`classification_scores` of the first `rows` rows (default: all). names: of the K classes."""
        return classification_scores(self.logits[:rows], self.labels[:rows], names)


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[Batch], run: Run) -> Evaluation:
    """The model in eval mode on all rows.

    batches: this process's rows, every world-th from its rank on; all processes get the result.
    """
    model.eval()
    logits, labels = [], []
    for rgb, flow, truth in batches:
        with run.autocast():
            output = model(rgb, flow)
        logits.append(logits_of(output).float())
        labels.append(truth)
    share = [torch.cat(parts).cpu().numpy() for parts in (logits, labels) if parts]
    return Evaluation(*map(torch.from_numpy, run.procs.gather_rows(*share)))


def published_line(scores: Mapping[str, Any]) -> str:
    """The line that the published script prints after each evaluation; Acc is a fraction there."""
    return f"Loss: {scores['loss']:.4f} Acc: {scores['acc'] / 100:.3f}"
