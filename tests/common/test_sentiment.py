"""Scores of sentiment: which zeros count as what, how scores round to classes, and scikit-learn as the oracle."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics

from common.metrics.sentiment import class_accuracy, sentiment_scores, weighted_accuracy, weighted_f1

VALUES = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5]))
PAIRS = st.integers(2, 30).flatmap(lambda n: st.tuples(*[arrays(np.float32, n, elements=VALUES)] * 2))


def scores(pred, truth):
    return sentiment_scores(np.array(pred, np.float32), np.array(truth, np.float32))


def test_prediction_of_exactly_zero_is_negative_in_non0_and_positive_in_has0():
    found = scores([0, 0, 0], [1, 1, -1])
    assert found["non0_acc2"] == pytest.approx(1 / 3)
    assert found["has0_acc2"] == pytest.approx(2 / 3)
    assert found["non0_f1"] == pytest.approx(1 / 3 * 0.5)  # F1 of the negatives is 1/2, of the positives 0
    assert found["has0_f1"] == pytest.approx(2 / 3 * 0.8)
    assert found["weighted_acc2"] == 0.5


def test_negative_zero_is_zero():
    assert scores([-0.0], [1])["has0_acc2"] == 1
    assert scores([1, 2], [-0.0, 1])["non0_acc2"] == 1


def test_true_score_of_zero_is_positive_in_has0_and_left_out_of_non0():
    found = scores([-0.1, 0.1, 2, -2], [0, 0, 1, -1])
    assert found["has0_acc2"] == 0.75
    assert found["non0_acc2"] == found["non0_f1"] == 1


def test_scores_round_half_to_even():
    found = scores([0.5, 1.5, 2.5, -0.5, -1.5], [0, 2, 2, 0, -2])
    assert found["acc7"] == found["acc5"] == 1
    assert scores([0.5, 1.5, 2.5], [1, 1, 3])["acc7"] == 0
    assert class_accuracy(np.array([3.5, 4.5]), np.array([4.0, 4.0])) == 1


def test_outer_classes_are_merged_and_errors_are_not_cut():
    found = scores([9, 2, -7], [3, 3, -2])
    assert found["acc7"] == pytest.approx(1 / 3)
    assert found["acc5"] == 1
    assert found["mae"] == pytest.approx((6 + 1 + 5) / 3)


@settings(deadline=None)
@given(PAIRS)
def test_scores_are_those_of_scikit_learn(pair):
    pred, truth = pair
    found, kept = sentiment_scores(pred, truth), truth != 0
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, pred), rel=1e-5, abs=1e-6)
    assert found["has0_acc2"] == pytest.approx(metrics.accuracy_score(truth >= 0, pred >= 0))
    for limit, name in ((2, "acc5"), (3, "acc7")):
        classes = [np.round(np.clip(x, -limit, limit)).astype(int) for x in (truth, pred)]
        assert found[name] == pytest.approx(metrics.accuracy_score(*classes))
    if kept.any():
        assert found["non0_acc2"] == pytest.approx(metrics.accuracy_score(truth[kept] > 0, pred[kept] > 0))
    if 0 < (truth > 0).sum() < len(truth):
        assert found["weighted_acc2"] == pytest.approx(metrics.balanced_accuracy_score(truth > 0, pred > 0))


@settings(deadline=None)
@given(PAIRS)
def test_weighted_f1_written_out(pair):
    pred, truth = (x >= 0 for x in pair)
    total = 0.0
    for kind in (False, True):
        hits = ((pred == kind) & (truth == kind)).sum()
        total += (truth == kind).mean() * 2 * hits / max((pred == kind).sum() + (truth == kind).sum(), 1)
    assert weighted_f1(truth, pred) == pytest.approx(total)


@settings(deadline=None)
@given(PAIRS)
def test_correlation_is_pearsons(pair):
    pred, truth = (x.astype(np.float64) for x in pair)
    assume(np.std(pred) > 1e-3 and np.std(truth) > 1e-3)
    expected = ((pred - pred.mean()) * (truth - truth.mean())).mean() / pred.std() / truth.std()
    assert sentiment_scores(pred, truth)["corr"] == pytest.approx(expected, abs=1e-6)


def test_weighted_accuracy_is_the_published_formula():
    pred, truth = np.array([1, -1, 2, 0, 3, -2.0]), np.array([1, 2, 3, 0, -1, -1.0])
    positive, negative = (truth > 0).sum(), (truth <= 0).sum()
    hits, rejections = ((pred > 0) & (truth > 0)).sum(), ((pred <= 0) & (truth <= 0)).sum()
    expected = (hits * (negative / positive) + rejections) / (2 * negative)
    assert weighted_accuracy(pred, truth) == pytest.approx(expected)


@pytest.mark.parametrize(("pred", "truth"), [([0.7] * 4, [1, 2, -1, 0]), ([1, 2, 3, 4], [1] * 4), ([1], [2])])
def test_correlation_with_a_constant_is_no_number_and_no_warning(pred, truth):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scores(pred, truth)
    assert np.isnan(found["corr"])
    assert np.isfinite(found["mae"])


def test_without_a_score_other_than_zero_non0_is_no_number_and_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scores([1, -1, 0], [0, 0, 0])
    assert np.isnan([found["non0_acc2"], found["non0_f1"], found["weighted_acc2"]]).all()
    assert found["has0_acc2"] == pytest.approx(2 / 3)


def test_perfect_prediction_of_any_shape():
    truth = np.array([[-3.0], [-1.2], [0], [0.4], [2.6]])
    found = sentiment_scores(truth.ravel(), truth)
    assert found.pop("mae") == 0
    assert list(found.values()) == pytest.approx([1.0] * len(found))
