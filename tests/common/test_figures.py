"""A figure lands in the run's images and in TensorBoard, the same picture in both."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.figures import save_figure


def bars(*heights):
    figure = Figure(figsize=(3, 2))
    figure.subplots().bar(range(len(heights)), heights)
    return figure


def pixels(source):
    return np.asarray(Image.open(source).convert("RGB"))


def shown(folder, tag):
    """{epoch: picture} of TensorBoard."""
    board = EventAccumulator(str(folder), size_guidance={"images": 0})
    board.Reload()
    return {event.step: pixels(io.BytesIO(event.encoded_image_string)) for event in board.Images(tag)}


@pytest.mark.parametrize(("given", "shape"), [({}, (220, 330, 3)), ({"dpi": 50}, (100, 150, 3))])
def test_file_and_board_show_the_same_picture(make_run, tmp_path, given, shape):
    with make_run(tmp_path / "run") as run:
        save_figure(run, bars(3, 1), "gates", "valid/gates", 4, **given)
    stored = pixels(tmp_path / "run/images/gates.png")
    (board,) = shown(tmp_path / "run", "valid/gates").items()
    assert board[0] == 4
    assert stored.shape == shape
    np.testing.assert_array_equal(board[1], stored)
    assert len(np.unique(stored.reshape(-1, 3), axis=0)) > 2, "the figure is blank"


def test_file_is_of_the_latest_epoch_and_the_board_keeps_all(make_run, tmp_path):
    with make_run(tmp_path / "run") as run:
        for epoch, figure in enumerate((bars(3, 1), bars(1, 3))):
            save_figure(run, figure, "gates", "valid/gates", epoch)
    pictures = shown(tmp_path / "run", "valid/gates")
    assert list(pictures) == [0, 1]
    assert (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pixels(tmp_path / "run/images/gates.png"), pictures[1])


def test_figure_is_drawn_once(make_run, tmp_path, monkeypatch):
    drawn = []
    draw = Figure.draw
    monkeypatch.setattr(Figure, "draw", lambda figure, renderer: (drawn.append(figure), draw(figure, renderer)))
    with make_run(tmp_path / "run") as run:
        save_figure(run, bars(3, 1), "gates", "valid/gates", 0)
    assert len(drawn) == 1
