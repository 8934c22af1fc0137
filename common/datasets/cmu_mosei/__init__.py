"""CMU-MOSEI, as the releases of MulT and of MultiBench pickle it; CMU-MOSI shares its reader and its stand-in."""

from common.datasets.about import About

ABOUT = About(
    title="CMU-MOSEI: sentiment of spoken clips, as words, audio and vision",
    source=("the pickles of MulT's archive (its links have been dead for long stretches), or of MultiBench's drive"),
    size=(
        "16,265 / 1,869 / 4,643 aligned clips (train / valid / test), 16,326 / 1,871 / 4,659 unaligned; "
        "gigabytes a file"
    ),
    licence="not known here: see the terms of the source",
)
