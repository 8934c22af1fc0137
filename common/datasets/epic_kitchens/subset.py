"""A published split of three kitchens and the eight most frequent verbs of EPIC-KITCHENS-100, in three csv files."""

from dataclasses import dataclass

VERBS = ("take", "put", "wash", "open", "close", "insert", "turn-on", "cut")  # verb classes 0 to 7 of the annotations
LABEL = "verb"  # column of the class's number
KITCHENS = ("P01", "P08", "P22")
SHORTEST = 16  # frames of a segment for training
LEFT_OUT = ("P01_105_679",)  # absent from the published files; why is not known
# fmt: off
VALIDATION_VIDEOS = {
    "P01_02", "P01_04", "P01_05", "P01_07", "P01_17", "P01_104", "P01_107", "P08_03", "P08_23", "P08_24", "P08_26",
    "P22_14", "P22_108", "P22_110", "P22_113",
}
# fmt: on


@dataclass(frozen=True)
class Published:
    """What a published file holds: segments by kitchen and by verb, and its SHA-256."""

    kitchens: tuple[int, ...]
    verbs: tuple[int, ...]
    sha256: str


PUBLISHED = {
    "train": Published(
        (3323, 1084, 6720),
        (3230, 3089, 1913, 990, 792, 274, 521, 318),
        "642ceb10ceaaef1b178df83941e5392ff5f38af83249d50c7cba0d4597a28f27",
    ),
    "val": Published(
        (720, 412, 761),
        (525, 480, 357, 186, 143, 67, 84, 51),
        "d00dc8abc157fe53daa2a67f5f1fddc4bd1bcd42cadef6d62a1ce4381cbf3604",
    ),
    "test": Published(
        (713, 412, 990),
        (562, 550, 447, 196, 143, 64, 97, 56),
        "6a492d0ebd20c591d6a1b8296a559a8f64a1cdee2be0e9a114f5e7263b4aec64",
    ),
}
