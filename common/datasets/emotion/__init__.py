"""Emotions of spoken clips, as token features of text and audio."""

from common.datasets.about import About

ABOUT = About(
    title="Emotions of spoken clips, as token features of text and audio",
    source=("IEMOCAP (sail.usc.edu/iemocap) and MSP-IMPROV are given out on request; the layout of the files is ours"),
    size="as many clips as the files hold",
    licence="on request, under the terms that each data set's authors set",
)
