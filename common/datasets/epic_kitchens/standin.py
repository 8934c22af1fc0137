"""Small kitchen clips in the layout of EPIC-KITCHENS-100's frames, with a planted truth.

    python -m common.standins epic_kitchens FOLDER --samples 96

writes FOLDER/csv/{train,val,test}.csv (96, 48 and 48 segments of eight verbs, equally frequent),
FOLDER/P01/rgb_frames/P01_01/frame_0000000001.jpg ..., FOLDER/P01/flow_frames/P01_01/{u,v}/frame_0000000001.jpg ... at
half the rate, and standin.json. Formats are those of reader.py beside this file; flow is true, with a little noise, in
levels of 20 / 127.5 = 0.157 pixels around 127.5, cut at 20 pixels. Each video holds eight segments of 12 to 24 RGB
frames, and belongs to one split. Clip number i is a function of (seed, i) and the size alone.

What is seen through a window in a grey room (kitchens.render) differs by verb:

| verbs                       | paint, in RGB alone        | motion, in flow alone              |
| --------------------------- | -------------------------- | ---------------------------------- |
| take, put                   | red, green: tells the verb | up or down, at random              |
| wash, open                  | blue or yellow, at random  | sideways, swelling: tells the verb |
| close, insert, turn-on, cut | blue, blue, yellow, yellow | up, down, up, down                 |

The paint's grain is drawn anew in every frame and the window does not move with what is behind it, so that RGB frames
are independent of the motion; the flow is independent of the paint; the camera's jitter is in both, and tells nothing.
Best accuracy (`oracle_accuracies`): neither 0.125, RGB alone 0.5, flow alone 0.5, both 1. A small 3-D CNN (20 epochs of
crops of 64, 9 frames, five seeds) reached 0.44 to 0.52 on the test segments with RGB, 0.35 to 0.54 with flow and 0.94
to 0.98 with both.
"""

import csv
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from common.datasets.epic_kitchens.reader import FIELDS, frame_name
from common.datasets.kitchens.plan import LOOKS, SLOT, oracle_accuracies, plan_clip
from common.datasets.kitchens.render import render_clip
from common.standins.marker import check_request, prepare_folder, write_marker

PARTICIPANTS = ("P01", "P08", "P22")
CLIPS_A_VIDEO = 8
SMALLEST = (32, 32)
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 90]


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--samples", type=int, default=96, help="training clips; as many are added for the rest")
    parser.add_argument("--size", type=int, nargs=2, default=(72, 72), metavar=("H", "W"))


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_epic_kitchens(args.folder, args.samples, args.seed, tuple(args.size))


def write_epic_kitchens(folder: str | Path, samples: int = 96, seed: int = 0, size: tuple[int, int] = (72, 72)) -> None:
    """Write a stand-in: `samples` training segments, half as many (at least one) each for validation and test.

    size: (height, width) in pixels. An older stand-in in the folder is replaced.
    Raises UserError for samples below 1, a size below 32x32 and a folder that holds anything else.
    """
    check_request(samples, size, SMALLEST)
    folder = prepare_folder(folder, "epic_kitchens")
    truth = {"looks": LOOKS, "best_accuracy": oracle_accuracies()}
    write_marker(folder, "epic_kitchens", seed, samples, truth)
    for name in ("csv", *PARTICIPANTS):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "csv").mkdir()
    half = max(1, samples // 2)
    bounds = {"train": (0, samples), "val": (samples, samples + half), "test": (samples + half, samples + 2 * half)}
    videos = 0
    for split, (first, stop) in bounds.items():
        rows = []
        for start in tqdm(range(first, stop, CLIPS_A_VIDEO), desc=f"{split} videos", disable=None):
            rows += _write_video(folder, seed, videos, range(start, min(start + CLIPS_A_VIDEO, stop)), size)
            videos += 1
        _write_csv(folder / "csv" / f"{split}.csv", rows)


def _write_video(folder: Path, seed: int, video: int, clips: range, size: tuple[int, int]) -> list[tuple]:
    """Write the frames of a video, one slot a clip; returns the rows of its segments."""
    round_, place = divmod(video, len(PARTICIPANTS))
    participant = PARTICIPANTS[place]
    name = f"{participant}_{round_ + 1:02d}"
    rgb = folder / participant / "rgb_frames" / name
    parts = [folder / participant / "flow_frames" / name / part for part in "uv"]
    for path in (rgb, *parts):
        path.mkdir(parents=True)
    rows = []
    for slot, number in enumerate(clips):
        plan = plan_clip(seed, number)
        frames = render_clip(plan, np.random.default_rng([seed, 2, number, *size]), *size)
        _write_frames(rgb, frames.rgb[..., ::-1], slot * SLOT)
        for path, component in zip(parts, np.moveaxis(frames.flow, -1, 0), strict=True):
            _write_frames(path, component, slot * SLOT // 2)
        start = slot * SLOT + plan.first + 1
        rows.append((f"{name}_{slot}", participant, name, start, start + plan.length - 1, plan.verb))
    return rows


def _write_frames(folder: Path, frames: np.ndarray, before: int) -> None:
    """JPEG files numbered from before + 1 on; colours in OpenCV's order."""
    for number, frame in enumerate(frames, start=before + 1):
        cv2.imwrite(str(folder / frame_name(number)), frame, QUALITY)


def _write_csv(path: Path, rows: list[tuple]) -> None:
    """The rows in the official order, by narration_id as text."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([(*FIELDS, "verb"), *sorted(rows)])
