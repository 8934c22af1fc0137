"""Repack TBJE's CMU-MOSEI features (mel spectrograms, words) into the pickle that the training script reads:
`python -m common.prepare cmu_mosei` by its older name.

    python -m ucrn.repack_tbje SOURCE TARGET --glove glove.840B.300d.txt [--vision-suffix NAME]

reads SOURCE/{train,valid,test}_{sentences,mels,sentiment}.p (and _NAME.p), dicts keyed video[segment], and writes
TARGET/mosei_senti_data_noalign.pkl: text (N, 60, 300), audio (N, 60, 80), vision (N, 60, 512), labels (N, 1, 1),
float32, zero padded behind or cut to 60 steps; id (N, 3) video, segment, video[segment]. Without --vision-suffix
vision is zeros (N, 1, 1): train then with --lonly and --aonly alone. It prints for each split the clips, the
keys that not all files have, and the share of unknown words, and ends with

    wrote TARGET/mosei_senti_data_noalign.pkl: train .., valid .., test .. clips
"""

from argparse import RawDescriptionHelpFormatter

from common.datasets.cmu_mosei.prepare import add_flags, run
from common.errors import run_main
from common.flags import Parser


def main(argv: list[str] | None = None) -> None:
    """Repack what the arguments name. Raises UserError, before anything is written, for whatever does not fit."""
    flags = Parser("python -m ucrn.repack_tbje", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_flags(flags)
    run(flags.parse_args(argv))


if __name__ == "__main__":
    run_main(main)
