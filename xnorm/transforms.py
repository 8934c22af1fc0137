"""Transforms of whole clips, in the published order: enlarge, crop, flip; then scaling to [-1, 1].

A clip is an array (T, H, W, C), as read: RGB with C = 3, flow with C = 2 (u, v). Cropping and flipping move bytes
alone, so that they come first and the scaling last, on the batch (`scale`): the numbers are those of the published
order, which scales every frame before the crop.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

CROP = 224  # published side
MARGIN = {"rgb": 2, "flow": 0}  # pixels by which the shorter side must exceed the crop
Clips = Mapping[str, np.ndarray]


def smallest_side(modality: str, crop: int = CROP) -> int:
    """What the shorter side is enlarged to: 226 for RGB and 224 for flow, with the published crop."""
    return crop + MARGIN[modality]


def enlarge(clip: np.ndarray, smallest: int) -> np.ndarray:
    """uint8 (T, H, W, C), frames whose shorter side is below `smallest` enlarged to it, in 8 bits and bilinear.

    The factor is 1 + (smallest - m) / m and OpenCV rounds the sizes. Larger frames are returned as they are.
    """
    shorter = min(clip.shape[1:3])
    if shorter >= smallest:
        return clip
    factor = 1 + (smallest - shorter) / shorter
    return np.stack([cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR) for frame in clip])


def scale(frames: Tensor) -> Tensor:
    """uint8 of any shape -> float32 of x / 255 * 2 - 1: in [-1, 1], flow without motion (127.5) at 0.

    (2 x - 255) / 255 in float32 gives, on a CPU, exactly what the published float64 gives when rounded to float32.
    """
    return frames.to(torch.float32).mul_(2).sub_(255).div_(255)


def random_crop(clip: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A square window (T, side, side, C); its row is drawn before its column, each only where there is a choice."""
    height, width = clip.shape[1:3]
    top = rng.integers(0, height - side, endpoint=True) if height != side else 0
    left = rng.integers(0, width - side, endpoint=True) if width != side else 0
    return clip[:, top : top + side, left : left + side]


def random_flip(clip: np.ndarray, rng: np.random.Generator, negate_u: bool = False) -> np.ndarray:
    """Mirrored from left to right, every other time (a draw below 0.5); negate_u: see `mirror`."""
    return mirror(clip, negate_u) if rng.random() < 0.5 else clip


def mirror(clip: np.ndarray, negate_u: bool = False) -> np.ndarray:
    """Left and right exchanged; with negate_u the first channel of a uint8 flow changes its sign too (255 - u)."""
    clip = clip[:, :, ::-1]
    return np.stack([255 - clip[..., 0], clip[..., 1]], axis=-1) if negate_u else clip


def center_crop(clip: np.ndarray, side: int) -> np.ndarray:
    """The window (T, side, side, C) in the middle, offsets rounded half to even."""
    top, left = (round((length - side) / 2) for length in clip.shape[1:3])
    return clip[:, top : top + side, left : left + side]


def to_tensor(clip: np.ndarray) -> Tensor:
    """(T, H, W, C) -> contiguous tensor (C, T, H, W) of the same type."""
    return torch.from_numpy(np.ascontiguousarray(clip.transpose(3, 0, 1, 2)))


@dataclass(frozen=True)
class TrainTransform:
    """Random window and mirroring of a clip's streams.

    side: of the window. shared: one relative window and one mirroring for both streams; as published each stream
    draws its own. flip_u: a mirrored flow's u changes its sign (255 - u); as published it does not.
    """

    side: int = CROP
    shared: bool = False
    flip_u: bool = False

    def __call__(self, clips: Clips, rngs: Mapping[str, np.random.Generator]) -> dict[str, Tensor]:
        """Enlarged clips, uint8 (T, H, W, C) -> uint8 (C, T, side, side).

        rngs: the generator of each stream, so that a stream's draws do not depend on which others are read. The
        published order of draws, from one generator: RGB row, column, mirroring; flow row, column, mirroring.
        """
        cut = self._shared_draws(clips, rngs["rgb"]) if self.shared else self._own_draws(clips, rngs)
        return {key: to_tensor(clip) for key, clip in cut.items()}

    def _own_draws(self, clips: Clips, rngs: Mapping[str, np.random.Generator]) -> dict[str, np.ndarray]:
        return {
            key: random_flip(random_crop(clip, self.side, rngs[key]), rngs[key], self._negates_u(key))
            for key, clip in clips.items()
        }

    def _shared_draws(self, clips: Clips, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The window at the same relative place of each stream: 0 <= top, left < 1 of the offsets that it has."""
        top, left, draw = rng.random(3)
        cut = {}
        for key, clip in clips.items():
            row, column = (int(at * (n - self.side + 1)) for at, n in zip((top, left), clip.shape[1:3], strict=True))
            window = clip[:, row : row + self.side, column : column + self.side]
            cut[key] = mirror(window, self._negates_u(key)) if draw < 0.5 else window
        return cut

    def _negates_u(self, key: str) -> bool:
        return self.flip_u and key == "flow"


@dataclass(frozen=True)
class EvalTransform:
    """The window in the middle, of side `side`."""

    side: int = CROP

    def __call__(self, clips: Clips) -> dict[str, Tensor]:
        """Enlarged clips, uint8 (T, H, W, C) -> uint8 (C, T, side, side)."""
        return {key: to_tensor(center_crop(clip, self.side)) for key, clip in clips.items()}
