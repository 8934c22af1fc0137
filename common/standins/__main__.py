"""Write a stand-in: a small data set or weights in the official format, with a truth that is known.

python -m common.standins NAME FOLDER [--seed S] [flags of its own: python -m common.standins NAME --help]
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from common.datasets.folders import Choice, offering, parse_choice
from common.errors import run_main

WEIGHTS = Choice("common.standins.weights.standin", "ImageNet ResNets, a BERT folder and I3Ds, named as published")


def add_shared(parser: ArgumentParser) -> None:
    """What every stand-in has."""
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)


def main(argv: list[str] | None = None) -> None:
    """Write what the arguments ask for. Raises UserError for a folder that holds other files."""
    top = ArgumentParser("python -m common.standins", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    standin, args = parse_choice(top, {**offering("standin"), "weights": WEIGHTS}, argv, add_shared)
    standin.run(args)
    print(f"stand-in {args.dataset} written to {args.folder}")


if __name__ == "__main__":
    run_main(main)
