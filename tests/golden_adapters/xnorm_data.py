"""What the golden cases of X-Norm's data describe, built from our components."""

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from common.datasets.epic_kitchens.reader import (
    FIELDS,
    EpicKitchens,
    Segment,
    frame_name,
    frame_positions,
    read_clip,
    sampled_frames,
)
from tests.support.golden_cases import Adapter, Case
from xnorm.data import collate
from xnorm.frame_cache import EnlargedClips
from xnorm.transforms import (
    CROP,
    EvalTransform,
    TrainTransform,
    center_crop,
    enlarge,
    random_crop,
    random_flip,
    scale,
    smallest_side,
)


class PythonDraws:
    """Python's random module in the form of a numpy generator: the published source of crops and flips."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)

    def integers(self, low: int, high: int, endpoint: bool) -> int:
        assert endpoint
        return self.source.randint(low, high)

    def random(self) -> float:
        return self.source.random()


def frame_indices(case: Case) -> dict[str, Any]:
    found = {}
    for number, (start, stop, count) in enumerate(case.config["cases"]):
        for modality in ("rgb", "flow"):
            segment = Segment("P01_01_0", "P01", "P01_01", start, stop, 0, 2)
            found[f"{modality}_{number}"] = sampled_frames(segment, modality, count)
    return found


def load_frames(case: Case) -> dict[str, Any]:
    config = case.config
    modality, start, stop = config["modality"], config["start"], config["stop"]
    with tempfile.TemporaryDirectory() as folder:
        write_video(Path(folder), case)
        segment = Segment("P01_01_0", "P01", "P01_01", start, stop, 0, 2)
        frames = start + frame_positions(stop - start + 1, config["num_frames"])
        clip = read_clip(Path(folder), segment, frames, modality)
    return {"y": scale(torch.from_numpy(enlarge(clip, smallest_side(modality))))}


def item(case: Case) -> dict[str, Any]:
    config = case.config
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder, case)
        row = f"P01_01_0,P01,P01_01,{config['start_frame']},{config['stop_frame']},{config['verb']}"
        (folder / "train.csv").write_text(",".join([*FIELDS, "verb"]) + "\n" + row + "\n")
        reader = EpicKitchens(folder, folder / "train.csv", config["num_frames"], 8)
        clips = EnlargedClips(reader, CROP)[0]
        if config["train"]:
            draws = PythonDraws(config["random_seed"])
            streams = TrainTransform()(clips, {"rgb": draws, "flow": draws})
        else:
            streams = EvalTransform()(clips)
        batch = collate([(streams, reader.segments[0].verb)]).on(torch.device("cpu"))
    return {"rgb": batch.rgb[0], "flow": batch.flow[0], "label": batch.labels[0]}


def transforms(case: Case) -> dict[str, Any]:
    found, x = {}, case.inputs["x"]
    for number, (name, size, seed) in enumerate(case.config["cases"]):
        draws = PythonDraws(seed)
        calls = {
            "center": lambda size=size: center_crop(x, size),
            "crop": lambda size=size, draws=draws: random_crop(x, size, draws),
            "flip": lambda draws=draws: random_flip(x, draws),
        }
        found[f"y{number}"] = calls[name]()
        found[f"next{number}"] = draws.random()
    return found


def write_video(folder: Path, case: Case) -> None:
    """The inputs of a case as frames of video P01_01, without loss under the official names."""
    video = {
        "frames": (folder / "P01/rgb_frames/P01_01", lambda frame: frame[..., ::-1]),
        "u": (folder / "P01/flow_frames/P01_01/u", np.asarray),
        "v": (folder / "P01/flow_frames/P01_01/v", np.asarray),
    }
    for name, frames in case.inputs.items():
        path, order = video[name]
        write_frames(path, [order(frame) for frame in frames.astype(np.uint8)])


def write_frames(folder: Path, frames: Sequence[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        content = cv2.imencode(".png", np.ascontiguousarray(frame))[1]
        (folder / frame_name(number)).write_bytes(content.tobytes())


ADAPTERS: dict[str, Adapter] = {
    "xnorm.xnorm.data.frame_indices": frame_indices,
    "xnorm.xnorm.data.load_frames": load_frames,
    "xnorm.xnorm.data.item": item,
    "xnorm.xnorm.data.transforms": transforms,
}
