"""Which paint and which motion a stand-in verb has, what an ideal predictor makes of them, and a clip's particulars.

take and put are told by their paint, wash and open by their motion, the other four by both together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

PAINTS = ("red", "green", "blue", "yellow")
MOTIONS = ("sideways", "swelling", "up", "down")
# verb -> paints and motions that it is drawn with, alike and independently
LOOKS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "take": (("red",), ("up", "down")),
    "put": (("green",), ("up", "down")),
    "wash": (("blue", "yellow"), ("sideways",)),
    "open": (("blue", "yellow"), ("swelling",)),
    "close": (("blue",), ("up",)),
    "insert": (("blue",), ("down",)),
    "turn-on": (("yellow",), ("up",)),
    "cut": (("yellow",), ("down",)),
}
SHAPES = ("disc", "square", "diamond")
SHORTEST, LONGEST = 12, 24  # RGB frames of a segment
SLOT = LONGEST + 2  # RGB frames that a clip fills in its video; even, so that no flow frame belongs to two clips


@dataclass(frozen=True)
class ClipPlan:
    """verb: index into LOOKS; paint, motion, shape: names; first, length: the segment within its SLOT frames."""

    verb: int
    paint: str
    motion: str
    shape: str
    first: int
    length: int


def plan_clip(seed: int, number: int) -> ClipPlan:
    """Clip `number` (from 0) of the stand-in with this seed; every eight clips in a row have the eight verbs once."""
    block, place = divmod(number, len(LOOKS))
    verb = int(np.random.default_rng([seed, 0, block]).permutation(len(LOOKS))[place])
    rng = np.random.default_rng([seed, 1, number])
    paints, motions = LOOKS[tuple(LOOKS)[verb]]
    length = int(rng.integers(SHORTEST, LONGEST, endpoint=True))
    return ClipPlan(
        verb=verb,
        paint=str(rng.choice(paints)),
        motion=str(rng.choice(motions)),
        shape=str(rng.choice(SHAPES)),
        first=int(rng.integers(0, SLOT - length, endpoint=True)),
        length=length,
    )


def oracle_accuracies() -> dict[str, float]:
    """The best accuracy of a predictor that sees the paint ("rgb"), the motion ("flow"), both, or nothing ("none").

    Exact, by enumeration: of the verbs that fit what is seen the likeliest is said, all verbs being equally frequent.
    """
    chances: dict[str, dict[object, dict[str, float]]] = {"none": {}, "rgb": {}, "flow": {}, "both": {}}
    for verb, (paints, motions) in LOOKS.items():
        for paint, motion in product(paints, motions):
            chance = 1 / len(LOOKS) / len(paints) / len(motions)
            for name, seen in (("none", ()), ("rgb", paint), ("flow", motion), ("both", (paint, motion))):
                verbs = chances[name].setdefault(seen, {})
                verbs[verb] = verbs.get(verb, 0.0) + chance
    return {name: sum(max(verbs.values()) for verbs in seen.values()) for name, seen in chances.items()}
