"""Prepare a data set: from the raw release to the layout that its reader takes.

python -m common.prepare NAME ... [flags of its own: python -m common.prepare NAME --help]
python -m common.prepare --list    every data set: where it comes from, its size and licence
"""

import sys
from argparse import SUPPRESS, Action, ArgumentParser, RawDescriptionHelpFormatter
from textwrap import fill

from common.datasets.folders import data_sets, offering, parse_choice
from common.errors import UserError, run_main
from common.flags import Parser


class _List(Action):
    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        print("\n\n".join(described()))
        parser.exit()


def described() -> list[str]:
    """A block of lines for each data set."""
    steps = offering("prepare")
    blocks = []
    for name, about in data_sets().items():
        step = f"python -m common.prepare {name} --help"
        facts = {
            "from": about.source,
            "size": about.size,
            "licence": about.licence,
            "prepare": step if name in steps else f"no step; the layout: python -m common.standins {name} --help",
        }
        lines = [
            fill(text, 120, initial_indent=f"    {key:8} ", subsequent_indent=" " * 13) for key, text in facts.items()
        ]
        blocks.append("\n".join([f"{name}: {about.title}", *lines]))
    return blocks


def main(argv: list[str] | None = None) -> None:
    """Prepare what the arguments name. Raises UserError for bad input."""
    top = Parser("python -m common.prepare", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    top.add_argument("--list", action=_List, nargs=0, default=SUPPRESS, help="every data set, and where it comes from")
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in data_sets() and argv[0] not in offering("prepare"):
        raise UserError(f"{argv[0]}: has no step of preparation; where it comes from: python -m common.prepare --list")
    prepare, args = parse_choice(top, offering("prepare"), argv)
    prepare.run(args)


if __name__ == "__main__":
    run_main(main)
