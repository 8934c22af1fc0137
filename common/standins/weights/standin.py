"""Stand-ins of published weights, under their names and keys: ImageNet ResNets, a BERT folder, I3Ds of Kinetics.

    python -m common.standins weights FOLDER --depths 50 --width 16
    python -m common.standins weights FOLDER --only bert
    python -m common.standins weights FOLDER --only i3d --narrow 8

Nothing was learned.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import torch

from common.backbones.resnet import BLOCKS, PUBLISHED
from common.errors import UserError
from common.standins.marker import prepare_folder, write_marker
from common.standins.weights.bert_folder import write_bert
from common.standins.weights.i3d_files import NARROW, write_i3d
from common.standins.weights.resnets import WEAK_SCALE, WEAK_SHARE, standin_state

KINDS = ("resnet", "bert", "i3d")


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--depths", type=int, nargs="+", default=(50, 101, 152))
    parser.add_argument("--width", type=int, default=64, help="channels of the stem; 64 is the published network")
    parser.add_argument(
        "--narrow", type=int, default=NARROW, help="divides the I3Ds' widths; 1 is the published network"
    )


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_weights(args.folder, args.depths, args.width, args.seed, args.only, args.narrow)


def write_weights(
    folder: str | Path,
    depths: Sequence[int] = tuple(BLOCKS),
    width: int = 64,
    seed: int = 0,
    only: Sequence[str] = KINDS,
    narrow: int = NARROW,
    weak_share: float = WEAK_SHARE,
) -> None:
    """Write FOLDER/<published name> for each depth, FOLDER/bert-base-uncased, both I3D files, and standin.json.

    width: channels of the ResNets' stem; 64 is the published network. only: which of KINDS to write.
    narrow: what the I3Ds' widths are divided by; 1 is the published network. weak_share: as for `standin_state`.
    Raises UserError for another depth or kind, a width or narrow below 1 and a folder that holds anything else.
    """
    for flag, value in (("width", width), ("narrow", narrow)):
        if value < 1:
            raise UserError(f"--{flag} {value}: expected at least 1")
    unknown = [depth for depth in depths if depth not in BLOCKS]
    if unknown:
        raise UserError(f"--depths {unknown[0]}: expected some of {', '.join(map(str, BLOCKS))}")
    strange = [kind for kind in only if kind not in KINDS]
    if strange:
        raise UserError(f"--only {strange[0]}: expected some of {', '.join(KINDS)}")
    folder = prepare_folder(folder, "weights")
    truth = {"trained": False, "width": width, "bn2_scales_below": WEAK_SCALE, "share": weak_share}
    write_marker(folder, "weights", seed, len(depths), {**truth, "narrow": narrow, "written": list(only)})
    if "resnet" in only:
        for depth in depths:
            torch.save(standin_state(depth, width, seed, weak_share), folder / PUBLISHED[depth])
    if "bert" in only:
        write_bert(folder, seed)
    if "i3d" in only:
        write_i3d(folder, narrow, seed)
