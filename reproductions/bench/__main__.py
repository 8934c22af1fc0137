"""Measure one paper's code on this machine.

    python -m reproductions.bench cen|dynmm|ucrn|xnorm

prints the machine, then a table of samples a second and ratios, all measured in this run.
"""

import sys
from argparse import ArgumentParser

import torch

from common.cuda import select_device
from common.errors import run_main
from common.processes import Processes
from reproductions.bench import cen, dynmm, ucrn, xnorm
from reproductions.bench.timing import machine

PAPERS = {"cen": cen, "dynmm": dynmm, "ucrn": ucrn, "xnorm": xnorm}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark of the paper that the arguments name."""
    parser = ArgumentParser(prog="python -m reproductions.bench", description="Benchmarks, on this machine.")
    papers = parser.add_subparsers(dest="paper", required=True)
    for name, module in PAPERS.items():
        one = papers.add_parser(name, help=(module.__doc__ or name).splitlines()[0])
        one.add_argument("--gpu", type=int, nargs=1, default=[0], metavar="I", help="CUDA device; -1 is the CPU")
        module.add_flags(one)
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    device = select_device(args.gpu, Processes())
    torch.manual_seed(0)
    print(machine(device))
    PAPERS[args.paper].run(args, device)


if __name__ == "__main__":
    run_main(main)
