"""What stands where in a stand-in room: a function of (seed, index) alone, whatever the picture's size.

World: metres; the camera's foot is the origin, x to the right, y up from the floor, z towards the back wall.
Things are placed by the slope x / z of the rays that see them, in four columns of the back wall, so that nothing
hides anything else.
"""

import colorsys
from dataclasses import dataclass

import numpy as np

WALL, FLOOR, CABINET, BED, BOOKSHELF, PICTURE, CURTAIN, MIRROR, MAT, CEILING, TELEVISION, WHITEBOARD = (
    *(0, 1, 2, 3, 9, 10, 15, 18, 19, 21, 24, 29),
)
RED, ORANGE, GREEN, CYAN, BLUE = 355, 36, 120, 182, 225
DEEP, SHALLOW, FLAT = (0.55, 0.85), (0.10, 0.18), (0.0, 0.0)

# label: (hue in degrees, saturation, reach into the room in metres)
PATCHES = {
    PICTURE: (ORANGE, 0.80, FLAT),
    WHITEBOARD: (CYAN, 0.40, FLAT),
    BOOKSHELF: (RED, 0.75, DEEP),
    TELEVISION: (BLUE, 0.75, DEEP),
    MIRROR: (BLUE, 0.75, SHALLOW),
    CURTAIN: (RED, 0.75, SHALLOW),
}
COLUMNS = 4
HALF_VIEW = 0.80  # half the picture's width over the focal length: 77 degrees across
P_REAL, P_PATCH, P_MAT, P_DAMAGE = 0.55, 0.85, 0.6, 0.15


@dataclass(frozen=True)
class Patch:
    """A rectangle seen on a surface.

    surface: "back" or "floor"; across: (x0, x1) on that surface; along: (y0, y1) on the wall, (z0, z1) on the floor.
    reach: metres by which its face stands before the wall. The face keeps the outline that the flat rectangle has in
    the picture, so the outline says nothing about the reach.
    """

    label: int
    surface: str
    across: tuple[float, float]
    along: tuple[float, float]
    reach: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """A box on the floor against the back wall, painted like what it hides.

    real: a decoy (False) is painted on wall and floor with the same outline, and has neither depth nor label.
    face_gain: brightness of its front, top and sides relative to what is behind them.
    """

    label: int
    real: bool
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    face_gain: tuple[float, float, float]


@dataclass(frozen=True)
class Room:
    """A box room with a camera near its front wall. Angles in radians, lengths in metres, colours in 0..1."""

    left: float
    right: float
    height: float
    back: float
    eye: float
    yaw: float
    pitch: float
    surface_colours: dict[str, tuple[float, float, float]]
    lamp: tuple[float, float, float]
    patches: tuple[Patch, ...]
    boxes: tuple[Box, ...]
    damage: str
    texture_seed: int


def plan_room(seed: int, index: int) -> Room:
    """Draw room `index` of the stand-in with this seed. damage is "none", "rgb" or "depth"."""
    rng = np.random.default_rng([seed, index])
    back, height, eye = rng.uniform(2.7, 3.3), rng.uniform(2.35, 2.5), rng.uniform(1.15, 1.3)
    left, right = -rng.uniform(2.0, 2.4), rng.uniform(2.0, 2.4)
    yaw, pitch = np.radians(rng.uniform(-4, 4)), np.radians(rng.uniform(-8.5, -5.5))
    view = np.arctan(HALF_VIEW)
    slopes = np.linspace(
        0.97 * max(left / back, np.tan(yaw - view)), 0.97 * min(right / back, np.tan(yaw + view)), COLUMNS + 1
    )
    boxes, cells, free_side = _boxes(rng, slopes, back)
    patches = _wall_patches(rng, slopes * back, height, cells)
    if rng.random() < P_MAT:
        patches.append(_mat(rng, slopes[free_side], eye, back))
    damage = rng.choice(["rgb", "depth", "none"], p=[P_DAMAGE, P_DAMAGE, 1 - 2 * P_DAMAGE])
    return Room(
        left=left,
        right=right,
        height=height,
        back=back,
        eye=eye,
        yaw=yaw,
        pitch=pitch,
        surface_colours=_surface_colours(rng),
        lamp=(rng.uniform(0.6 * left, 0.6 * right), rng.uniform(0.7, 0.95) * height, rng.uniform(0.2, 0.7) * back),
        patches=tuple(patches),
        boxes=boxes,
        damage=str(damage),
        texture_seed=int(rng.integers(2**31)),
    )


