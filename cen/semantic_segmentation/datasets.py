"""What CEN's segmentation trains on: the one place that a new data set touches beside its folder in common.datasets.

A data set is an entry of DATASETS under the name that `--dataset` takes. Its reader gives aligned colour, depth and
labels in the shapes of `RGBDSamples`; everything else that differs between data sets stands in `RGBDDataset`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from cen.semantic_segmentation.transforms import Sample, crop_align_to_mask
from common.datasets.nyudv2.reader import CLASSES, IGNORE, UNITS_PER_METRE, NYUDv2, palette


class RGBDSamples(Protocol):
    """One split, all of its files looked for.

    Item: {"rgb": uint8 (H, W, 3), "depth": integers (H, W, 3), "mask": uint8 (h, w)}.
    """

    folder: Path

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def fingerprint(self) -> str:
        """A hash over the list and the files."""
        ...


@dataclass(frozen=True, eq=False)
class RGBDDataset:
    """What the task needs to know of a data set.

    name: of its folder in common.datasets. reader: called with folder, list file, split ("train" or "val") and the
    number of classes; raises UserError for what is missing or does not fit.
    classes: their names, in the order of the labels. colours: uint8 (256, 3), the colour of each label in pictures.
    ignore: label of pixels without a class in the files, none of the classes'. depth_scale: see `transforms.normalise`.
    align: brings the inputs to the mask's size: `crop_align_to_mask` where masks show the centre of the images,
    `resize_align_to_mask` where they show all of them in another size.
    folder, lists: defaults of the flags; lists by split.
    """

    name: str
    reader: Callable[[Path, Path, str, int], RGBDSamples]
    classes: tuple[str, ...]
    colours: np.ndarray
    ignore: int
    depth_scale: float
    align: Callable[[Sample], Sample]
    folder: str
    lists: Mapping[str, str]


NYUDV2 = RGBDDataset(
    name="nyudv2",
    reader=NYUDv2,
    classes=CLASSES,
    colours=np.roll(palette(IGNORE), -1, axis=0),  # the colour of a class, and black for 255
    ignore=IGNORE,
    depth_scale=1 / UNITS_PER_METRE,
    align=crop_align_to_mask,
    folder="/data/nyud",
    lists={"train": "./data/nyudv2/train.txt", "val": "./data/nyudv2/val.txt"},
)
DATASETS = {dataset.name: dataset for dataset in (NYUDV2,)}
