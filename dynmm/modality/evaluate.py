"""One pass over a split without gradients: predictions, gate weights, losses and scores of the whole split."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from common.cuda import autocast
from common.processes import Processes
from dynmm.gate import Gated
from dynmm.modality.batches import Batch, Split, in_order, own_batches


class Losses(NamedTuple):
    """Means over samples. total: task + lambda * cost; task: without the cost; cost: mean weight on expert 2."""

    total: float
    task: float
    cost: float


@dataclass(frozen=True)
class Evaluation:
    """predictions float32 (N, C) and weights of the gate (N, 2) (None without one), on the device, in order.

    metrics: {name: value or None where it is undefined}.
    """

    predictions: Tensor
    weights: Tensor | None
    losses: Losses
    metrics: dict[str, float | None]

    @property
    def mean_weights(self) -> tuple[float, float] | None:
        """Mean weight of each expert; with a hard gate the shares of samples sent to each."""
        return None if self.weights is None else tuple(self.weights.double().mean(dim=0).tolist())


class Task(Protocol):
    """What a task (imdb_scores, affect_scores) says to the loop."""

    higher: bool

    def loss(self, prediction: Tensor, labels: Tensor) -> Tensor: ...

    def metrics(self, predictions: Tensor, labels: Tensor) -> dict[str, float | None]: ...

    def selection(self, valid: Evaluation) -> float: ...

    def epoch_lines(self, epoch: int, train: Losses, valid: Evaluation, waited: int) -> list[str]: ...

    def test_line(self, test: dict[str, float | None]) -> str: ...

    def nothing_kept(self, epochs: int) -> str: ...


@dataclass(frozen=True)
class Inference:
    """How a network is asked for predictions: batch size, device, precision, processes.

    routed: a hard gate runs the chosen expert alone (networks with a gate).
    """

    batch_size: int
    device: torch.device
    precision: str = "fp32"
    procs: Processes = field(default_factory=Processes)
    routed: bool = False


def respond(model: nn.Module, batch: Batch, routed: bool = False) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Prediction (B, C), cost and gate weights (B, 2) of a batch; None for the last two without a gate."""
    answer: Any = (model.routed if routed else model)(batch.inputs, batch.lengths)
    if isinstance(answer, Gated):
        return answer.prediction.float(), answer.cost.float(), answer.weights.float()
    return answer.float(), None, None


@torch.no_grad()
def predict(model: nn.Module, split: Split, inference: Inference) -> tuple[Tensor, Tensor | None, Tensor]:
    """Predictions (N, C), gate weights (N, 2) or None, and cost a sample (N,), of the whole split in its order.

    Batches are those of the published scripts, in order; several processes share them, whole ones, and all get
    everything. The model is left in eval mode.
    """
    model.eval()
    found: list[tuple[Tensor, Tensor, Tensor | None, Tensor | None]] = []
    for indices in own_batches(in_order(len(split), inference.batch_size), inference.procs):
        batch = split.batch(indices, inference.device)
        with autocast(inference.device, inference.precision):
            found.append((indices, *respond(model, batch, inference.routed)))
    costs = [(at, cost.expand(len(at), 1)) for at, _, cost, _ in found if cost is not None]
    weights = [(at, weight) for at, _, _, weight in found if weight is not None]
    size, gated = len(split), hasattr(model, "gate")
    predictions = _together([(at, value) for at, value, _, _ in found], size, inference)
    cost = _together(costs, size, inference, width=1)[:, 0] if gated else predictions.new_zeros(size)
    return predictions, _together(weights, size, inference, width=2) if gated else None, cost


def _together(parts: list[tuple[Tensor, Tensor]], size: int, inference: Inference, width: int = 0) -> Tensor:
    """float32 (size, C) out of the parts of all processes; width: C where this process may have no part."""
    widths = inference.procs.gather(parts[0][1].shape[1] if parts else width)
    whole = torch.zeros(size, max(widths), device=inference.device)
    if parts:
        whole[torch.cat([at for at, _ in parts]).to(inference.device)] = torch.cat([value for _, value in parts])
    return inference.procs.sum(whole)


def evaluate(model: nn.Module, split: Split, task: Task, inference: Inference, reg: float = 0.0) -> Evaluation:
    """Losses (means over the split's samples) and scores; reg: lambda of the cost in the total."""
    predictions, weights, cost = predict(model, split, inference)
    labels = split.labels.to(predictions.device)
    loss = task.loss(predictions, labels).item()
    mean_cost = cost.mean().item()
    losses = Losses(loss + reg * mean_cost, loss, mean_cost)
    return Evaluation(predictions, weights, losses, task.metrics(predictions, labels))


def timed(run: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    """Seconds that run() takes by the clock, the device's work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began
