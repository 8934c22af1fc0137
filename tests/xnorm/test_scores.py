"""Scores of a classification, held to scikit-learn."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from common.metrics.classification import classification_scores, confusion
from xnorm.evaluate import published_line

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(60, 4, generator=generator), torch.randint(0, 3, (60,), generator=generator)  # no "d" is true


def test_scores_are_those_of_scikit_learn(rows):
    logits, labels = rows
    found, predicted = classification_scores(logits, labels, NAMES), logits.argmax(1)
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, labels).item())
    assert found["acc"] == pytest.approx(100 * accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(100 * f1_score(labels, predicted, average="macro"))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert found["ua"] == pytest.approx(100 * balanced_accuracy_score(labels, predicted))
    assert found["majority"] == pytest.approx(100 * np.bincount(labels).max() / 60)


def test_recall_of_each_class_and_none_where_it_does_not_occur(rows):
    logits, labels = rows
    found = classification_scores(logits, labels, NAMES)
    for k, name in enumerate("abc"):
        assert found[f"recall_{name}"] == pytest.approx(
            100 * (logits.argmax(1)[labels == k] == k).double().mean().item()
        )
    assert found["recall_d"] is None


def test_printed_line_has_the_accuracy_as_a_fraction():
    assert published_line({"loss": 1.62646508, "acc": 25.0}) == "Loss: 1.6265 Acc: 0.250"


def test_confusion_has_the_true_classes_in_its_rows(rows):
    logits, labels = rows
    assert (confusion(logits, labels, 4).numpy() == confusion_matrix(labels, logits.argmax(1), labels=range(4))).all()
