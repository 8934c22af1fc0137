import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproductions.report.reported import Entry
from reproductions.report.verdicts import Facts, Verdict, judge


def number(statistic="single", n=None, value=51.1, margin=0.5):
    return Entry("Table 1", "Duet", "toy", "acc", value, f"{value:.1f}", statistic, n, "P", "read", margin, "full")


def verdict(values, facts=None, **reported):
    return judge(number(**reported), values, True, facts or Facts())


TIGHT = [51.0, 51.1, 51.2, 51.1, 51.1]


def shifted(by, spread=1.0):
    return [51.1 + by + spread * (value - 51.1) for value in TIGHT]


def test_mean_within_the_margin_matches():
    assert verdict(TIGHT).verdict is Verdict.MATCH


def test_match_needs_the_whole_interval_inside_the_margin():
    assert verdict(shifted(0.45), statistic="mean", n=5).verdict is not Verdict.MATCH


def test_single_number_inside_the_spread_of_our_seeds_is_seed_noise():
    wide = shifted(1.0, spread=15)
    assert verdict(wide).verdict is Verdict.WITHIN_SEED_NOISE
    assert "unknown" not in verdict(wide).reason


def test_unknown_statistic_is_taken_for_a_single_run_and_said_so():
    judgement = verdict(shifted(1.0, spread=15), statistic="unknown")
    assert judgement.verdict is Verdict.WITHIN_SEED_NOISE
    assert "unknown and taken for a single run" in judgement.reason


def test_mean_is_not_excused_by_the_spread_of_single_runs():
    assert verdict(shifted(1.6, spread=12), statistic="mean", n=3).verdict is not Verdict.WITHIN_SEED_NOISE


def test_clearly_lower_and_clearly_higher():
    assert verdict(shifted(-3)).verdict is Verdict.LOWER
    assert verdict(shifted(+3)).verdict is Verdict.HIGHER
    assert "-3.00" in verdict(shifted(-3)).reason


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_lower_means_a_lower_value_whatever_the_better_direction(higher_is_better):
    assert judge(number(), shifted(-3), higher_is_better, Facts()).verdict is Verdict.LOWER


def test_interval_in_and_out_of_the_margin_is_inconclusive():
    judgement = verdict(shifted(0.55, spread=2), statistic="mean", n=5)
    assert str(judgement) == "INCONCLUSIVE (5)"
    assert "in and out" in judgement.reason


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_fewer_than_five_seeds_are_inconclusive(n):
    assert str(verdict([51.1] * n)) == f"INCONCLUSIVE ({n})"


def test_published_weights_within_half_a_printed_digit_are_verified():
    assert verdict([], Facts(checkpoint=51.149)).verdict is Verdict.CHECKPOINT_VERIFIED
    assert verdict([], Facts(checkpoint=51.05)).verdict is Verdict.CHECKPOINT_VERIFIED
    missed = verdict([], Facts(checkpoint=51.16, real_data=True))
    assert missed.verdict is Verdict.NOT_RUN
    assert "51.1600, not 51.1" in str(missed)
    assert "51.1600, not 51.1" in verdict([51.0], Facts(checkpoint=51.16)).reason


def test_five_seeds_outweigh_the_published_weights_and_fewer_do_not():
    facts = Facts(checkpoint=51.1)
    assert verdict(shifted(-3), facts).verdict is Verdict.LOWER
    assert verdict([48.0], facts).verdict is Verdict.CHECKPOINT_VERIFIED


def test_component_parity_holds_only_without_real_data():
    assert verdict([], Facts(parity="2 cases pass")).verdict is Verdict.COMPONENT_PARITY_ONLY
    assert verdict([], Facts(parity="2 cases pass", real_data=True)).verdict is Verdict.NOT_RUN
    assert str(verdict([51.0], Facts(parity="2 cases pass"))) == "INCONCLUSIVE (1)"


def test_not_run_says_why():
    assert str(verdict([], Facts(why_not="no run found"))) == "NOT RUN (no run found)"


def test_best_of_k_is_compared_with_best_of_k():
    groups = [40.0, 51.1] * 5
    assert verdict(groups, statistic="best_of_k", n=2).verdict is Verdict.MATCH
    assert verdict(groups, statistic="mean", n=2).verdict is not Verdict.MATCH
    assert str(verdict(groups[:8], statistic="best_of_k", n=2)) == "INCONCLUSIVE (4)"


@pytest.mark.parametrize("statistic", ["best_of_grid", "best_of_k"])
def test_best_of_an_unstated_choice_has_no_counterpart(statistic):
    judgement = verdict(TIGHT, statistic=statistic)
    assert judgement.verdict is Verdict.NOT_RUN
    assert "no counterpart" in judgement.reason


@given(st.lists(st.floats(0, 100), max_size=12), st.sampled_from(["single", "mean", "unknown"]))
def test_mirrored_scores_give_the_mirrored_verdict(values, statistic):
    mirror = {Verdict.LOWER: Verdict.HIGHER, Verdict.HIGHER: Verdict.LOWER}
    one = judge(number(statistic, value=50.0), values, True, Facts()).verdict
    other = judge(number(statistic, value=50.0), [100 - value for value in values], True, Facts()).verdict
    assert other is mirror.get(one, one)
