"""What a pass over a split comes to, and what repetitions of a run come to together."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

Metrics = dict[str, float | None]  # None where a metric is undefined
Finals = Sequence[dict[str, Metrics]]  # of each repetition, by protocol


class Losses(NamedTuple):
    """Means over samples. total: task + lambda * cost; task: without the cost; cost: mean weight on expert 2."""

    total: float
    task: float
    cost: float


@dataclass(frozen=True)
class Evaluation:
    """predictions float32 (N, C) and weights of the gate (N, 2) (None without one), on the device, in order."""

    predictions: Tensor
    weights: Tensor | None
    losses: Losses
    metrics: Metrics

    @property
    def mean_weights(self) -> list[float] | None:
        """Mean weight of each expert; with a hard gate the shares of samples sent to each."""
        return None if self.weights is None else self.weights.double().mean(dim=0).tolist()


def share_of_expert2(weights: Tensor) -> float:
    """Share of samples whose larger weight, of (N, 2), is expert 2's."""
    return (weights[:, 1] > weights[:, 0]).double().mean().item()


def number(metrics: Mapping[str, float | None], name: str) -> float:
    """A metric; NaN where it is undefined."""
    found = metrics[name]
    return float("nan") if found is None else found


def final_scores(folders: Iterable[Path]) -> list[dict[str, Metrics]]:
    """{protocol: metrics} of each run folder's final lines."""
    finals = []
    for folder in folders:
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        finals.append({line["protocol"]: line for line in lines if line.get("final")})
    return finals


def values(finals: Finals, metric: str) -> np.ndarray:
    """One number a repetition, of the official test (or of the checkpoint's); NaN where it is undefined."""
    return np.array([number(final.get("official") or final["checkpoint"], metric) for final in finals], np.float64)


def mean_and_deviation(numbers: np.ndarray, digits: int, deviation_digits: int | None = None) -> str:
    """ "mean ± deviation", the deviation that of a population, as published."""
    shown = digits if deviation_digits is None else deviation_digits
    return f"{numbers.mean():.{digits}f} ± {numbers.std():.{shown}f}"


def in_brackets(numbers: Iterable[float]) -> str:
    """ "[1.2345, 6.7890]"."""
    return f"[{', '.join(f'{number:.4f}' for number in numbers)}]"
