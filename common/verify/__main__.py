"""Read every sample of a data set through its reader, and say what is there and what is wrong.

    python -m common.verify nyudv2 FOLDER [--lists train.txt val.txt]
    python -m common.verify cmu_mosei|cmu_mosi FOLDER [--files NAME ...]
    python -m common.verify mm_imdb FOLDER [--sizes TRAIN VALID TEST]
    python -m common.verify epic_kitchens FOLDER [--csv DIR]

prints what each split holds (counts, shapes, types, labels) and each missing, damaged or odd file or entry; the last
line is `all is well` (exit status 0) or the number of problems (1).
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from common.errors import run_main
from common.verify.cmu_mosei import PATTERNS, verify_sentiment
from common.verify.epic_kitchens import verify_epic_kitchens
from common.verify.mm_imdb import verify_mm_imdb
from common.verify.nyudv2 import verify_nyudv2


def parser() -> ArgumentParser:
    """One subcommand for each data set."""
    top = ArgumentParser("python -m common.verify", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    datasets = top.add_subparsers(dest="dataset", required=True)
    nyudv2 = datasets.add_parser("nyudv2", help="NYU Depth V2, 40 classes")
    nyudv2.add_argument("folder", type=Path)
    nyudv2.add_argument("--lists", type=Path, nargs="+", help="default: FOLDER/train.txt FOLDER/val.txt, or splits.mat")
    nyudv2.set_defaults(verify=lambda args: verify_nyudv2(args.folder, args.lists))
    for name in ("cmu_mosei", "cmu_mosi"):
        sentiment = datasets.add_parser(name, help="pickles of word-level features, as MulT and MultiBench have them")
        sentiment.add_argument("folder", type=Path)
        sentiment.add_argument("--files", nargs="+", metavar="NAME", help=f"default: {' '.join(PATTERNS)}")
        sentiment.set_defaults(verify=lambda args: verify_sentiment(args.folder, args.files))
    mm_imdb = datasets.add_parser("mm_imdb", help="multimodal_imdb.hdf5, features of films")
    mm_imdb.add_argument("folder", type=Path, help="the file or its folder")
    mm_imdb.add_argument("--sizes", type=int, nargs=3, metavar=("TRAIN", "VALID", "TEST"), help="default: the file's")
    mm_imdb.set_defaults(verify=lambda args: verify_mm_imdb(args.folder, args.sizes and tuple(args.sizes)))
    kitchens = datasets.add_parser("epic_kitchens", help="EPIC-KITCHENS-100, RGB and flow frames of segments")
    kitchens.add_argument("folder", type=Path)
    kitchens.add_argument("--csv", type=Path, metavar="DIR", help="of train.csv, val.csv, test.csv; default FOLDER/csv")
    kitchens.set_defaults(verify=lambda args: verify_epic_kitchens(args.folder, args.csv))
    return top


def main(argv: list[str] | None = None) -> None:
    """Verify what the arguments name; exits with 1 where there are problems."""
    args = parser().parse_args(argv)
    problems = args.verify(args)
    print(f"{problems} problem{'s' if problems > 1 else ''}" if problems else "all is well")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
