"""NYU Depth V2 with 40 classes, in the layout rgb/ masks/ depth/ with tab-separated lists.

    FOLDER/rgb/NNNNNN.png     8-bit colour, (H, W)
    FOLDER/depth/NNNNNN.png   16-bit grey, metres x 5000, 0 = none (an 8-bit file is taken as it is)
    FOLDER/masks/NNNNNN.png   8-bit grey or palette, (h, w) with h <= H and w <= W; classes 0..39, 255 = ignore
    LIST                      one sample a line: rgb/NNNNNN.png, masks/NNNNNN.png, depth/NNNNNN.png, between tabs;
                              or the data set's own splits.mat (trainNdxs and testNdxs, numbers from 1)

No torch here. Aligning image and mask, scaling and cropping belong to the papers' transforms.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from common.datasets.images import (
    COLOUR_MODES,
    DEPTH_MODES,
    MASK_MODES,
    Header,
    read_colour,
    read_depth,
    read_header,
    read_mask,
)
from common.errors import UserError

# fmt: off
CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf",
    "picture", "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat",
    "clothes", "ceiling", "books", "refridgerator", "television", "paper", "towel", "shower curtain", "box",
    "whiteboard", "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag",
    "otherstructure", "otherfurniture", "otherprop",
)
# fmt: on
IGNORE = 255
UNITS_PER_METRE = 5000  # of the 16-bit depth files
MAX_SURPLUS = 0.15
SPLIT_KEYS = {"train": "trainNdxs", "val": "testNdxs"}


class Entry(NamedTuple):
    """One sample of a list: paths relative to the data folder."""

    rgb: str
    mask: str
    depth: str


class Sizes(NamedTuple):
    """Headers of one sample's three files."""

    rgb: Header
    mask: Header
    depth: Header

    def surplus(self, key: str) -> tuple[int, int]:
        """Rows and columns that the image `key` ("rgb" or "depth") has beyond the mask."""
        image = getattr(self, key)
        return image.height - self.mask.height, image.width - self.mask.width


class NYUDv2(Sequence):
    """Samples of one list, in the list's order.

    folder: holds rgb/, masks/, depth/; list_file: tab-separated lines, or splits.mat with split "train" or "val".
    Item: {"rgb": uint8 (H, W, 3), "depth": uint16 or uint8 (H, W, 3), "mask": uint8 (h, w)}.
    Opening reads headers only. It raises UserError for a missing folder, list or file, a malformed or empty list,
    a file that is no image of the expected kind, and sizes that do not fit together (`odd_sizes`).
    Reading an item raises UserError for a damaged file and for a label outside 0..num_classes-1 and 255.
    """

    def __init__(
        self,
        folder: str | Path,
        list_file: str | Path,
        split: str | None = None,
        num_classes: int = len(CLASSES),
    ) -> None:
        self.folder = Path(folder)
        self.num_classes = num_classes
        self.list_file = Path(list_file)
        check_folder(self.folder)
        self.entries = read_list(self.list_file, split)
        sizes = [read_sizes(self.folder, entry, f"{list_file}:{i + 1}") for i, entry in enumerate(self.entries)]
        odd = odd_sizes(self.folder, self.entries, sizes)
        if odd:
            raise UserError(odd[0])

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:  # type: ignore[override]  # no slices
        return read_sample(self.folder, self.entries[index], self.num_classes)

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) over the list's lines and the name and size in bytes of every file."""
        digest = hashlib.sha256()
        for entry in self.entries:
            sizes = [(self.folder / name).stat().st_size for name in entry]
            digest.update(repr((tuple(entry), sizes)).encode())
        return digest.hexdigest()


def check_folder(folder: Path) -> None:
    """Raises UserError where the data folder or one of rgb/, masks/, depth/ is missing."""
    if all((folder / name).is_dir() for name in ("rgb", "masks", "depth")):
        return
    raise UserError(
        f"{folder}: {'lacks rgb/, masks/ or depth/' if folder.is_dir() else 'no such folder'}; expected the layout "
        "rgb/NNNNNN.png masks/NNNNNN.png depth/NNNNNN.png. The real data (NYU Depth V2, images 000001 to 001449) come "
        f"with the official release of the paper; a stand-in: python -m common.standins nyudv2 {folder}"
    )


def read_list(list_file: str | Path, split: str | None = None) -> list[Entry]:
    """The list's samples in order; entry i stands on line i + 1.

    split: "train" or "val", needed for splits.mat, without meaning for a text list (which is one split).
    Raises UserError for a missing, unreadable, malformed or empty list.
    """
    list_file = Path(list_file)
    if not list_file.is_file():
        raise UserError(
            f"{list_file}: no such list file; expected lines rgb/NNNNNN.png<TAB>masks/NNNNNN.png<TAB>depth/NNNNNN.png "
            "as in the official release of the paper, or splits.mat"
        )
    entries = _read_splits(list_file, split) if list_file.suffix == ".mat" else _read_lines(list_file)
    if not entries:
        raise UserError(f"{list_file}: the list is empty; expected at least one sample")
    return entries


