"""Image files as arrays: colour, depth and label maps, with errors that name the file.

Read with PIL, because palette images keep their indices there (OpenCV would turn them into colours).
"""

import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from common.errors import UserError

COLOUR_MODES = ("RGB", "L")
DEPTH_MODES = ("I;16", "L", "RGB")
MASK_MODES = ("L", "P")

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


class Header(NamedTuple):
    """What an image file says of itself: sizes in pixels and PIL's mode name."""

    height: int
    width: int
    mode: str


def read_header(path: Path, modes: Collection[str]) -> Header:
    """Size and mode, without reading pixels.

    modes: PIL modes that are accepted.
    Raises UserError for a missing file, one that is no image, and another mode.
    """
    try:
        with Image.open(path) as image:
            found = Header(image.height, image.width, image.mode)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error
    _check_mode(path, found.mode, modes)
    return found


def read_colour(path: Path) -> np.ndarray:
    """uint8 (H, W, 3), RGB order; a grey file is repeated.

    Raises UserError for a missing or damaged file or another mode.
    """
    return _three_channels(_decode(path, COLOUR_MODES))


def read_depth(path: Path) -> np.ndarray:
    """uint16 (16-bit file) or uint8 (8-bit file), (H, W, 3), in the file's own unit; a grey file is repeated.

    Raises UserError for a missing or damaged file or another mode.
    """
    return _three_channels(_decode(path, DEPTH_MODES))


def read_mask(path: Path) -> np.ndarray:
    """uint8 (h, w) label map; a palette file gives its indices.

    Raises UserError for a missing or damaged file or another mode.
    """
    return _decode(path, MASK_MODES)


def _decode(path: Path, modes: Collection[str]) -> np.ndarray:
    try:
        with Image.open(path) as image:
            _check_mode(path, image.mode, modes)
            return np.array(image)
    except _DAMAGE as error:
        raise _unreadable(path, error) from error


def _check_mode(path: Path, mode: str, modes: Collection[str]) -> None:
    if mode not in modes:
        raise UserError(f"{path}: image mode {mode}, expected one of {', '.join(modes)} (PIL's names)")


def _unreadable(path: Path, error: Exception) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: no such image file. Complete the folder or take the sample out of the list")
    return UserError(f"{path}: cannot be read as an image ({error}); the file is damaged or cut short. Copy it again")


def _three_channels(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[:, :, None], 3, axis=2) if array.ndim == 2 else array
