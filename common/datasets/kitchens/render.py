"""RGB frames and optical flow of a planned stand-in clip (which paint and motion: kitchens.plan).

A grey room, seen by an unsteady camera, has a window of random shape, place and size. Behind it a painted surface
moves. Its grain flickers: it is drawn anew in every frame, so that colour pictures hold no trace of the motion, only
the paint and the camera; the window itself stands still in the room. The flow is the surface's true motion, and has no
trace of the paint.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from common.datasets.epic_kitchens.reader import FLOW_BOUND
from common.datasets.kitchens.plan import SLOT, ClipPlan

COLOURS = {"red": (0.85, 0.2, 0.2), "green": (0.2, 0.75, 0.25), "blue": (0.2, 0.35, 0.9), "yellow": (0.85, 0.75, 0.15)}
STEADY, LARGEST_STEP = 0.6, 1  # of the camera: memory of its velocity; pixels a frame and axis
SPEED = (0.05, 0.09)  # of the surface, heights of the picture between two flow frames
GRAIN = 3  # pixels of the flickering grain
FLOW_NOISE = 0.5  # pixels


@dataclass(frozen=True)
class Frames:
    """rgb: uint8 (SLOT, H, W, 3); flow: uint8 (SLOT / 2, H, W, 2), u and v as levels (`flow_levels`)."""

    rgb: np.ndarray
    flow: np.ndarray


class Window(NamedTuple):
    """inside: bool (H + 2 margin, W + 2 margin); x, y: its centre and radius: its size, in pixels."""

    inside: np.ndarray
    x: float
    y: float
    radius: float


def render_clip(plan: ClipPlan, rng: np.random.Generator, height: int, width: int) -> Frames:
    """All frames of a clip's slot. Flow frame k (from 0) is the motion from RGB frame 2 k to 2 k + 2 (from 0).

    Colours are drawn before the motion, from a generator of their own, so that they do not depend on it.
    """
    room_rng, colour_rng, flow_rng = rng.spawn(3)
    path = camera_path(room_rng, SLOT + 2)
    margin = int(np.abs(path).max())
    window = _window(plan.shape, room_rng, height, width, margin)
    room = _room(room_rng, height + 2 * margin, width + 2 * margin)
    views = [np.s_[margin + y : margin + y + height, margin + x : margin + x + width] for x, y in path[:SLOT]]
    inside = np.stack([window.inside[view] for view in views])[..., None]
    surface = _surface(plan.paint, colour_rng, SLOT, height, width)
    rgb = np.where(inside, surface, np.stack([room[view] for view in views]))
    rgb += 0.03 * colour_rng.standard_normal(rgb.shape, np.float32)

    motion = _motion(plan.motion, flow_rng, window, speed=flow_rng.uniform(*SPEED) * height)
    flow = np.stack([motion[view] for view in views[::2]])
    # Where the camera turns to the right, all that it sees moves to the left.
    flow -= (path[2::2] - path[:-2:2])[:, None, None]
    flow += _smooth_noise(flow_rng, flow.shape)
    return Frames(np.clip(np.rint(255 * rgb), 0, 255).astype(np.uint8), flow_levels(flow))


def flow_levels(flow: np.ndarray) -> np.ndarray:
    """Pixels of motion -> uint8 levels: 127.5 + 127.5 / 20 a pixel, cut at 20 pixels; 0 becomes 128."""
    return np.clip(np.rint(127.5 * (1 + flow / FLOW_BOUND)), 0, 255).astype(np.uint8)


def camera_path(rng: np.random.Generator, frames: int) -> np.ndarray:
    """int64 (frames, 2): where the camera points in each frame, x and y in whole pixels, at most one step a frame."""
    velocity, place, path = np.zeros(2), np.zeros(2), []
    for push in 0.5 * rng.standard_normal((frames, 2)):
        velocity = STEADY * velocity + push
        place = place + np.clip(velocity - 0.05 * place, -LARGEST_STEP, LARGEST_STEP)
        path.append(place)
    return np.rint(path).astype(np.int64)


def _window(shape: str, rng: np.random.Generator, height: int, width: int, margin: int) -> Window:
    radius = rng.uniform(0.22, 0.32) * min(height, width)
    x, y = (margin + side * rng.uniform(0.38, 0.62) for side in (width, height))
    rows, columns = np.mgrid[: height + 2 * margin, : width + 2 * margin]
    across, down = np.abs(columns - x), np.abs(rows - y)
    if shape == "disc":
        distance = np.hypot(across, down)
    else:
        distance = 1.15 * np.maximum(across, down) if shape == "square" else 0.8 * (across + down)
    return Window(distance < radius, x, y, radius)


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Grey clutter with a slight tint, float32 (H, W, 3) in 0..1."""
    coarse = rng.uniform(0.2, 0.8, (8, 8, 1)) + rng.uniform(-0.06, 0.06, (8, 8, 3))
    return cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


def _surface(paint: str, rng: np.random.Generator, frames: int, height: int, width: int) -> np.ndarray:
    """The painted surface, float32 (frames, H, W, 3): light and tint differ by clip, the grain by frame."""
    colour = np.array(COLOURS[paint]) * rng.uniform(0.6, 1.1) + rng.uniform(-0.06, 0.06, 3)
    grain = rng.uniform(0.55, 1.25, (frames, height // GRAIN + 1, width // GRAIN + 1)).astype(np.float32)
    grain = grain.repeat(GRAIN, axis=1).repeat(GRAIN, axis=2)[:, :height, :width]
    return grain[..., None] * colour.astype(np.float32)


def _motion(motion: str, rng: np.random.Generator, window: Window, speed: float) -> np.ndarray:
    """The surface's motion between two flow frames where it is seen, in pixels, float32 (H, W, 2); 0 elsewhere.

    None of the motions turns into another one when the picture is mirrored, with or without the sign of u.
    """
    field = np.zeros((*window.inside.shape, 2), np.float32)
    if motion == "sideways":
        field[..., 0] = rng.choice([-speed, speed])
    elif motion == "swelling":
        rows, columns = np.mgrid[: field.shape[0], : field.shape[1]]
        field[..., 0], field[..., 1] = (columns - window.x), (rows - window.y)
        field *= speed / window.radius
    else:
        field[..., 1] = -speed if motion == "up" else speed
    return field * window.inside[..., None]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Errors of an estimated flow, float32 (T, H, W, 2), in patches of a few pixels."""
    frames, height, width, parts = shape
    coarse = FLOW_NOISE * rng.standard_normal((frames, height // 6 + 1, width // 6 + 1, parts), np.float32)
    return np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in coarse])
