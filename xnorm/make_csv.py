"""Make train.csv, val.csv and test.csv from the official annotations of EPIC-KITCHENS-100:
`python -m common.prepare epic_kitchens` by its older name.

    python -m xnorm.make_csv EPIC_100_train.csv EPIC_100_validation.csv OUT

reads the two files of github.com/epic-kitchens/epic-kitchens-100-annotations (CC BY-NC 4.0: credit, link, no commercial
use), keeps kitchens P01, P08, P22 and the eight most frequent verbs, and writes the published split to OUT. It prints
for each file the segments, in all and by kitchen and verb, and whether it is the published one by its SHA-256. It ends
with

    wrote OUT: all three files are the published ones

or, where one differs, with exit status 2 (0 with --allow-different).
"""

from argparse import RawDescriptionHelpFormatter

from common.datasets.epic_kitchens.prepare import add_flags, run
from common.errors import run_main
from common.flags import Parser


def main(argv: list[str] | None = None) -> None:
    """Write the three files. Raises UserError for bad input, and where one is not the published one."""
    flags = Parser("python -m xnorm.make_csv", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(flags)
    run(flags.parse_args(argv))


if __name__ == "__main__":
    run_main(main)
