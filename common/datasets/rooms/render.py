"""Ray casting of a planned room into colour, depth and labels (what stands where: rooms.plan).

Colour is computed without the objects' relief, from the surface behind them, so that nothing in it tells how far
a thing reaches into the room; depth is computed without the paint. That is what makes the planted truth exact.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from common.datasets.nyudv2.reader import IGNORE
from common.datasets.rooms.plan import CEILING, FLOOR, HALF_VIEW, WALL, Box, Patch, Room, plan_room
from common.datasets.rooms.sensors import sense_colour, sense_depth

SURFACES = ("wall", "floor", "ceiling")
SURFACE_LABELS = np.array([WALL, FLOOR, CEILING], np.uint8)


@dataclass(frozen=True)
class Pictures:
    """A rendered room, arrays of one size (H, W).

    rgb: uint8 (H, W, 3); depth: uint16, metres x 5000, 0 = none; mask: uint8, 255 on objects' borders.
    decoys: uint8, the class whose decoy is painted there, 255 elsewhere: known to the generator, in no file.
    """

    rgb: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    decoys: np.ndarray


@dataclass(frozen=True)
class Hit:
    """What each ray of an empty room meets, arrays (H, W) and (H, W, 3), metres.

    surface: index into SURFACES; across, along: the surface's own coordinates; normal: towards the room.
    """

    point: np.ndarray
    distance: np.ndarray
    surface: np.ndarray
    across: np.ndarray
    along: np.ndarray
    normal: np.ndarray


def render_room(seed: int, index: int, height: int = 480, width: int = 640) -> Pictures:
    """Room `index` of the stand-in with this seed; the room is the same in every size."""
    return render_plan(plan_room(seed, index), np.random.default_rng([seed, index, height, width]), height, width)


def render_plan(room: Room, rng: np.random.Generator, height: int, width: int) -> Pictures:
    """The pictures of a planned room; rng makes the sensors' noise."""
    rays, forward = camera_rays(room, height, width)
    hit = _meet_surfaces(room, rays)
    labels, distance = SURFACE_LABELS[hit.surface], hit.distance.copy()
    colour = np.array([room.surface_colours[name] for name in SURFACES])[hit.surface]
    for patch in room.patches:
        inside = _patch_area(patch, room, hit)
        colour[inside] = patch.colour
        labels[inside] = patch.label
        distance[inside] *= 1 - patch.reach / room.back
    colour *= (_texture(room, hit) * _light(room, hit))[:, :, None]
    decoys = np.full((height, width), IGNORE, np.uint8)
    for box in room.boxes:
        face, reached = _meet_box(box, room, rays)
        inside = face >= 0
        colour[inside] *= np.array(box.face_gain)[face[inside], None]
        (labels if box.real else decoys)[inside] = box.label
        if box.real:
            distance[inside] = reached[inside]
    return Pictures(
        rgb=sense_colour(colour, room.damage == "rgb", rng),
        depth=sense_depth(distance * (rays @ forward), room.damage == "depth", rng),
        mask=_ignore_borders(labels),
        decoys=decoys,
    )


def camera_rays(room: Room, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """World directions of the pixels, float64 (H, W, 3), of length 1, and the optical axis (3,).

    A depth z (metres along the axis) in a pixel with direction r is the point eye + r z / (r . axis).
    """
    step = 2 * HALF_VIEW / width
    right, up = np.meshgrid((np.arange(width) + 0.5 - width / 2) * step, (height / 2 - np.arange(height) - 0.5) * step)
    axes = _camera_axes(room)
    rays = np.stack([right, up, np.ones_like(up)], axis=-1) @ axes
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True), axes[2]


def _camera_axes(room: Room) -> np.ndarray:
    """Rows: the camera's right, up and forward in world coordinates."""
    sin_yaw, cos_yaw, sin_pitch, cos_pitch = np.sin(room.yaw), np.cos(room.yaw), np.sin(room.pitch), np.cos(room.pitch)
    forward = np.array([sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch])
    right = np.array([cos_yaw, 0.0, -sin_yaw])
    return np.stack([right, np.cross(forward, right), forward])


