"""Pictures of X-Norm's runs show what was recorded."""

import numpy as np
import pytest
import torch

from xnorm import pictures
from xnorm.pictures import draw_confusion, draw_curves, draw_exchange


@pytest.fixture
def figures(monkeypatch):
    """What is saved, by name."""
    saved = {}
    monkeypatch.setattr(pictures, "save_figure", lambda run, figure, name, *rest: saved.update({name: figure}))
    return saved


def remember(run, epochs=3):
    for epoch in range(1, epochs + 1):
        run.record(epoch, "train", loss=4.0 / epoch)
        run.record(epoch, "valid", loss=3.0 / epoch, acc=10.0 * epoch, macro_f1=9.0 * epoch)


def lines(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.lines if not line.get_label().startswith("_")}


def test_curves_have_losses_scores_and_the_tested_epoch(run, figures):
    remember(run)
    draw_curves(run, selected=2)
    left, right = figures["curves"].axes
    assert lines(left) == {"training (all terms)": [4.0, 2.0, 4 / 3], "validation": [3.0, 1.5, 1.0]}
    assert lines(right) == {"accuracy (%)": [10.0, 20.0, 30.0], "macro F1 (%)": [9.0, 18.0, 27.0]}
    assert all(axes.lines[-1].get_xdata() == [2, 2] for axes in (left, right))
    assert "epoch 2" in figures["curves"].get_suptitle()


def test_confusion_has_counts_in_the_cells_and_shares_as_colours(run, figures):
    logits = torch.eye(3)[[0, 0, 1, 1, 1]]
    draw_confusion(run, logits, torch.tensor([0, 0, 0, 1, 1]), ["a", "b", "c"])
    axes = figures["confusion"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "0", "2", "0", "0", "0", "0"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


def test_exchange_has_a_line_for_each_stream_and_place(run, figures):
    for epoch in (1, 2):
        run.record(epoch, "exchange", gamma_rgb_l1=0.5 * epoch, gamma_flow_l1=1.0, beta_rgb_l1=2.0, beta_flow_l1=3.0)
    draw_exchange(run)
    left, right = figures["exchange"].axes
    assert lines(left) == {"into rgb, 1": [0.5, 1.0], "into flow, 1": [1.0, 1.0]}
    assert lines(right) == {"into rgb, 1": [2.0, 2.0], "into flow, 1": [3.0, 3.0]}


def test_no_exchange_no_picture(run, figures):
    remember(run)
    draw_exchange(run)
    assert figures == {}
