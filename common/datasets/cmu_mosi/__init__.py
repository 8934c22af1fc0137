"""CMU-MOSI: what differs from CMU-MOSEI; the reader is common.datasets.cmu_mosei.reader."""

from common.datasets.about import About

ABOUT = About(
    title="CMU-MOSI: sentiment of spoken clips, in the format of CMU-MOSEI",
    source=("the pickles of MulT's archive (its links have been dead for long stretches), or of MultiBench's drive"),
    size="1,284 / 229 / 686 clips (train / valid / test)",
    licence="not known here: see the terms of the source",
)
