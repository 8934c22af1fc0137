"""Figures of a run: written to its images/ and shown in TensorBoard."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from common.run import Run


def save_figure(run: Run, figure: Figure, name: str, tag: str, epoch: int, dpi: int = 110) -> None:
    """Draw the figure once: images/<name>.png, and TensorBoard's <tag> at this epoch."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).save(run.images / f"{name}.png")
    run.board.add_image(tag, pixels, epoch, dataformats="HWC")
