"""Write stand-ins: small data sets and weights in the official formats, with a truth that is known.

python -m common.standins nyudv2 FOLDER [--samples N] [--seed S] [--size H W]
python -m common.standins weights FOLDER [--depths 50 101 152] [--width 64] [--seed S]
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from common.errors import run_main
from common.standins.nyudv2 import write_nyudv2
from common.standins.weights import write_weights


def parser() -> ArgumentParser:
    """One subcommand for each data set, one for pretrained weights."""
    top = ArgumentParser("python -m common.standins", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    kinds = top.add_subparsers(dest="kind", required=True)

    nyudv2 = kinds.add_parser("nyudv2", help="rooms in the layout of NYU Depth V2")
    nyudv2.add_argument("--samples", type=int, default=40, help="training rooms; half as many for validation are added")
    nyudv2.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))

    weights = kinds.add_parser("weights", help="ImageNet ResNets under their published file names")
    weights.add_argument("--depths", type=int, nargs="+", default=(50, 101, 152))
    weights.add_argument("--width", type=int, default=64, help="channels of the stem; 64 is the published network")

    for kind in (nyudv2, weights):
        kind.add_argument("folder", type=Path)
        kind.add_argument("--seed", type=int, default=0)
    return top


def main(argv: list[str] | None = None) -> None:
    """Write what the arguments ask for. Raises UserError for a folder that holds other files."""
    args = parser().parse_args(argv)
    if args.kind == "nyudv2":
        write_nyudv2(args.folder, args.samples, args.seed, tuple(args.size))
    elif args.kind == "weights":
        write_weights(args.folder, args.depths, args.width, args.seed)
    print(f"stand-in {args.kind} written to {args.folder}")


if __name__ == "__main__":
    run_main(main)
