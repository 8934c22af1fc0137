"""Pictures of predictions: the published panel of --evaluate, and comparisons with a legend while training."""

from argparse import Namespace
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from cen.semantic_segmentation.data import as_image
from cen.semantic_segmentation.flags import normalisation
from cen.semantic_segmentation.streams import stream_names
from common.datasets.nyudv2.reader import CLASSES, palette
from common.figures import save_figure
from common.run import Run

SHOWN = 4  # validation samples in the pictures of a training run


def validation_image(
    inputs: dict[str, np.ndarray],
    mask: np.ndarray,
    prediction: np.ndarray,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    depth_in_colour: bool = False,
) -> np.ndarray:
    """The published panel, side by side: inputs, label map, prediction: uint8 (H, (P + 2) W, 3).

    inputs: the network's inputs (3, H, W) in order. rgb is x * std + mean, times 255; depth is divided by its
    maximum or 10, whichever is larger. Reals become uint8 without clipping, modulo 256, as in the authors'
    code. Depth is grey, as published; depth_in_colour draws it in the map that the code asks for (magma).
    """
    panels = []
    for name, array in inputs.items():
        pixels = array.transpose(1, 2, 0).astype(np.float64)
        if name.startswith("depth"):
            panels.append(_magma(pixels) if depth_in_colour else _wrap(pixels / max(pixels.max(), 10) * 255))
        else:
            panels.append(_wrap((pixels * np.asarray(std) + np.asarray(mean)) * 255))
    return np.concatenate([*panels, _voc_colours(mask), _voc_colours(prediction)], axis=1)


def _wrap(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.int64) % 256).astype(np.uint8)


def _magma(depth: np.ndarray) -> np.ndarray:
    grey = (depth[..., 0] / max(depth.max(), 10) * 255).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA)[..., ::-1]


def _voc_colours(labels: np.ndarray) -> np.ndarray:
    """The PASCAL-VOC colour at (label + 1) modulo 256: the NYU palette, with 255 as black."""
    return palette(255)[labels.astype(np.uint8) + np.uint8(1)]


def write_picture(path: Path, image: np.ndarray) -> None:
    """uint8 RGB (H, W, 3) to a file."""
    Image.fromarray(image).save(path)


class ValidationPictures:
    """Some samples of every validation: inputs, truth, and the prediction of each stream and of the ensemble."""

    def __init__(self, run: Run, args: Namespace, samples: int) -> None:
        self.run, self.args = run, args
        shown = min(SHOWN, samples)
        self.wanted = {round(i * (samples - 1) / max(1, shown - 1)) for i in range(shown)}
        self.rows: list[list[tuple[str, np.ndarray]]] = []
        self.classes: set[int] = set()

    def see(self, batch: dict[str, Tensor], maps: list[Tensor]) -> None:
        """Keep the wanted samples of a batch (of the first process's share)."""
        if not self.run.procs.first:
            return
        for position, index in enumerate(batch["index"].tolist()):
            if index in self.wanted:
                sample = {key: batch[key][position] for key in ("rgb", "depth", "mask")}
                self._keep(sample, [prediction[position].cpu().numpy() for prediction in maps])

    def _keep(self, sample: dict[str, Tensor], predictions: list[np.ndarray]) -> None:
        norm, truth = normalisation(self.args), sample["mask"].numpy()
        row = [("rgb", as_image(sample["rgb"], norm.mean, norm.std)), ("depth", sample["depth"][0].numpy())]
        names = [*stream_names(self.args.input), "ens"]
        coloured = [(f"prediction: {name}", map_) for name, map_ in zip(names, predictions, strict=True)]
        for title, labels in [("truth", truth), *coloured]:
            self.classes |= set(np.unique(labels).tolist()) - {self.args.ignore_label}
            row.append((title, _voc_colours(labels)))
        self.rows.append(row)

    def write(self, epoch: int) -> None:
        """images/validation_epoch_<epoch>.png and TensorBoard; forgets the samples."""
        if self.rows:
            figure = _comparison(self.rows, sorted(self.classes), f"Validation after epoch {epoch}")
            save_figure(self.run, figure, f"validation_epoch_{epoch:04d}", "validation/predictions", epoch)
        self.rows, self.classes = [], set()


def _comparison(rows: list[list[tuple[str, np.ndarray]]], classes: list[int], title: str) -> Figure:
    columns = len(rows[0])
    height, width = rows[0][0][1].shape[:2]
    figure = Figure(figsize=(2.6 * columns, 2.6 * height / width * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, (name, image) in zip(line, row, strict=True):
            axis.imshow(image, cmap="magma" if image.ndim == 2 else None, interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(name, fontsize=9)
    colours = palette(255) / 255
    patches = [
        Patch(facecolor=colours[c + 1], edgecolor="grey", label=CLASSES[c] if c < len(CLASSES) else str(c))
        for c in classes
    ]
    patches.append(Patch(facecolor="black", label="ignored"))
    figure.legend(handles=patches, loc="outside lower center", ncols=10, fontsize=8, frameon=False)
    figure.suptitle(title)
    return figure
