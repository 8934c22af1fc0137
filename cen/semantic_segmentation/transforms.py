"""Transforms of CEN's segmentation: the published order, filters and roundings (OpenCV).

A sample is a dict: "mask" (h, w) and the inputs ("rgb", "depth") (H, W, 3), arrays of their files' integer
types. Every function returns a new dict. Randomness comes from the generator that is passed in and is drawn
in the published order: scale, mirror, top, left; one draw a sample, shared by all of its arrays.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

Sample = dict[str, np.ndarray]

RGB_MEANS = (123.675, 116.28, 103.53)  # 255 times the ImageNet means


@dataclass(frozen=True)
class Normalisation:
    """Scale of the pixels, mean and deviation of the channels, and the rule for depth (see `normalise`)."""

    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    depth_scale: float = 1 / 5000


def crop_align_to_mask(sample: Sample) -> Sample:
    """Cut the centre of every input to the mask's size; an odd surplus loses one more row or column at the end."""
    height, width = sample["mask"].shape
    out = dict(sample)
    for key in _inputs(sample):
        top, left = (sample[key].shape[0] - height) // 2, (sample[key].shape[1] - width) // 2
        out[key] = sample[key][top : top + height, left : left + width]
    return out


def resize_align_to_mask(sample: Sample) -> Sample:
    """Resize square inputs to the square mask's side: the published way for every data set but NYUDv2.

    A data set whose masks show the whole image in another size names it as its `align` (datasets.py).
    """
    side = sample["mask"].shape[0]
    out = dict(sample)
    for key in _inputs(sample):
        factor = side / sample[key].shape[0]
        out[key] = _resize(sample[key], factor, key)
    return out


def resize_and_scale(
    sample: Sample,
    rng: np.random.Generator,
    side: int,
    low_scale: float,
    high_scale: float,
    shorter: bool = True,
) -> Sample:
    """Resize all arrays by one factor, uniform in [low_scale, high_scale).

    The factor is raised so that the shorter side of rgb keeps at least `side` pixels; with shorter=False it
    is lowered so that the longer side has at most that many: the published class's other mode, which no published
    command uses, kept since a golden case holds it.
    """
    factor = rng.uniform(low_scale, high_scale)
    sides = sample["rgb"].shape[:2]
    if shorter and min(sides) * factor < side:
        factor = side / min(sides)
    elif not shorter and max(sides) * factor > side:
        factor = side / max(sides)
    return {key: _resize(array, factor, key) for key, array in sample.items()}


