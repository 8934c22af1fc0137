"""The lines that end a script on CMU-MOSEI or CMU-MOSI: means and deviations over its repetitions, as published."""

import numpy as np

from dynmm.modality.results import Finals, in_brackets, mean_and_deviation, values


def static_summary(finals: Finals, deviation_digits: int) -> list[str]:
    """The end of affect_uni (2 digits of the deviations of loss and correlation) and affect_mm (4)."""
    columns = [values(finals, name) for name in ("acc2", "loss", "corr")]
    return [*(in_brackets(row) for row in np.stack(columns, axis=1)), *_mean_lines(columns, deviation_digits)]


def dynamic_summary(finals: Finals, highest_loss: bool) -> list[str]:
    """The end of affect_dyn. highest_loss: the published choice of the best run."""
    columns = [values(finals, name) for name in ("acc2", "loss", "corr", "flops", "weight_e2")]
    rows, loss = np.stack(columns, axis=1), columns[1]
    best = rows[int(loss.argmax() if highest_loss else loss.argmin())]
    return [
        *(in_brackets(column) for column in columns),
        *_mean_lines(columns[:3], 4),
        f"FLOP {mean_and_deviation(columns[3], 2)}",
        f"Ratio {mean_and_deviation(columns[4], 3, 2)}",
        f"Best result {in_brackets(best)}",
    ]


def _mean_lines(columns: list[np.ndarray], deviation_digits: int) -> list[str]:
    acc, loss, corr = columns
    return [
        f"Test Accuracy {mean_and_deviation(acc, 2)}",
        f"Loss {mean_and_deviation(loss, 4, deviation_digits)}",
        f"Corr {mean_and_deviation(corr, 4, deviation_digits)}",
    ]
