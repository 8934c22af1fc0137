"""The lines that end a script on MM-IMDB: means and deviations over its repetitions, as published."""

import numpy as np

from dynmm.modality.results import Finals, in_brackets, mean_and_deviation, values


def static_summary(finals: Finals) -> list[str]:
    """The end of imdb_uni and imdb_mm."""
    micro, macro = values(finals, "f1_micro"), values(finals, "f1_macro")
    return [
        in_brackets(micro),
        in_brackets(macro),
        f"Finish {len(finals)} runs",
        f"f1 micro {mean_and_deviation(micro, 2)}",
        f"f1 macro {mean_and_deviation(macro, 2)}",
    ]


def dynamic_summary(finals: Finals) -> list[str]:
    """The end of imdb_dyn. "Flop saving" is what is spent; macro F1 has its own deviation (published: micro's)."""
    micro, macro, flops, ratio = (values(finals, name) for name in ("f1_micro", "f1_macro", "flops", "weight_e2"))
    rows = np.stack([micro, macro, flops], axis=1)
    return [
        in_brackets(ratio),
        *(in_brackets(row) for row in rows),
        f"Finish {len(finals)} runs",
        f"Test f1 micro {mean_and_deviation(micro, 2)} | f1 macro {mean_and_deviation(macro, 2)} | "
        f"Flop saving {mean_and_deviation(flops, 2)}M | Branch selection ratio {mean_and_deviation(ratio, 3)}",
        f"Best result {in_brackets(rows[int(macro.argmax())])}",
    ]
