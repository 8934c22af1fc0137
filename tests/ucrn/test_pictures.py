"""UCRN's pictures: which are written, how large, and that they show something."""

import numpy as np
import pytest
from PIL import Image

from tests.support.run_folders import RememberedRun
from tests.support.ucrn_runs import random_clips, small_model
from ucrn import pictures
from ucrn.evaluate import evaluate
from ucrn.losses import Objective
from ucrn.pictures import draw_curves, draw_gates, draw_scatter


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A run that takes pictures; and the figures, by name, before they are written."""
    figures = {}
    run = RememberedRun(tmp_path)
    run.board = type("Board", (), {name: lambda *args, **kwargs: None for name in ("add_image", "add_figure")})()
    save = pictures.save_figure

    def kept(run, figure, name, *rest):
        figures[name] = figure
        save(run, figure, name, *rest)

    monkeypatch.setattr(pictures, "save_figure", kept)
    return run, figures


def picture(run, name):
    with Image.open(run.images / f"{name}.png") as image:
        return np.asarray(image.convert("L")).astype(float)


def assert_shows_something(run, name, figure):
    pixels = picture(run, name)
    width, height = figure.get_size_inches()
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(width / height, rel=0.02)
    assert min(pixels.shape) >= 200
    assert pixels.std() > 10


def scored(active="lav", **options):
    return evaluate(small_model(active, **options), random_clips(12), Objective(jsd=False), RememberedRun())


def with_epochs(run, active, epochs=3):
    for epoch in range(1, epochs + 1):
        for split in ("train_eval", "valid", "test"):
            gates = {f"gate_{modality}": 0.4 + 0.02 * epoch for modality in active}
            run.record(epoch, split, loss=5.0 - epoch, has0_f1=50.0 + epoch, mae=1.0 / epoch, mjsd=4.0 - epoch, **gates)
    run.record(epochs, "test", final=True, mae=9.0)


@pytest.mark.parametrize("active", ["lav", "a"])
def test_curves_show_every_epoch_of_the_three_splits(drawn, active):
    run, figures = drawn
    with_epochs(run, active)
    draw_curves(run)
    assert set(figures) == {"curves", "divergence"}
    for axes, expected in zip(figures["curves"].axes, ([4, 3, 2], [51, 52, 53], [1, 1 / 2, 1 / 3]), strict=True):
        assert [line.get_label() for line in axes.lines] == ["train", "valid", "test"]
        for line in axes.lines:
            assert list(line.get_xdata()) == [1, 2, 3]
            assert list(line.get_ydata()) == pytest.approx(expected)
    left, right = figures["divergence"].axes
    assert all(list(line.get_ydata()) == [3, 2, 1] for line in left.lines)
    names = {"l": "language", "a": "audio", "v": "vision"}
    assert [line.get_label() for line in right.lines] == [names[modality] for modality in active]
    for name, figure in figures.items():
        assert_shows_something(run, name, figure)


def test_curves_of_a_single_epoch_and_without_gates(drawn):
    run, figures = drawn
    with_epochs(run, "", epochs=1)
    draw_curves(run)
    assert figures["divergence"].axes[1].lines[:] == []
    assert (run.images / "curves.png").exists()


def test_scatter_has_a_point_a_clip(drawn):
    run, figures = drawn
    test = scored()
    draw_scatter(run, test.truth, test.prediction)
    points = figures["scatter"].axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, np.stack([test.truth, test.prediction], axis=1))
    assert "12 clips" in figures["scatter"].axes[0].get_title()
    assert_shows_something(run, "scatter", figures["scatter"])


@pytest.mark.parametrize("active", ["lav", "lv"])
def test_gates_are_counted_for_every_modality(drawn, active):
    run, figures = drawn
    draw_gates(run, scored(active).gates)
    _, labels = figures["gates"].axes[0].get_legend_handles_labels()
    names = {"l": "language", "a": "audio", "v": "vision"}
    assert [label for label in labels if label in names.values()] == [names[modality] for modality in active]
    assert_shows_something(run, "gates", figures["gates"])


def test_gates_that_are_not_there_are_not_drawn(drawn):
    run, figures = drawn
    draw_gates(run, scored(without=["sqil"]).gates)
    assert figures == {}
    assert not list(run.images.iterdir())
