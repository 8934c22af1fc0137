"""What may be said of a reported number beside ours: a closed list, one pure function."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from reproductions.report.reported import Entry
from reproductions.report.statistics import SLACK, best_of, equivalent, inside, mean_interval, prediction_interval

ENOUGH_SEEDS = 5


class Verdict(StrEnum):
    """The closed list."""

    MATCH = "MATCH"
    WITHIN_SEED_NOISE = "WITHIN SEED NOISE"
    LOWER = "LOWER"
    HIGHER = "HIGHER"
    INCONCLUSIVE = "INCONCLUSIVE"
    CHECKPOINT_VERIFIED = "CHECKPOINT VERIFIED"
    COMPONENT_PARITY_ONLY = "COMPONENT PARITY ONLY"
    NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Facts:
    """What is known of a row besides the values of its runs.

    checkpoint: score of the published weights on the real data, None where nobody evaluated them.
    parity: in words, which golden cases pass, None unless those of every component of the row do.
    real_data: whether any run on real data and real weights was found, counted or not.
    why_not: in words, why there is no value.
    """

    checkpoint: float | None = None
    parity: str | None = None
    real_data: bool = False
    why_not: str = "no run found"


@dataclass(frozen=True)
class Judgement:
    """A verdict, in how many values it rests on, and the reason in words."""

    verdict: Verdict
    reason: str
    n: int = 0

    def __str__(self) -> str:
        """As the reports print it: with n for INCONCLUSIVE, with the reason for NOT RUN."""
        if self.verdict is Verdict.INCONCLUSIVE:
            return f"{self.verdict} ({self.n})"
        return f"{self.verdict} ({self.reason})" if self.verdict is Verdict.NOT_RUN else str(self.verdict)


def comparable(reported: Entry, values: Sequence[float], higher_is_better: bool) -> list[float] | None:
    """Our values in the statistic of the reported number: best-of-k becomes the best of each k of our seeds.

    None where no statistic of ours is the same: the best of a grid, or of an unstated number of runs.
    """
    if reported.statistic == "best_of_grid":
        return None
    if reported.statistic == "best_of_k":
        return None if reported.n is None else best_of(values, reported.n, higher_is_better)
    return list(values)


def judge(reported: Entry, values: Sequence[float], higher_is_better: bool, facts: Facts) -> Judgement:
    """The verdict on one reported number from the final scores of our seeds, one value a seed.

    In this order, the first that holds:

    1.  n >= 5: MATCH, if the 90 % interval of our mean lies inside reported ± margin;
        WITHIN SEED NOISE, if the reported number is that of a single run (an unknown statistic is taken for one,
        and the reason says so) and lies inside our 95 % prediction interval;
        INCONCLUSIVE, if the 95 % interval of our mean reaches both into and out of reported ± margin;
        LOWER or HIGHER, by the sign of our mean minus the reported number, whichever direction is the better one.
    2.  CHECKPOINT VERIFIED, if the published weights give the reported number within half a printed digit.
    3.  INCONCLUSIVE, if there is any run (1 to 4 of them).
    4.  COMPONENT PARITY ONLY, if the golden cases of the row pass and there is no run on real data.
    5.  NOT RUN.

    n counts values of the reported statistic, so for best-of-k whole groups of k seeds.
    """
    ours = comparable(reported, values, higher_is_better)
    if ours is not None and len(ours) >= ENOUGH_SEEDS:
        return _judge_seeds(reported, ours)
    if _verified(reported, facts.checkpoint):
        reason = f"published weights give {facts.checkpoint:.4f}, within {reported.half_digit:g} of {reported.printed}"
        return Judgement(Verdict.CHECKPOINT_VERIFIED, reason, 1)
    if values and ours is not None:
        reason = f"{len(ours)} values, a verdict needs {ENOUGH_SEEDS}"
        missed = "" if facts.checkpoint is None else f"; {_missed(reported, facts.checkpoint)}"
        return Judgement(Verdict.INCONCLUSIVE, reason + missed, len(ours))
    if facts.parity is not None and not facts.real_data:
        return Judgement(Verdict.COMPONENT_PARITY_ONLY, facts.parity)
    return Judgement(Verdict.NOT_RUN, _why_not(reported, values, facts))


def _judge_seeds(reported: Entry, ours: list[float]) -> Judgement:
    n, mean = len(ours), sum(ours) / len(ours)
    low, high = reported.value - reported.margin, reported.value + reported.margin
    if equivalent(ours, reported.value, reported.margin):
        return Judgement(Verdict.MATCH, f"90 % interval of our mean inside {low:g} to {high:g}", n)
    predicted = prediction_interval(ours)
    if reported.statistic in ("single", "unknown") and inside(reported.value, predicted):
        taken = "" if reported.statistic == "single" else "; its statistic is unknown and taken for a single run"
        reason = f"reported number inside our 95 % prediction interval {predicted[0]:.2f} to {predicted[1]:.2f}{taken}"
        return Judgement(Verdict.WITHIN_SEED_NOISE, reason, n)
    interval = mean_interval(ours, 0.95)
    if interval[0] <= high + SLACK and interval[1] >= low - SLACK:
        reason = f"95 % interval of our mean {interval[0]:.2f} to {interval[1]:.2f} reaches in and out of the margin"
        return Judgement(Verdict.INCONCLUSIVE, reason, n)
    verdict = Verdict.LOWER if mean < reported.value else Verdict.HIGHER
    return Judgement(verdict, f"our mean differs by {mean - reported.value:+.2f}, margin {reported.margin:g}", n)


def _verified(reported: Entry, checkpoint: float | None) -> bool:
    return checkpoint is not None and abs(checkpoint - reported.value) <= reported.half_digit + SLACK


def _missed(reported: Entry, checkpoint: float) -> str:
    return f"published weights give {checkpoint:.4f}, not {reported.printed} within half a printed digit"


def _why_not(reported: Entry, values: Sequence[float], facts: Facts) -> str:
    if values:
        return f"{reported.statistic} of an unstated choice has no counterpart among our seeds"
    if facts.checkpoint is not None:
        return _missed(reported, facts.checkpoint)
    return facts.why_not
