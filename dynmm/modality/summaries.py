"""The lines that end a script: means and deviations over its repetitions, as published."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynmm.modality.final import Metrics

Finals = Sequence[dict[str, Metrics]]


def values(finals: Finals, metric: str) -> np.ndarray:
    """One number a repetition, of the official test (or of the checkpoint's); NaN where it is undefined."""
    chosen = [final.get("official") or final["checkpoint"] for final in finals]
    return np.array([np.nan if final[metric] is None else final[metric] for final in chosen], np.float64)


def mean_and_deviation(numbers: np.ndarray, digits: int, deviation_digits: int | None = None) -> str:
    """ "mean ± deviation", the deviation that of a population, as published."""
    shown = digits if deviation_digits is None else deviation_digits
    return f"{numbers.mean():.{digits}f} ± {numbers.std():.{shown}f}"


def imdb_summary(finals: Finals) -> list[str]:
    """The end of imdb_uni and imdb_mm."""
    micro, macro = values(finals, "f1_micro"), values(finals, "f1_macro")
    return [
        listed(micro),
        listed(macro),
        f"Finish {len(finals)} runs",
        f"f1 micro {mean_and_deviation(micro, 2)}",
        f"f1 macro {mean_and_deviation(macro, 2)}",
    ]


def imdb_dynamic_summary(finals: Finals) -> list[str]:
    """The end of imdb_dyn. "Flop saving" is what is spent; macro F1 has its own deviation (published: micro's)."""
    micro, macro, flops, ratio = (values(finals, name) for name in ("f1_micro", "f1_macro", "flops", "weight_e2"))
    rows = np.stack([micro, macro, flops], axis=1)
    return [
        listed(ratio),
        *(listed(row) for row in rows),
        f"Finish {len(finals)} runs",
        f"Test f1 micro {mean_and_deviation(micro, 2)} | f1 macro {mean_and_deviation(macro, 2)} | "
        f"Flop saving {mean_and_deviation(flops, 2)}M | Branch selection ratio {mean_and_deviation(ratio, 3)}",
        f"Best result {listed(rows[int(macro.argmax())])}",
    ]


def affect_summary(finals: Finals, deviation_digits: int) -> list[str]:
    """The end of affect_uni (2 digits of the deviations of loss and correlation) and affect_mm (4)."""
    columns = [values(finals, name) for name in ("acc2", "loss", "corr")]
    return [*(listed(row) for row in np.stack(columns, axis=1)), *_affect_lines(columns, deviation_digits)]


def affect_dynamic_summary(finals: Finals, highest_loss: bool) -> list[str]:
    """The end of affect_dyn. highest_loss: the published choice of the best run."""
    columns = [values(finals, name) for name in ("acc2", "loss", "corr", "flops", "weight_e2")]
    rows, loss = np.stack(columns, axis=1), columns[1]
    best = rows[int(loss.argmax() if highest_loss else loss.argmin())]
    return [
        *(listed(column) for column in columns),
        *_affect_lines(columns[:3], 4),
        f"FLOP {mean_and_deviation(columns[3], 2)}",
        f"Ratio {mean_and_deviation(columns[4], 3, 2)}",
        f"Best result {listed(best)}",
    ]


def _affect_lines(columns: list[np.ndarray], deviation_digits: int) -> list[str]:
    acc, loss, corr = columns
    return [
        f"Test Accuracy {mean_and_deviation(acc, 2)}",
        f"Loss {mean_and_deviation(loss, 4, deviation_digits)}",
        f"Corr {mean_and_deviation(corr, 4, deviation_digits)}",
    ]


def listed(numbers: Any) -> str:
    """ "[1.2345, 6.7890]"."""
    return f"[{', '.join(f'{number:.4f}' for number in numbers)}]"
