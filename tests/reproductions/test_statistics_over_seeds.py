import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reproductions.report.statistics import best_of, equivalent, inside, mean_interval, prediction_interval, summarise

scores = st.floats(0, 100, allow_nan=False)
samples = st.lists(scores, min_size=2, max_size=12)


def test_textbook_sample():
    summary = summarise([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    assert summary.mean == 5.0
    assert summary.sd == pytest.approx(math.sqrt(32 / 7))
    half = 2.364624 * math.sqrt(32 / 7) / math.sqrt(8)
    assert summary.interval == pytest.approx((5 - half, 5 + half), abs=1e-5)


def test_single_value_has_no_deviation():
    summary = summarise([51.1])
    assert (summary.n, summary.mean, summary.sd, summary.interval) == (1, 51.1, None, None)


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="no values"):
        summarise([])
    with pytest.raises(ValueError, match="at least two"):
        mean_interval([1.0], 0.95)


@given(samples)
def test_mean_interval_is_that_of_scipy(values):
    low, high = mean_interval(values, 0.95)
    if np.std(values) > 1e-9:
        expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)


@given(samples)
def test_next_run_is_less_certain_than_the_mean(values):
    (low, high), (low_next, high_next) = mean_interval(values, 0.95), prediction_interval(values)
    assert low_next <= low
    assert high <= high_next
    assert high_next - low_next == pytest.approx((high - low) * math.sqrt(len(values) + 1), abs=1e-6)


@given(samples, scores, st.floats(0.01, 10))
def test_equivalence_agrees_with_two_one_sided_t_tests(values, target, margin):
    if np.std(values) < 1e-3:
        return
    above = stats.ttest_1samp(values, target - margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, target + margin, alternative="less").pvalue
    if abs(max(above, below) - 0.05) > 1e-6:
        assert equivalent(values, target, margin) == (max(above, below) < 0.05)


@given(samples, scores, st.floats(0.01, 10), st.floats(-50, 50))
def test_shifting_everything_changes_no_equivalence(values, target, margin, shift):
    low, high = mean_interval(values, 0.90)
    if min(abs(low - target + margin), abs(high - target - margin)) > 1e-6:
        shifted = [value + shift for value in values]
        assert equivalent(shifted, target + shift, margin) == equivalent(values, target, margin)


def test_prediction_interval_holds_the_stated_share_of_next_runs():
    runs = np.random.default_rng(0).normal(50, 2, (4000, 6))
    held = [inside(run[5], prediction_interval(run[:5])) for run in runs]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


def test_equivalence_rests_on_the_ninety_percent_interval():
    values = [49.0, 50.0, 50.0, 50.0, 51.0]
    half = 2.131847 * math.sqrt(0.5) / math.sqrt(5)  # t of 95 % with 4 degrees of freedom
    assert equivalent(values, 50.0, half + 1e-5)
    assert not equivalent(values, 50.0, half - 1e-5)


def test_margin_includes_its_ends_in_decimal_numbers():
    assert equivalent([51.6] * 5, 51.1, 0.5)
    assert not equivalent([51.61] * 5, 51.1, 0.5)


def test_best_of_k_uses_whole_groups_and_the_better_direction():
    assert best_of([1.0, 3.0, 2.0, 5.0, 9.0], 2, higher_is_better=True) == [3.0, 5.0]
    assert best_of([1.0, 3.0, 2.0, 5.0, 9.0], 2, higher_is_better=False) == [1.0, 2.0]
    assert best_of([1.0], 2, higher_is_better=True) == []