def _meet_surfaces(room: Room, rays: np.ndarray) -> Hit:
    """First of back wall, floor, ceiling, left and right wall along each ray."""
    x, y, z = np.moveaxis(rays, -1, 0)
    with np.errstate(divide="ignore"):
        reach = np.stack([room.back / z, -room.eye / y, (room.height - room.eye) / y, room.left / x, room.right / x])
    reach[reach <= 0] = np.inf
    which = reach.argmin(axis=0)
    distance = np.take_along_axis(reach, which[None], axis=0)[0]
    point = rays * distance[:, :, None] + [0.0, room.eye, 0.0]
    normals = np.array([[0, 0, -1], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0]], float)
    return Hit(
        point,
        distance,
        surface=np.array([0, 1, 2, 0, 0])[which],
        across=np.where(which >= 3, point[..., 2], point[..., 0]),
        along=np.where((which == 1) | (which == 2), point[..., 2], point[..., 1]),
        normal=normals[which],
    )


def _patch_area(patch: Patch, room: Room, hit: Hit) -> np.ndarray:
    """Boolean (H, W): the rays that meet the patch's rectangle on its surface."""
    on_back = hit.point[..., 2] > room.back - 1e-6
    on_surface = on_back if patch.surface == "back" else hit.surface == SURFACES.index("floor")
    across = (hit.across >= patch.across[0]) & (hit.across < patch.across[1])
    return on_surface & across & (hit.along >= patch.along[0]) & (hit.along < patch.along[1])


def _meet_box(box: Box, room: Room, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Face met first, int (H, W): 0 front, 1 top, 2 side, -1 none; and the distance along the ray in metres."""
    eye = np.array([0.0, room.eye, 0.0])
    with np.errstate(divide="ignore"):
        low, high = (np.array(box.low) - eye) / rays, (np.array(box.high) - eye) / rays
    entry = np.minimum(low, high)
    reached = entry.max(axis=-1)
    met = (reached > 0) & (reached < np.maximum(low, high).min(axis=-1))
    return np.where(met, 2 - entry.argmax(axis=-1), -1), reached


def _texture(room: Room, hit: Hit) -> np.ndarray:
    """Brightness around 1, (H, W): noise of three grain sizes and stripes, in the surfaces' own coordinates."""
    rng = np.random.default_rng(room.texture_seed)
    tile = rng.standard_normal((64, 64)).astype(np.float32)
    texture = np.ones(hit.surface.shape)
    for grain, contrast in ((0.5, 0.06), (0.12, 0.04), (0.03, 0.03)):
        x, y = (((axis / grain + 17 * hit.surface) % 64).astype(np.float32) for axis in (hit.across, hit.along))
        texture += contrast * cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    period = rng.uniform([0.15, 0.15, 0.3], [0.45, 0.3, 0.6])[hit.surface]
    contrast = rng.uniform([0.0, 0.04, 0.0], [0.05, 0.10, 0.02])[hit.surface]
    return texture + contrast * np.sign(np.sin(2 * np.pi * hit.across / period))


def _light(room: Room, hit: Hit) -> np.ndarray:
    """Brightness (H, W), about 0.7 to 1.4: one lamp with distance fall-off and mild shading by the normal."""
    to_lamp = np.array(room.lamp) - hit.point
    distance = np.linalg.norm(to_lamp, axis=-1)
    facing = np.clip((to_lamp * hit.normal).sum(axis=-1) / distance, 0, 1)
    return 0.6 + (0.35 + 0.65 * facing) * 1.6 / (1.2 + distance**2 / 2)


def _ignore_borders(labels: np.ndarray) -> np.ndarray:
    """The labels with a thin band of 255 where an object borders on anything."""
    objects = np.where(np.isin(labels, SURFACE_LABELS), 0, labels).astype(np.uint8)
    width = max(2, round(labels.shape[0] / 120))
    band = cv2.morphologyEx(objects, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0
    return np.where(band, np.uint8(IGNORE), labels)
