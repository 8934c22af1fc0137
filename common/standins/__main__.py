"""Write stand-ins: small data sets and weights in the official formats, with a truth that is known.

python -m common.standins nyudv2 FOLDER [--samples N] [--seed S] [--size H W]
python -m common.standins cmu_mosei FOLDER [--samples N] [--seed S] [--layout mult|multibench] [--lengths L A V]
python -m common.standins cmu_mosi FOLDER ... (as cmu_mosei)
python -m common.standins mm_imdb FOLDER [--samples N] [--seed S]
python -m common.standins epic_kitchens FOLDER [--samples N] [--seed S] [--size H W]
python -m common.standins emotion FOLDER [--samples N] [--seed S]
python -m common.standins weights FOLDER [--only resnet bert i3d] [--depths 50 101 152] [--width 64] [--narrow 8]
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from common.errors import run_main
from common.standins.cmu_mosei import LAYOUTS, LENGTHS, REACH, write_cmu_mosei
from common.standins.emotion import write_emotion
from common.standins.epic_kitchens import write_epic_kitchens
from common.standins.i3d_files import NARROW
from common.standins.mm_imdb import write_mm_imdb
from common.standins.nyudv2 import write_nyudv2
from common.standins.weights import KINDS, write_weights


def parser() -> ArgumentParser:
    """One subcommand for each data set, one for pretrained weights."""
    top = ArgumentParser("python -m common.standins", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    kinds = top.add_subparsers(dest="kind", required=True)

    nyudv2 = kinds.add_parser("nyudv2", help="rooms in the layout of NYU Depth V2")
    nyudv2.add_argument("--samples", type=int, default=40, help="training rooms; half as many for validation are added")
    nyudv2.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("H", "W"))

    sentiment = [kinds.add_parser(name, help="clips in the layouts of CMU-MOSEI and CMU-MOSI") for name in REACH]
    for kind in sentiment:
        kind.add_argument("--samples", type=int, default=400, help="training clips; 1.5 times as many are added")
        kind.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="whose release the files are like")
        kind.add_argument(
            "--lengths",
            type=int,
            nargs=3,
            default=LENGTHS,
            metavar=("L", "A", "V"),
            help="steps of text, audio and vision; aligned files have L of each",
        )

    mm_imdb = kinds.add_parser("mm_imdb", help="films as features, multimodal_imdb.hdf5")
    mm_imdb.add_argument("--samples", type=int, default=1600, help="training films; 3/4 as many are added for the rest")

    weights = kinds.add_parser(
        "weights", help="ImageNet ResNets, a BERT folder and I3Ds under their published file names"
    )
    weights.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
    weights.add_argument("--depths", type=int, nargs="+", default=(50, 101, 152))
    weights.add_argument("--width", type=int, default=64, help="channels of the stem; 64 is the published network")
    weights.add_argument(
        "--narrow", type=int, default=NARROW, help="divides the I3Ds' widths; 1 is the published network"
    )

    emotion = kinds.add_parser("emotion", help="spoken clips as token features, told by text, audio or both")
    emotion.add_argument("--samples", type=int, default=480, help="training clips; 1.5 times as many are added")

    kitchens = kinds.add_parser("epic_kitchens", help="clips as RGB and flow frames, told by one of them or both")
    kitchens.add_argument("--samples", type=int, default=96, help="training clips; as many are added for the rest")
    kitchens.add_argument("--size", type=int, nargs=2, default=(72, 72), metavar=("H", "W"))

    for kind in (nyudv2, *sentiment, mm_imdb, kitchens, emotion, weights):
        kind.add_argument("folder", type=Path)
        kind.add_argument("--seed", type=int, default=0)
    return top


def main(argv: list[str] | None = None) -> None:
    """Write what the arguments ask for. Raises UserError for a folder that holds other files."""
    args = parser().parse_args(argv)
    if args.kind == "nyudv2":
        write_nyudv2(args.folder, args.samples, args.seed, tuple(args.size))
    elif args.kind in REACH:
        write_cmu_mosei(args.folder, args.samples, args.seed, args.layout, tuple(args.lengths), args.kind)
    elif args.kind == "mm_imdb":
        write_mm_imdb(args.folder, args.samples, args.seed)
    elif args.kind == "epic_kitchens":
        write_epic_kitchens(args.folder, args.samples, args.seed, tuple(args.size))
    elif args.kind == "emotion":
        write_emotion(args.folder, args.samples, args.seed)
    elif args.kind == "weights":
        write_weights(args.folder, args.depths, args.width, args.seed, args.only, args.narrow)
    print(f"stand-in {args.kind} written to {args.folder}")


if __name__ == "__main__":
    run_main(main)
