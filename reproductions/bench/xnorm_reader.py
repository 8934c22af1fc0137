"""X-Norm's training clips a second: in the published order of the transforms, in ours, and from the frame cache."""

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch

from common.datasets.epic_kitchens.reader import EpicKitchens, part_folders, read_flow, read_rgb, sampled_frames
from common.datasets.epic_kitchens.reader import frame_name as name_of
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.training.batches import Draw
from reproductions.bench.timing import show, time_in_turn
from xnorm.data import TrainingClips
from xnorm.frame_cache import EnlargedClips
from xnorm.transforms import TrainTransform, enlarge, random_crop, random_flip, scale, smallest_side

FRAMES, CROP = 16, 224


def show_reader(rounds: int = 3, clips: int = 4, size: tuple[int, int] = (256, 456)) -> None:
    """Print a table: one process reads `clips` stand-in clips of 16 frames, both streams, to float32 crops of 224.

    size: (height, width) of the frames; the default is the official one. The stand-in and the cache are written to a
    temporary folder and read from the system's memory, so a slow disk is not in the numbers.
    """
    print(f"\nX-Norm, {FRAMES} frames of {size[0]}x{size[1]}, both streams: training clips, one process")
    with TemporaryDirectory() as folder:
        write_epic_kitchens(folder, clips, size=size)
        reader = EpicKitchens(folder, Path(folder) / "csv/train.csv", FRAMES, 8)
        variants: dict[str, Callable[[], object]] = {
            "published order": lambda: [published_clip(reader, index) for index in range(clips)]
        }
        variants["ours"] = _reading(EnlargedClips(reader, CROP))
        variants["ours, cached"] = _reading(EnlargedClips(reader, CROP, Path(folder) / "cache"))
        timings = time_in_turn(variants, rounds, warm_up=1, device=torch.device("cpu"))
    show(timings, "clips/s", clips)


def _reading(clips: EnlargedClips) -> Callable[[], object]:
    samples = TrainingClips(clips, TrainTransform(CROP))
    return lambda: [[scale(x) for x in samples[Draw(0, 1, index)][0].values()] for index in range(len(clips))]


def published_clip(reader: EpicKitchens, index: int) -> dict[str, torch.Tensor]:
    """A clip as first written: every frame decoded, repeated or not, and scaled in float64 before it is cropped."""
    segment, rng = reader.segments[index], cast(np.random.Generator, _PythonDraws())
    streams = {}
    for modality, read in (("rgb", read_rgb), ("flow", read_flow)):
        parts = part_folders(reader.folder, segment, modality)
        frames = []
        for number in sampled_frames(segment, modality, reader.num_frames).tolist():
            frame = read(*(f"{part}/{name_of(number)}" for part in parts))
            frames.append(enlarge(frame[None], smallest_side(modality, CROP))[0] / 255.0 * 2 - 1)
        clip = random_flip(random_crop(np.asarray(frames, dtype=np.float32), CROP, rng), rng)
        streams[modality] = torch.from_numpy(np.ascontiguousarray(clip.transpose(3, 0, 1, 2)))
    return streams


class _PythonDraws:
    """Python's random numbers, which the published script draws from, asked for as numpy's are."""

    def integers(self, low: int, high: int, endpoint: bool) -> int:
        return random.randint(low, high if endpoint else high - 1)

    def random(self) -> float:
        return random.random()
