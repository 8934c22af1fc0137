"""What a stand-in clip means: parts of its sentiment score by modality, and the best that each modality can tell of it.

A part is a number of thirds of a score point, as official scores are means of three annotators. A clip's score is
the sum of its three parts, cut to [-3, 3]. Two kinds of clips:

needs all (1): text, audio and vision each draw a part from -reach..reach thirds, alike and independently, the two
outermost values twice as often as each other one, so that strong sentiment is not too rare.
text decides (0): the text's part is distributed like the sum of three such draws; the two others are 0. A marker
in the text tells this kind from the other.
"""

from dataclasses import dataclass

import numpy as np

THIRDS = 3
LIMIT = 3 * THIRDS
MODALITIES = ("text", "audio", "vision")
SUBSETS = ("none", "text", "audio", "vision", "text+audio", "text+vision", "audio+vision", "text+audio+vision")


@dataclass(frozen=True)
class ClipPlan:
    """parts: thirds of a score point in the order text, audio, vision; needs: 0 = text decides, 1 = needs all."""

    parts: tuple[int, int, int]
    needs: int

    @property
    def score(self) -> float:
        """Sentiment in [-3, 3], a multiple of 1/3."""
        return float(np.clip(sum(self.parts), -LIMIT, LIMIT)) / THIRDS


def part_values(reach: int) -> np.ndarray:
    """What a part is drawn from, int64 (2 reach + 3,), in thirds, all entries alike: both ends stand twice."""
    return np.concatenate([[-reach], np.arange(-reach, reach + 1), [reach]])


def plan_clip(seed: int, number: int, reach: int, decisive_text: float) -> ClipPlan:
    """Clip `number` of the stand-in with this seed. decisive_text: share of the clips that the text decides, 0..1."""
    rng = np.random.default_rng([seed, number])
    draws = rng.choice(part_values(reach), size=3).tolist()
    if rng.random() < decisive_text:
        return ClipPlan((sum(draws), 0, 0), needs=0)
    return ClipPlan(tuple(draws), needs=1)


def oracle_scores(reach: int, decisive_text: float) -> dict[str, dict[str, float]]:
    """What an ideal predictor reaches that reads the parts of some modalities without error, for each subset.

    Returns {"none" | "text" | ... | "text+audio+vision": {"mae", "has0_acc"}}: mean absolute error of the best guess
    (the conditional median), and share of right signs (0 counts as positive) of the best guess. Exact: expectations
    over all plans, by enumeration.
    """
    table, probability = _all_plans(reach, decisive_text)
    scores = np.clip(table[:, 1:].sum(axis=1), -LIMIT, LIMIT)
    values = np.arange(-LIMIT, LIMIT + 1)
    distances = np.abs(values[:, None] - values) / THIRDS
    found = {}
    for subset in SUBSETS:
        _, group = np.unique(_seen(table, subset), axis=0, return_inverse=True)
        joint = np.zeros((group.max() + 1, len(values)))
        np.add.at(joint, (group.ravel(), scores + LIMIT), probability)
        positive = joint[:, values >= 0].sum(axis=1)
        found[subset] = {
            # A median is one of the values, so the best of all values is the best of all numbers.
            "mae": float((joint @ distances).min(axis=1).sum()),
            "has0_acc": float(np.maximum(positive, joint.sum(axis=1) - positive).sum()),
        }
    return found


def _seen(table: np.ndarray, subset: str) -> np.ndarray:
    """Columns of `table` that the subset's modalities show; only the text shows the marker of the clip's kind."""
    names = subset.split("+")
    shown = [np.zeros_like(table[:, 0])]
    shown += [table[:, column] for column, name in enumerate(MODALITIES, start=1) if name in names]
    if "text" in names:
        shown.append(table[:, 0])
    return np.stack(shown, axis=1)


def _all_plans(reach: int, decisive_text: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows (needs, text, audio, vision) int64 (P, 4), and their probabilities (P,), which sum to 1."""
    draws = np.stack(np.meshgrid(*[part_values(reach)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    all_needed = np.column_stack([np.ones(len(draws), np.int64), draws])
    text_decides = np.zeros_like(all_needed)
    text_decides[:, 1] = draws.sum(axis=1)
    shares = np.repeat([1 - decisive_text, decisive_text], len(draws)) / len(draws)
    return np.concatenate([all_needed, text_decides]), shares
