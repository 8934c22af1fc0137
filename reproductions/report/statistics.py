"""What some seeds say about a mean and about a next run: Student's t throughout, deviations with ddof 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

SLACK = 1e-9  # of decimal numbers in binary: 51.6 - 51.1 is not 0.5


@dataclass(frozen=True)
class Summary:
    """n values; sd and the 95 % interval of the mean are None for a single value."""

    n: int
    mean: float
    sd: float | None
    interval: tuple[float, float] | None


def summarise(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and 95 % interval of the mean. Raises ValueError without values."""
    if not values:
        raise ValueError("no values to summarise")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Summary(1, mean, None, None)
    return Summary(len(values), mean, float(np.std(values, ddof=1)), mean_interval(values, 0.95))


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Interval of the mean, mean ± t s / sqrt(n); at least two values, confidence in (0, 1)."""
    return _interval(values, confidence, math.sqrt(1 / len(values)))


def prediction_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval for one more run, mean ± t s sqrt(1 + 1/n); at least two values, confidence in (0, 1)."""
    return _interval(values, confidence, math.sqrt(1 + 1 / len(values)))


def equivalent(values: Sequence[float], target: float, margin: float) -> bool:
    """Two one-sided tests at 5 %: does the 90 % interval of the mean lie inside target ± margin?"""
    low, high = mean_interval(values, 0.90)
    return target - margin - SLACK <= low and high <= target + margin + SLACK


def inside(value: float, interval: tuple[float, float]) -> bool:
    """Whether the interval, ends included, holds the value."""
    return interval[0] - SLACK <= value <= interval[1] + SLACK


def best_of(values: Sequence[float], k: int, higher_is_better: bool) -> list[float]:
    """The best of each k consecutive values; values that fill no whole group are left out. k at least 1."""
    best = max if higher_is_better else min
    return [best(values[i : i + k]) for i in range(0, len(values) - k + 1, k)]


def _interval(values: Sequence[float], confidence: float, scale: float) -> tuple[float, float]:
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values, found {len(values)}")
    mean = math.fsum(values) / len(values)
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * float(np.std(values, ddof=1)) * scale
    return mean - half, mean + half
