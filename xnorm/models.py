"""The methods by the name of --fusion, what they accept, and where they start from."""

from pathlib import Path
from typing import Any

from torch import nn

from common.backbones.i3d_weights import CHANNELS, find_i3d_file, load_i3d
from common.errors import UserError
from common.published_weights import weights_facts
from common.standins.marker import is_standin
from xnorm.methods.early import EARLY
from xnorm.methods.exchange_network import XNORM
from xnorm.methods.gradient_blending import GB
from xnorm.methods.late import LATE
from xnorm.methods.method import Method, Sizes
from xnorm.methods.misa import MISA
from xnorm.methods.mult import MULT
from xnorm.methods.unimodal import FLOW, RGB

METHODS: dict[str, Method] = {
    "rgb": RGB,
    "flow": FLOW,
    "early": EARLY,
    "late": LATE,
    "misa": MISA,
    "mult": MULT,
    "gb": GB,
    "xnorm": XNORM,
}
MOST_FRAMES, LARGEST_SIDE = 16, 224  # of methods with the head that pools I3D's last maps


def build_model(fusion: str, sizes: Sizes) -> nn.Module:
    """The network of a method, drawn from torch's generator; see `Method`. Raises UserError for an unknown method."""
    if fusion not in METHODS:
        raise UserError(f"--fusion {fusion}: no such method; expected one of {', '.join(METHODS)}")
    return METHODS[fusion].build(sizes)


def check_clip_size(fusion: str, num_frames: int, side: int) -> None:
    """Raises UserError for clips that the method cannot take: misa and mult take all, the others 16 x 224 x 224."""
    if METHODS[fusion].reads_maps:
        return
    for flag, given, most in (("num_frames", num_frames, MOST_FRAMES), ("crop-size", side, LARGEST_SIDE)):
        if not 1 <= given <= most:
            more = " and ".join(name for name, method in METHODS.items() if method.reads_maps)
            raise UserError(f"--{flag} {given}: expected 1 to {most} for --fusion {fusion} ({more} take more)")


def start_from_kinetics(model: nn.Module, folder: str | Path, said_to_be_published: bool) -> dict[str, Any]:
    """Load the I3D files of `folder` into the network's encoders; what run.json says of them.

    Heads that were replaced keep their values. file and sha256 name both files where both are read.
    Raises UserError for a missing or damaged file and one of another width.
    """
    encoders = {stream: getattr(model, f"{stream}_enc") for stream in CHANNELS if hasattr(model, f"{stream}_enc")}
    files = [find_i3d_file(stream, folder) for stream in encoders]
    for encoder, file in zip(encoders.values(), files, strict=True):
        load_i3d(encoder, file)
    return weights_facts(files, said_to_be_published, any(is_standin(file.parent) for file in files))