def _boxes(
    rng: np.random.Generator, slopes: np.ndarray, back: float
) -> tuple[tuple[Box, ...], list[tuple[int, int]], list[int]]:
    """One bed and one cabinet (or their decoys), the wall cells (row, column) left free, the mat's slope indices."""
    bed_left = rng.random() < 0.5
    bed_columns = (0, 1) if bed_left else (2, 3)
    free_columns = (2, 3) if bed_left else (0, 1)
    cabinet_column = int(rng.choice(free_columns))
    bed = _box(rng, BED, slopes[bed_columns[0]], slopes[bed_columns[1] + 1], back, (0.42, 0.52), (0.6, 0.8))
    cabinet = _box(rng, CABINET, slopes[cabinet_column], slopes[cabinet_column + 1], back, (1.6, 1.9), (0.4, 0.6))
    cells = [(1, column) for column in bed_columns]
    cells += [(row, column) for row in (0, 1) for column in free_columns if column != cabinet_column]
    return (bed, cabinet), cells, [free_columns[0], free_columns[1] + 1]


def _box(
    rng: np.random.Generator,
    label: int,
    slope_low: float,
    slope_high: float,
    back: float,
    tall: tuple[float, float],
    deep: tuple[float, float],
) -> Box:
    front = back - rng.uniform(*deep)
    x_low, x_high = max(slope_low * front, slope_low * back), min(slope_high * front, slope_high * back)
    width = (x_high - x_low) * rng.uniform(0.8, 0.95)
    x = rng.uniform(x_low, x_high - width)
    gain = np.exp(rng.choice([-1, 1], 3) * rng.uniform(0.1, 0.4, 3))
    return Box(
        label,
        real=bool(rng.random() < P_REAL),
        low=(x, 0.0, front),
        high=(x + width, rng.uniform(*tall), back),
        face_gain=tuple(gain),
    )


def _wall_patches(
    rng: np.random.Generator, edges: np.ndarray, height: float, cells: list[tuple[int, int]]
) -> list[Patch]:
    """Different kinds in the free cells; row 0 is the lower one. Kind, place and size are drawn independently."""
    rows = ((0.10, 1.10), (1.18, height - 0.10))
    kinds = rng.permutation(list(PATCHES))[: len(cells)]
    patches = []
    for label, (row, column) in zip(kinds.tolist(), cells, strict=True):
        across = _interval(rng, edges[column], edges[column + 1])
        along = _interval(rng, *rows[row])
        hue, saturation, reach = PATCHES[label]
        if rng.random() < P_PATCH:
            patches.append(Patch(label, "back", across, along, rng.uniform(*reach), _paint(rng, hue, saturation)))
    return patches


def _mat(rng: np.random.Generator, slopes: np.ndarray, eye: float, back: float) -> Patch:
    """A mat on the free half of the floor, nearer than any cabinet and inside the picture."""
    near, far = 1.25 * eye + rng.uniform(0, 0.15), back - rng.uniform(0.62, 0.75)
    low, high = max(slopes[0] * near, slopes[0] * far), min(slopes[1] * near, slopes[1] * far)
    width = (high - low) * rng.uniform(0.45, 0.7)
    start = rng.uniform(low, high - width)
    return Patch(MAT, "floor", (start, start + width), (near, far), 0.0, _paint(rng, GREEN, 0.7))


def _interval(rng: np.random.Generator, low: float, high: float) -> tuple[float, float]:
    length = (high - low) * rng.uniform(0.68, 0.92)
    start = rng.uniform(low, high - length)
    return start, start + length


def _paint(rng: np.random.Generator, hue: float, saturation: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(
        (hue + rng.uniform(-6, 6)) % 360 / 360, saturation + rng.uniform(-0.08, 0.08), rng.uniform(0.65, 0.95)
    )


def _surface_colours(rng: np.random.Generator) -> dict[str, tuple[float, float, float]]:
    """Wall, floor and ceiling: weak tints that no object's colour is near to."""
    return {
        "wall": colorsys.hsv_to_rgb(rng.uniform(0, 1), rng.uniform(0.0, 0.12), rng.uniform(0.5, 0.75)),
        "floor": colorsys.hsv_to_rgb(rng.uniform(0.06, 0.12), rng.uniform(0.2, 0.35), rng.uniform(0.3, 0.5)),
        "ceiling": colorsys.hsv_to_rgb(rng.uniform(0.1, 0.2), rng.uniform(0.0, 0.06), rng.uniform(0.85, 0.98)),
    }
