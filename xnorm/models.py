"""The eight methods by the name of --fusion, what they accept, and where they start from."""

from argparse import Namespace
from pathlib import Path

from torch import nn

from common.backbones.i3d import LAST, widths
from common.backbones.i3d_weights import CHANNELS, find_i3d_file, load_i3d
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path
from common.standins.marker import is_standin
from xnorm.early import Early
from xnorm.exchange_network import ExchangeNetwork
from xnorm.gradient_blending import GradientBlending
from xnorm.late import Late
from xnorm.misa import Misa
from xnorm.mult import Mult
from xnorm.unimodal import Unimodal

FUSIONS = ("rgb", "flow", "early", "late", "misa", "mult", "gb", "xnorm")
ANY_SIZE = ("misa", "mult")  # methods that read the last map, without the head that pools it
MOST_FRAMES, LARGEST_SIDE = 16, 224  # of the others


def build_model(args: Namespace) -> nn.Module:
    """The network of --fusion, drawn from torch's generator in the published order; called as model(rgb, flow).

    args: fusion, num_classes, hidden_size, dropout, weight, d_1, d_2 (None: the encoders' width), narrow, and quirks
    with mult_readout and frozen_bn. It returns logits (B, num_classes), `Blended` for gb, `MisaOutput` for misa.
    Raises UserError for an unknown method, and for a d_1 or d_2 that is not the encoders' width.
    """
    sizes = {"num_classes": args.num_classes, "narrow": args.narrow}
    heads = {**sizes, "hidden": args.hidden_size, "dropout": args.dropout}
    if args.fusion in ("rgb", "flow"):
        return Unimodal(args.fusion, **heads)
    if args.fusion == "early":
        return Early(**heads)
    if args.fusion == "late":
        return Late(**heads, weight=args.weight)
    if args.fusion == "gb":
        return GradientBlending(**heads)
    if args.fusion == "xnorm":
        return ExchangeNetwork(**heads, weight=args.weight)
    if args.fusion == "misa":
        return Misa(**heads, **map_widths(args), frozen_bn=args.quirks["frozen_bn"])
    if args.fusion == "mult":
        quirks = {"readout": args.quirks["mult_readout"], "frozen_bn": args.quirks["frozen_bn"]}
        return Mult(**sizes, **map_widths(args), **quirks)
    raise UserError(f"--fusion {args.fusion}: no such method; expected one of {', '.join(FUSIONS)}")


def map_widths(args: Namespace) -> dict[str, int]:
    """d_1 and d_2 of misa and mult. Raises UserError where one is not the width of I3D's last map."""
    width = last_width(args.narrow)
    for flag in ("d_1", "d_2"):
        given = getattr(args, flag)
        if given not in (None, width):
            raise UserError(f"--{flag} {given}: expected {width}, the width of the encoders' last map")
    return {"d_1": width, "d_2": width}


def last_width(narrow: int) -> int:
    """Channels of the encoders' last map: 1024 in the published network."""
    return widths(narrow)[LAST]


def check_clip_size(fusion: str, num_frames: int, side: int) -> None:
    """Raises UserError for clips that the method cannot take: misa and mult take all, the others 16 x 224 x 224."""
    if fusion in ANY_SIZE:
        return
    if not 1 <= num_frames <= MOST_FRAMES:
        raise UserError(
            f"--num_frames {num_frames}: expected 1 to {MOST_FRAMES} for --fusion {fusion} (misa and mult take more)"
        )
    if not 1 <= side <= LARGEST_SIDE:
        raise UserError(
            f"--crop-size {side}: expected 1 to {LARGEST_SIDE} for --fusion {fusion} (misa and mult take more)"
        )


def start_from_kinetics(model: nn.Module, folder: str | Path) -> dict[str, object]:
    """Load the I3D files of `folder` into the network's encoders; what run.json says of them.

    Heads that were replaced keep their values. file and sha256 name both files where both are read. No checksum of the
    published files is known: published says that the files have their names, keys and shapes, and are no stand-in.
    Raises UserError for a missing or damaged file and one of another width.
    """
    encoders = {stream: getattr(model, f"{stream}_enc") for stream in CHANNELS if hasattr(model, f"{stream}_enc")}
    files = [find_i3d_file(stream, folder) for stream in encoders]
    for encoder, file in zip(encoders.values(), files, strict=True):
        load_i3d(encoder, file)
    standin = any(is_standin(file.parent) for file in files)
    full = all(encoder.widths == widths() for encoder in encoders.values())
    return {
        "file": ", ".join(map(shown_path, files)),
        "sha256": ", ".join(map(sha256_of, files)),
        "published": full and not standin,
        "standin": standin,
    }
