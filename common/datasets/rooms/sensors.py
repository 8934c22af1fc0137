"""The camera and the depth sensor of the stand-in rooms: noise, holes, and the damage of some rooms."""

import cv2
import numpy as np

from common.datasets.nyudv2.reader import UNITS_PER_METRE


def sense_colour(colour: np.ndarray, damaged: bool, rng: np.random.Generator) -> np.ndarray:
    """float (H, W, 3) in 0..1 -> uint8 (H, W, 3). Damaged: nearly dark, with noise as strong as what is left."""
    gain, noise = (rng.uniform(0.03, 0.08), 0.06) if damaged else (1.0, 0.015)
    seen = gain * colour + noise * rng.standard_normal(colour.shape)
    return np.clip(np.rint(255 * seen), 0, 255).astype(np.uint8)


def sense_depth(metres: np.ndarray, damaged: bool, rng: np.random.Generator) -> np.ndarray:
    """float (H, W) metres along the optical axis -> uint16 (H, W), metres x 5000, 0 = none.

    Noise grows with the square of the distance (1 cm at 3 m); a few small holes.
    Damaged: about 60 % holes, and noise of 0.5 m on the rest.
    """
    noise = 0.5 if damaged else 0.0011 * metres**2
    seen = metres + noise * rng.standard_normal(metres.shape)
    seen[_blobs(metres.shape, 0.6 if damaged else 0.015, rng)] = 0
    return np.clip(np.rint(UNITS_PER_METRE * seen), 0, 65535).astype(np.uint16)


def _blobs(shape: tuple[int, int], share: float, rng: np.random.Generator) -> np.ndarray:
    """Boolean (H, W), true on about `share` of the pixels, in patches an eighth of the height in size or less."""
    coarse = rng.standard_normal((12, 16)).astype(np.float32)
    field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return field > np.quantile(field, 1 - share)
