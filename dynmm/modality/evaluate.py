"""One pass over a split without gradients: predictions, gate weights, losses and scores of the whole split."""

from typing import Any

import torch
from torch import Tensor, nn

from common.run import Run
from dynmm.gate import Gated
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.batches import Split, batches_in_order, own_batches
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.networks.two_experts import TwoExperts
from dynmm.modality.results import Evaluation, Losses

Task = GenreTask | SentimentTask


def evaluate(
    model: nn.Module, split: Split, task: Task, run: Run, batch_size: int, routed: bool = False, reg: float = 0.0
) -> Evaluation:
    """Losses (means over the split's samples) and scores; reg: lambda of the cost in the total; else as `predict`."""
    predictions, weights, cost = predict(model, split, run, batch_size, routed)
    labels = split.labels.to(predictions.device)
    loss = task.loss(predictions, labels).item()
    mean_cost = cost.mean().item()
    losses = Losses(loss + reg * mean_cost, loss, mean_cost)
    return Evaluation(predictions, weights, losses, task.metrics(predictions, labels))


@torch.no_grad()
def predict(
    model: nn.Module, split: Split, run: Run, batch_size: int, routed: bool = False
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Predictions (N, C), gate weights (N, 2) or None, and cost a sample (N,), of the whole split in its order.

    Batches are those of the published scripts, in order; several processes share them, whole ones, and all get
    everything. routed: a hard gate runs the chosen expert alone. The model is left in eval mode.
    """
    model.eval()
    predicted, weighed, paid = [], [], []  # (indices, rows) of each batch
    for indices in own_batches(batches_in_order(len(split), batch_size), run.procs):
        batch = split.batch(indices, run.device)
        with run.autocast():
            answer: Any = _network(model, routed)(batch.inputs, batch.lengths)
        gated = isinstance(answer, Gated)
        predicted.append((indices, (answer.prediction if gated else answer).float()))
        if gated:
            weighed.append((indices, answer.weights.float()))
            paid.append((indices, answer.cost.float().expand(len(indices), 1)))
    predictions = _gather(predicted, len(split), run)
    if not isinstance(model, TwoExperts):
        return predictions, None, predictions.new_zeros(len(split))
    return predictions, _gather(weighed, len(split), run, width=2), _gather(paid, len(split), run, width=1)[:, 0]


def _network(model: nn.Module, routed: bool) -> Any:
    return model.routed if routed and isinstance(model, TwoExperts) else model


def _gather(parts: list[tuple[Tensor, Tensor]], size: int, run: Run, width: int = 0) -> Tensor:
    """float32 (size, C) out of the parts of all processes; width: C where this process may have no part."""
    widths = run.procs.gather(parts[0][1].shape[1] if parts else width)
    whole = torch.zeros(size, max(widths), device=run.device)
    if parts:
        whole[torch.cat([at for at, _ in parts]).to(run.device)] = torch.cat([value for _, value in parts])
    return run.procs.sum(whole)
