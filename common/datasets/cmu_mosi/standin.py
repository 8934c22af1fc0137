"""Clips of CMU-MOSI: formats, planted truth and best scores stand in common.datasets.cmu_mosei.standin.

python -m common.standins cmu_mosi FOLDER --samples 400
python -m common.standins cmu_mosi FOLDER --layout multibench
"""

from argparse import Namespace

from common.datasets.cmu_mosei.standin import add_flags, write_cmu_mosei

__all__ = ["add_flags", "run"]


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_cmu_mosei(args.folder, args.samples, args.seed, args.layout, tuple(args.lengths), "cmu_mosi")