def _read_lines(list_file: Path) -> list[Entry]:
    try:
        lines = list_file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{list_file}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from error
    entries = []
    for number, line in enumerate(lines, start=1):
        columns = [column.strip() for column in line.split("\t")]
        if len(columns) != 3 or not all(columns):
            raise UserError(
                f"{list_file}:{number}: found {line[:200]!r}, expected three paths between tabs: rgb, mask, depth"
            )
        entries.append(Entry(*columns))
    return entries


def _read_splits(list_file: Path, split: str | None) -> list[Entry]:
    if split not in SPLIT_KEYS:
        raise UserError(f"{list_file}: holds both splits; split is {split!r}, expected one of {', '.join(SPLIT_KEYS)}")
    key = SPLIT_KEYS[split]
    try:
        numbers = scipy.io.loadmat(list_file)[key]
    except KeyError as error:
        raise UserError(f"{list_file}: no array {key!r}; expected the data set's splits.mat") from error
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise UserError(f"{list_file}: cannot be read as a MATLAB file ({error})") from error
    names = [f"{int(number):06d}.png" for number in numbers.ravel()]
    return [Entry(f"rgb/{name}", f"masks/{name}", f"depth/{name}") for name in names]


def read_sizes(folder: Path, entry: Entry, where: str) -> Sizes:
    """Headers of one sample's files, each image checked against the mask.

    where: list file and line, for the message.
    Raises UserError for a missing file, a file that is no image of the expected kind, and an image that is smaller
    than the mask or larger by more than MAX_SURPLUS of its side.
    """
    try:
        sizes = Sizes(
            rgb=read_header(folder / entry.rgb, COLOUR_MODES),
            mask=read_header(folder / entry.mask, MASK_MODES),
            depth=read_header(folder / entry.depth, DEPTH_MODES),
        )
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    for key in ("rgb", "depth"):
        image = getattr(sizes, key)
        rows, columns = sizes.surplus(key)
        if min(rows, columns) < 0 or rows > MAX_SURPLUS * image.height or columns > MAX_SURPLUS * image.width:
            raise UserError(
                f"{where}: {folder / entry.mask}: mask of {_size(sizes.mask)} for {key} of {_size(image)}; expected "
                f"the image's size, or up to {MAX_SURPLUS:.0%} less on a side (a mask cut around its centre)"
            )
    return sizes


def odd_sizes(folder: Path, entries: Sequence[Entry], sizes: Sequence[Sizes]) -> list[str]:
    """Messages for the samples whose rgb or depth exceeds the mask by other amounts than in most samples.

    One release cuts all its masks alike, so a difference means files of different releases.
    """
    messages = []
    for key in ("rgb", "depth"):
        usual = Counter(size.surplus(key) for size in sizes).most_common(1)[0][0] if sizes else None
        messages += [
            f"{folder / entry.mask}: mask of {_size(size.mask)} for {key} of {_size(getattr(size, key))}, larger by "
            f"{size.surplus(key)} rows and columns; by {usual} in most samples. Take all files from one release"
            for entry, size in zip(entries, sizes, strict=True)
            if size.surplus(key) != usual
        ]
    return messages


def read_sample(folder: Path, entry: Entry, num_classes: int = len(CLASSES)) -> dict[str, np.ndarray]:
    """Decode one sample (item of NYUDv2). Raises UserError for a damaged or missing file or an unknown label."""
    return {
        "rgb": read_colour(folder / entry.rgb),
        "depth": read_depth(folder / entry.depth),
        "mask": read_labels(folder / entry.mask, num_classes),
    }


def read_labels(path: Path, num_classes: int = len(CLASSES)) -> np.ndarray:
    """uint8 (h, w), 0..num_classes-1 and 255. Raises UserError for a damaged or missing file or another label."""
    mask = read_mask(path)
    unknown = (mask >= num_classes) & (mask != IGNORE)
    if unknown.any():
        raise UserError(
            f"{path}: label {mask[unknown].min()} found, expected 0..{num_classes - 1} or {IGNORE} (ignore). "
            f"Labels that start at 1 have to be lowered by one, with 0 becoming {IGNORE}"
        )
    return mask


def palette(classes: int = len(CLASSES)) -> np.ndarray:
    """Colours to draw labels with, uint8 (classes + 1, 3): row 0 black for void, row c + 1 for class c (VOC's rule).

    Bits 0, 1 and 2 of the row number are the highest bits of red, green and blue, bits 3 to 5 the next ones.
    """
    rows = np.arange(classes + 1)
    colours = np.zeros((len(rows), 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= ((rows >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return colours


def _size(header: Header) -> str:
    return f"{header.height}x{header.width}"
