"""Segmentation scores, held to scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score, recall_score

from common.metrics.segmentation import ConfusionMatrix, SegmentationScores, segmentation_scores

IGNORED = 255


@st.composite
def maps(draw):
    """(K, targets, predictions): int64 of one shape, some targets ignored, at least one not."""
    classes = draw(st.integers(2, 6))
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 5), st.integers(1, 5)))
    labels = st.one_of(st.integers(0, classes - 1), st.sampled_from([IGNORED, classes, -1]))
    target = draw(arrays(np.int64, shape, elements=labels))
    target.flat[0] = draw(st.integers(0, classes - 1))
    prediction = draw(arrays(np.int64, shape, elements=st.integers(0, classes - 1)))
    return classes, target, prediction


def counted(classes, target, prediction):
    confusion = ConfusionMatrix(classes)
    confusion.update(torch.from_numpy(target), torch.from_numpy(prediction))
    return confusion.counts


@settings(deadline=None)
@given(maps())
def test_counts_are_those_of_scikit_learn(case):
    classes, target, prediction = case
    kept = (target >= 0) & (target < classes)
    expected = confusion_matrix(target[kept], prediction[kept], labels=range(classes))
    np.testing.assert_array_equal(counted(*case), expected)


@settings(deadline=None)
@given(maps())
def test_scores_are_those_of_scikit_learn_over_the_classes_that_occur(case):
    classes, target, prediction = case
    kept = (target >= 0) & (target < classes)
    target, prediction = target[kept], prediction[kept]
    scores = segmentation_scores(counted(*case))
    true, seen = np.unique(target), np.union1d(target, prediction)
    assert scores.pixel_acc == pytest.approx(100 * accuracy_score(target, prediction))
    assert scores.mean_acc == pytest.approx(100 * recall_score(target, prediction, labels=true, average="macro"))
    assert scores.miou == pytest.approx(100 * jaccard_score(target, prediction, labels=seen, average="macro"))


@settings(deadline=None)
@given(maps(), st.integers(1, 4))
def test_batches_add_up_to_the_whole(case, parts):
    classes, target, prediction = case
    confusion = ConfusionMatrix(classes)
    for some, others in zip(np.array_split(target, parts), np.array_split(prediction, parts), strict=True):
        confusion.update(torch.from_numpy(some), torch.from_numpy(others))
    assert torch.equal(confusion.counts, counted(*case))


def test_rows_are_true_and_columns_predicted_classes():
    counts = counted(3, np.array([[0, 0, 2]]), np.array([[1, 1, 0]]))
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
    assert counts.dtype == torch.int64


def test_small_integers_do_not_overflow():
    target = torch.full((300, 300), 39, dtype=torch.uint8)
    confusion = ConfusionMatrix(40)
    confusion.update(target, target)
    assert confusion.counts[39, 39] == 90000
    assert confusion.counts.sum() == 90000


def test_known_example_by_hand():
    """Class 2 is nowhere true, class 3 neither true nor predicted."""
    counts = torch.tensor([[3, 1, 0, 0], [0, 4, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    scores = segmentation_scores(counts)
    assert scores.pixel_acc == pytest.approx(70.0)
    assert scores.mean_acc == pytest.approx(100 * (3 / 4 + 4 / 6) / 2)
    assert scores.miou == pytest.approx(100 * (3 / 4 + 4 / 7 + 0) / 3)


def test_perfect_prediction_scores_a_hundred_also_with_absent_classes():
    target = np.array([[0, 4, 4, IGNORED]])
    assert segmentation_scores(counted(5, target, np.minimum(target, 4))) == SegmentationScores(100.0, 100.0, 100.0)


def test_nothing_counted_scores_zero():
    everything_ignored = counted(3, np.full((2, 2), IGNORED), np.zeros((2, 2), np.int64))
    assert segmentation_scores(everything_ignored) == SegmentationScores(0.0, 0.0, 0.0)


def test_sums_over_processes_need_the_counts_alone():
    counts = torch.tensor([[2, 1], [0, 3]])
    assert segmentation_scores(counts * 10**12) == segmentation_scores(counts)


@pytest.mark.parametrize("predicted", [3, -1])
def test_prediction_that_is_no_class_is_not_taken_for_another_pair(predicted):
    counts = counted(3, np.array([[1]]), np.array([[predicted]]))
    assert counts[0].sum() == counts[2].sum() == 0
