"""Pictures of predictions: the published panel of --evaluate, and comparisons with a legend while training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from cen.semantic_segmentation.data import Batch
from cen.semantic_segmentation.streams import stream_names
from cen.semantic_segmentation.transforms import Normalisation
from common.figures import save_figure
from common.run import Run

Row = list[tuple[str, np.ndarray]]  # a sample's pictures with their titles
SHOWN = 4  # validation samples in the pictures of a training run


@dataclass(frozen=True, eq=False)
class Look:
    """How samples are drawn.

    inputs: of the network's streams, in order; norm: how they were normalised, which is undone.
    classes: names; colours: uint8 (256, 3), of each label; ignore_label: what the legend calls ignored.
    depth_in_colour: the published panel draws depth in the map that its code asks for (magma), not in grey.
    """

    inputs: Sequence[str]
    norm: Normalisation
    classes: Sequence[str]
    colours: np.ndarray
    ignore_label: int
    depth_in_colour: bool = False


def draw_panel(look: Look, inputs: Mapping[str, np.ndarray], mask: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """The published panel, side by side: inputs, label map, prediction: uint8 (H, (P + 2) W, 3).

    inputs: the network's inputs (3, H, W) in order, by the streams' names. rgb is x * std + mean, times 255; depth is
    divided by its maximum or 10, whichever is larger. Reals become uint8 without clipping, modulo 256, as in the
    authors' code.
    """
    panels = []
    for name, array in inputs.items():
        pixels = array.transpose(1, 2, 0).astype(np.float64)
        if name.startswith("depth"):
            panels.append(_magma(pixels) if look.depth_in_colour else _wrap(pixels / max(pixels.max(), 10) * 255))
        else:
            panels.append(_wrap((pixels * np.asarray(look.norm.std) + np.asarray(look.norm.mean)) * 255))
    return np.concatenate([*panels, *(look.colours[labels.astype(np.uint8)] for labels in (mask, prediction))], axis=1)


def _wrap(values: np.ndarray) -> np.ndarray:
    return (values.astype(np.int64) % 256).astype(np.uint8)


def _magma(depth: np.ndarray) -> np.ndarray:
    grey = (depth[..., 0] / max(depth.max(), 10) * 255).clip(0, 255).astype(np.uint8)
    return cv2.applyColorMap(grey, cv2.COLORMAP_MAGMA)[..., ::-1]


def draw_panels(run: Run, look: Look, batch: Batch, predicted: Tensor, shown: int) -> None:
    """images/validate_<index>.png of a batch: the panel of each sample (the published script leaves the same ones).

    predicted: labels (B, H, W). shown: only samples before this place in the list; -1: all.
    """
    for position, index in enumerate(batch["index"].tolist()):
        if 0 <= shown <= index:
            continue
        names = stream_names(look.inputs)
        inputs = {name: batch[key][position].numpy() for name, key in zip(names, look.inputs, strict=True)}
        mask, prediction = batch["mask"][position].numpy(), predicted[position].cpu().numpy()
        path = run.images / f"validate_{index}.png"
        write_picture(path, draw_panel(look, inputs, mask, prediction))
        run.print(f"imwrite at {path}")


def write_picture(path: Path, image: np.ndarray) -> None:
    """uint8 RGB (H, W, 3) to a file."""
    Image.fromarray(image).save(path)


class ValidationPictures:
    """Some samples of every validation: inputs, truth, and the prediction of each stream and of the ensemble.

    samples: how many there are; the ones shown are evenly spaced over them.
    """

    def __init__(self, run: Run, look: Look, samples: int) -> None:
        self.run, self.look = run, look
        shown = min(SHOWN, samples)
        self.wanted = {round(i * (samples - 1) / max(1, shown - 1)) for i in range(shown)}
        self.rows: list[Row] = []
        self.labels: set[int] = set()

    def see(self, batch: Batch, maps: Sequence[Tensor]) -> None:
        """Keep the wanted samples of a batch (of the first process's share)."""
        if not self.run.procs.first:
            return
        for position, index in enumerate(batch["index"].tolist()):
            if index in self.wanted:
                sample = {key: batch[key][position] for key in ("rgb", "depth", "mask")}
                self._keep(sample, [prediction[position].cpu().numpy() for prediction in maps])

    def _keep(self, sample: dict[str, Tensor], predictions: Sequence[np.ndarray]) -> None:
        look = self.look
        row = [("rgb", _as_image(sample["rgb"], look.norm)), ("depth", sample["depth"][0].numpy())]
        titles = ["truth", *(f"prediction: {name}" for name in (*stream_names(look.inputs), "ens"))]
        for title, labels in zip(titles, [sample["mask"].numpy(), *predictions], strict=True):
            self.labels |= set(np.unique(labels).tolist()) - {look.ignore_label}
            row.append((title, look.colours[labels.astype(np.uint8)]))
        self.rows.append(row)

    def draw(self, epoch: int) -> None:
        """images/validation_epoch_<epoch>.png and TensorBoard; forgets the samples."""
        if self.rows:
            figure = _comparison(self.rows, self.look, sorted(self.labels), f"Validation after epoch {epoch}")
            save_figure(self.run, figure, f"validation_epoch_{epoch:04d}", "validation/predictions", epoch)
        self.rows, self.labels = [], set()


def _as_image(tensor: Tensor, norm: Normalisation) -> np.ndarray:
    """A normalised rgb input (3, H, W) back as uint8 (H, W, 3), clipped."""
    image = tensor.permute(1, 2, 0).double().numpy() * np.asarray(norm.std) + np.asarray(norm.mean)
    return (image * 255).round().clip(0, 255).astype(np.uint8)


def _comparison(rows: Sequence[Row], look: Look, labels: Sequence[int], title: str) -> Figure:
    columns = len(rows[0])
    height, width = rows[0][0][1].shape[:2]
    figure = Figure(figsize=(2.6 * columns, 2.6 * height / width * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, (name, image) in zip(line, row, strict=True):
            axis.imshow(image, cmap="magma" if image.ndim == 2 else None, interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(name, fontsize=9)
    names = [look.classes[label] if label < len(look.classes) else str(label) for label in labels]
    patches = [
        Patch(facecolor=look.colours[label] / 255, edgecolor="grey", label=name)
        for label, name in zip(labels, names, strict=True)
    ]
    patches.append(Patch(facecolor="black", label="ignored"))
    figure.legend(handles=patches, loc="outside lower center", ncols=10, fontsize=8, frameon=False)
    figure.suptitle(title)
    return figure