def pad(sample: Sample, size: int, values: Sequence[float], ignore_label: int, zero_depth: bool = False) -> Sample:
    """Pad to at least size x size, the same on both sides (so an odd shortage gives one pixel more).

    values: one for each channel, cut to the arrays' integer type, and written into depth as into rgb: the
    authors' code does that before depth is scaled. zero_depth=True pads depth with 0, "no measurement".
    """
    height, width = sample["mask"].shape
    rows, columns = max(0, (size - height + 1) // 2), max(0, (size - width + 1) // 2)
    if rows == columns == 0:
        return dict(sample)
    out = {}
    for key, array in sample.items():
        constants = [ignore_label] if key == "mask" else values
        if zero_depth and key == "depth":
            constants = [0] * len(values)
        out[key] = _pad(array, rows, columns, constants)
    return out


def _pad(array: np.ndarray, rows: int, columns: int, constants: Sequence[float]) -> np.ndarray:
    height, width = array.shape[:2]
    padded = np.empty((height + 2 * rows, width + 2 * columns, *array.shape[2:]), array.dtype)
    padded[...] = np.asarray(constants).astype(array.dtype)
    padded[rows : rows + height, columns : columns + width] = array
    return padded


def random_mirror(sample: Sample, rng: np.random.Generator) -> Sample:
    """Flip everything horizontally, every other time."""
    if rng.integers(2) == 1:
        return {key: array[:, ::-1] for key, array in sample.items()}
    return dict(sample)


def random_crop(sample: Sample, rng: np.random.Generator, crop_size: int) -> Sample:
    """Cut a random square out of everything; an odd size loses one, a larger one than the arrays is theirs."""
    size = crop_size - crop_size % 2
    height, width = sample["mask"].shape
    new_height, new_width = min(height, size), min(width, size)
    top = rng.integers(height - new_height + 1)
    left = rng.integers(width - new_width + 1)
    return {key: array[top : top + new_height, left : left + new_width] for key, array in sample.items()}


def resize_inputs(sample: Sample, size: int | None) -> Sample:
    """Resize the inputs, not the mask, by size / height of rgb; None leaves them."""
    if size is None:
        return dict(sample)
    factor = size / sample["rgb"].shape[0]
    return {key: array if key == "mask" else _resize(array, factor, key) for key, array in sample.items()}


def normalise(sample: Sample, norm: Normalisation) -> Sample:
    """Pixels to float64: (x * scale - mean) / std for rgb and any other input but depth.

    depth by `norm.depth_scale`: > 0 multiplies; -1 takes ln(1 + x); -2 maps min..max to 0..255; any other
    value leaves it.
    """
    mean, std = np.asarray(norm.mean), np.asarray(norm.std)
    out = dict(sample)
    for key in _inputs(sample):
        array = sample[key].astype(np.float64)
        out[key] = _depth(array, norm.depth_scale) if key == "depth" else (array * norm.scale - mean) / std
    return out


def _depth(depth: np.ndarray, scale: float) -> np.ndarray:
    if scale > 0:
        return depth * scale
    if scale == -1:
        return np.log1p(depth)
    if scale == -2:
        low, high = depth.min(), depth.max()
        return (depth - low) * 255 / (high - low)
    return depth


def to_tensor(sample: Sample) -> dict[str, Tensor]:
    """Inputs to float32 (3, H, W), the mask to int64 (h, w)."""
    return {
        key: torch.from_numpy(array.astype(np.int64))
        if key == "mask"
        else torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), dtype=np.float32))
        for key, array in sample.items()
    }


def _inputs(sample: Sample) -> list[str]:
    return [key for key in sample if key != "mask"]


def _resize(array: np.ndarray, factor: float, key: str) -> np.ndarray:
    """By OpenCV, sizes rounded half to even: depth and mask nearest, all else cubic."""
    filter_ = cv2.INTER_NEAREST if key in ("depth", "mask") else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(array), None, fx=factor, fy=factor, interpolation=filter_)


@dataclass(frozen=True)
class TrainTransform:
    """The training chain, in the published order.

    align: brings the inputs to the mask's size. ignore_in_files: label of ignored pixels in the masks as read;
    ignore_label: in the mask that is returned.
    """

    shorter_side: int
    low_scale: float
    high_scale: float
    crop_size: int
    input_size: int | None
    ignore_label: int
    norm: Normalisation
    ignore_in_files: int
    align: Callable[[Sample], Sample] = crop_align_to_mask
    zero_depth_padding: bool = False

    def __call__(self, sample: Sample, rng: np.random.Generator) -> dict[str, Tensor]:
        """A sample as read -> {"rgb", "depth": float32 (3, H, W), "mask": int64 (h, w)}."""
        sample = self.align(sample)
        sample = resize_and_scale(sample, rng, self.shorter_side, self.low_scale, self.high_scale)
        sample = pad(sample, self.crop_size, RGB_MEANS, self.ignore_label, self.zero_depth_padding)
        sample = random_mirror(sample, rng)
        sample = random_crop(sample, rng, self.crop_size)
        if self.ignore_label != self.ignore_in_files:
            ignored = sample["mask"] == self.ignore_in_files
            sample["mask"] = np.where(ignored, np.uint8(self.ignore_label), sample["mask"])
        sample = resize_inputs(sample, self.input_size)
        return to_tensor(normalise(sample, self.norm))


@dataclass(frozen=True)
class ValTransform:
    """The validation chain: aligned, optionally resized, normalised."""

    input_size: int | None
    norm: Normalisation
    align: Callable[[Sample], Sample] = crop_align_to_mask

    def __call__(self, sample: Sample) -> dict[str, Tensor]:
        """A sample as read -> {"rgb", "depth": float32 (3, H, W), "mask": int64 (h, w)}."""
        sample = resize_inputs(self.align(sample), self.input_size)
        return to_tensor(normalise(sample, self.norm))
