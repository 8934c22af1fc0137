"""Read every sample of a data set through its reader, and say what is there and what is wrong.

    python -m common.verify NAME FOLDER [flags of its own: python -m common.verify NAME --help]

prints what each split holds (counts, shapes, types, labels) and each missing, damaged or odd file or entry; the last
line is `all is well` (exit status 0) or the number of problems (1).
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

from common.datasets.folders import offering, parse_choice
from common.errors import run_main


def add_shared(parser: ArgumentParser) -> None:
    """What every check has."""
    parser.add_argument("folder", type=Path)


def main(argv: list[str] | None = None) -> None:
    """Verify what the arguments name; exits with 1 where there are problems."""
    top = ArgumentParser("python -m common.verify", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    verify, args = parse_choice(top, offering("verify"), argv, add_shared)
    problems = verify.run(args)
    print(f"{problems} problem{'s' if problems > 1 else ''}" if problems else "all is well")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run_main(main)
