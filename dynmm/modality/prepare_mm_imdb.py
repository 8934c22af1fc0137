"""Make multimodal_imdb.hdf5 from the raw release of MM-IMDB: `python -m common.prepare mm_imdb` by its older name.

    python -m dynmm.modality.prepare_mm_imdb RAW data/multimodal_imdb.hdf5 \\
        --word2vec GoogleNews-vectors-negative300.bin --vgg vgg16-397923af.pth

It ends with

    25959 films (train 15552, dev 2608, test 7799) written to data/multimodal_imdb.hdf5
"""

from common.datasets.mm_imdb.prepare import add_flags, run
from common.errors import run_main
from common.flags import Parser


def parser() -> Parser:
    """All flags are ours; the published builder has a configuration file."""
    flags = Parser("python -m dynmm.modality.prepare_mm_imdb", description=__doc__.splitlines()[0])
    add_flags(flags)
    return flags


def main(argv: list[str] | None = None) -> None:
    """Run the command. Raises UserError for anything missing or damaged; nothing is then written."""
    run(parser().parse_args(argv))


if __name__ == "__main__":
    run_main(main)
