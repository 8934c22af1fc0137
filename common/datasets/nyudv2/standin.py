"""Small rooms in the layout of NYU Depth V2, with a planted truth.

    python -m common.standins nyudv2 FOLDER --samples 40

writes FOLDER/{rgb,masks,depth}/NNNNNN.png, train.txt (40 rooms), val.txt (20 other rooms) and standin.json. Formats
are those of reader.py beside this file: 8-bit colour, 16-bit depth in metres x 5000 (0 = none), labels 0..39, 255 on a
thin band along objects' borders. Room NNNNNN is a function of (seed, NNNNNN) alone.

What the modalities tell, exactly, in undamaged rooms:

| classes                                  | colour                            | depth                              |
| ---------------------------------------- | --------------------------------- | ---------------------------------- |
| wall, floor, ceiling                     | yes                               | yes                                |
| picture, whiteboard, floor mat           | yes (orange, cyan, green)         | no trace: flat on wall or floor    |
| bed, cabinet                             | no: painted like what is behind,  | yes: a low and a tall box          |
|                                          | as often as decoys painted alike  |                                    |
| bookshelf / curtain                      | red, not which of the two         | deep / shallow, not which colour   |
| television / mirror                      | blue, not which of the two        | deep / shallow, not which colour   |

Kind, place and size of wall pieces are drawn independently, and a piece's outline in the picture does not depend on
its reach into the room. 15 % of the rooms have damaged colour (nearly dark), another 15 % damaged depth (holes, noise).
Best mIoU over the twelve classes in undamaged rooms (`oracle_labels`): colour alone 0.66, depth alone 0.48, both 1.
Guessing by place adds a little to depth alone; a small network on 150 rooms of 96x128 reached 0.52 with it, 0.59 with
colour, 0.89 with both, damaged rooms included.
"""

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from common.datasets.rooms.plan import (
    BED,
    BOOKSHELF,
    CABINET,
    CEILING,
    CURTAIN,
    FLOOR,
    MAT,
    MIRROR,
    PICTURE,
    TELEVISION,
    WALL,
    WHITEBOARD,
)
from common.datasets.rooms.render import render_room
from common.standins.marker import check_request, prepare_folder, write_marker

TRUTH = {
    "either": (WALL, FLOOR, CEILING),
    "colour_alone": (PICTURE, WHITEBOARD, MAT),
    "depth_alone": (CABINET, BED),
    "both_only": (BOOKSHELF, TELEVISION, MIRROR, CURTAIN),
}
SMALLEST = (48, 64)


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--samples", type=int, default=40, help="training rooms; half as many for validation are added")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_nyudv2(args.folder, args.samples, args.seed, tuple(args.size))


def write_nyudv2(folder: str | Path, samples: int = 40, seed: int = 0, size: tuple[int, int] = (480, 640)) -> None:
    """Write a stand-in: `samples` training rooms and half as many (at least one) for validation.

    size: (height, width) in pixels. An older stand-in in the folder is replaced.
    Raises UserError for samples below 1, a size below 48x64 and a folder that holds anything else.
    """
    check_request(samples, size, SMALLEST)
    folder = prepare_folder(folder, "nyudv2")
    write_marker(folder, "nyudv2", seed, samples, {name: list(classes) for name, classes in TRUTH.items()})
    for name in ("rgb", "masks", "depth"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    numbers = range(1, samples + max(1, samples // 2) + 1)
    for number in tqdm(numbers, desc="rooms", disable=None):
        _write_room(folder, seed, number, size)
    _write_list(folder / "train.txt", numbers[:samples])
    _write_list(folder / "val.txt", numbers[samples:])


def oracle_labels(mask: np.ndarray, decoys: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What an ideal predictor says that sees colour alone, and one that sees depth alone (both like `mask`).

    mask: labels; decoys: Pictures.decoys, where known. Colour alone: of the two red and of the two blue classes always
    the first; a painted box is always taken for a true one, which among boxes and decoys in equal number gives the
    best mIoU. Depth alone: what is flat is wall or floor; always one colour for deep and one for shallow pieces.
    Without `decoys` the figure for colour alone comes out too high, because its false alarms on decoys are missing.
    """
    colour, depth = mask.copy(), mask.copy()
    for label, says in ((CURTAIN, BOOKSHELF), (MIRROR, TELEVISION)):
        colour[mask == label] = says
    if decoys is not None:
        painted = decoys != 255
        colour[painted] = decoys[painted]
    for label, says in ((TELEVISION, BOOKSHELF), (MIRROR, CURTAIN), (PICTURE, WALL), (WHITEBOARD, WALL), (MAT, FLOOR)):
        depth[mask == label] = says
    return colour, depth


def _write_room(folder: Path, seed: int, number: int, size: tuple[int, int]) -> None:
    room = render_room(seed, number, *size)
    for name, array in (("rgb", room.rgb), ("masks", room.mask), ("depth", room.depth)):
        Image.fromarray(array).save(folder / name / f"{number:06d}.png", compress_level=3)


def _write_list(path: Path, numbers: range) -> None:
    path.write_text("".join(f"rgb/{n:06d}.png\tmasks/{n:06d}.png\tdepth/{n:06d}.png\n" for n in numbers))
