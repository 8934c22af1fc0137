"""EPIC-KITCHENS-100 as frames of action segments."""

from common.datasets.about import About

ABOUT = About(
    title="EPIC-KITCHENS-100: actions, as RGB and flow frames of segments",
    source=(
        "the official RGB and flow frames, each video's tar unpacked into a folder of its name; annotations: "
        "github.com/epic-kitchens/epic-kitchens-100-annotations"
    ),
    size="three kitchens (P01, P08, P22) and eight verbs: 11,127 / 1,893 / 2,115 segments (train / val / test)",
    licence="annotations CC BY-NC 4.0: credit, link, no commercial use; frames: see the terms of the source",
)
