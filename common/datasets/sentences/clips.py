"""The sequences of a stand-in clip: word vectors, audio and vision features that carry the parts of its plan.

Text: vectors as large as GloVe's (about 0.3 an entry) from a small seeded vocabulary of filler words, sentiment words
(for each part value four, which share one direction in proportion to the value) and marker words (which share another
direction). Audio and vision: noise, and in one stretch of the clip eight features (or all, of fewer) shifted up or
down in proportion to the part. The share of steps that carry the part does not depend on how long the clip is.
"""

from dataclasses import dataclass

import numpy as np

from common.datasets.sentences.plan import THIRDS, ClipPlan

TEXT_WIDTH = 300
FILLERS, MARKERS, WORDS_A_LEVEL = 200, 8, 4
WORD_SCALE, VALENCE, MARK = 0.3, 2.0, 4.0
NOISE, SHIFTED = 0.5, 8
SHORTEST, CUE_SHARE, MARKER_SHARE = 0.7, 0.4, 0.2
# Words of a sentence by part value, from the worst to the best; in between, and where the text decides.
VERDICTS = (
    *("terrible", "horrible", "awful", "worst", "hate", "ugly", "bad", "poor", "sad", "ok"),
    *("fine", "good", "nice", "glad", "like", "love", "great", "excellent", "perfect"),
)
PLAIN, DECIDED = ("the", "movie", "was", "and", "it", "this", "film", "story", "she", "said", "about"), "recommend"
SENTENCE = 10  # words


@dataclass(frozen=True)
class Signs:
    """How parts are written, one for each stand-in; float64.

    fillers (200, 300), markers (8, 300); cues (2 largest + 1, 4, 300): words of part value i - largest, in thirds;
    shifts: of audio and vision, one (width,) each: what a part of one score point adds to the features.
    """

    fillers: np.ndarray
    markers: np.ndarray
    cues: np.ndarray
    shifts: tuple[np.ndarray, np.ndarray]


def draw_signs(seed: int, largest: int, widths: tuple[int, int]) -> Signs:
    """Vocabulary and shifts of the stand-in with this seed.

    largest: greatest part of a text, in thirds; widths: number of audio and of vision features.
    """
    rng = np.random.default_rng([seed, largest, *widths])
    valence, mark = np.linalg.qr(rng.standard_normal((TEXT_WIDTH, 2)))[0].T
    levels = np.arange(-largest, largest + 1) / THIRDS
    words = WORD_SCALE * rng.standard_normal((len(levels), WORDS_A_LEVEL, TEXT_WIDTH))
    return Signs(
        fillers=WORD_SCALE * rng.standard_normal((FILLERS, TEXT_WIDTH)),
        markers=WORD_SCALE * rng.standard_normal((MARKERS, TEXT_WIDTH)) + MARK * mark,
        cues=words + VALENCE * levels[:, None, None] * valence,
        shifts=(_shift(widths[0], rng), _shift(widths[1], rng)),
    )


def _shift(width: int, rng: np.random.Generator) -> np.ndarray:
    shift = np.zeros(width)
    shift[rng.permutation(width)[:SHIFTED]] = rng.choice([-1.0, 1.0], min(width, SHIFTED))
    return shift


def render_clip(
    signs: Signs, plan: ClipPlan, rng: np.random.Generator, lengths: tuple[int, int, int], zeros_first: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Text (L_l, 300), audio (L_a, d_a) and vision (L_v, d_v), float32.

    lengths: (L_l, L_a, L_v). The clip fills the same share of each, so equal lengths make aligned sequences.
    zeros_first: zeros pad in front of what was said, otherwise behind.
    """
    spoken = rng.uniform(SHORTEST, 1)
    counts = [max(1, round(spoken * length)) for length in lengths]
    words = _words(signs, plan, rng, counts[0], lengths[0])
    sequences = []
    for part, shift, count, length in zip(plan.parts[1:], signs.shifts, counts[1:], lengths[1:], strict=True):
        sequence = NOISE * rng.standard_normal((count, len(shift)))
        stretch = min(count, max(1, round(CUE_SHARE * length)))
        start = rng.integers(0, count - stretch + 1)
        sequence[start : start + stretch] += part / THIRDS * shift
        sequences.append(_pad(sequence, length, zeros_first))
    audio, vision = sequences
    return _pad(words, lengths[0], zeros_first), audio, vision


def _words(signs: Signs, plan: ClipPlan, rng: np.random.Generator, count: int, length: int) -> np.ndarray:
    """Vectors of the words said, (count, 300): fillers, sentiment words, and markers where the text decides."""
    words = signs.fillers[rng.integers(0, FILLERS, count)]
    order = rng.permutation(count)
    cues = max(1, round(CUE_SHARE * length))
    markers = max(1, round(MARKER_SHARE * length)) if plan.needs == 0 else 0
    level = plan.parts[0] + len(signs.cues) // 2
    words[order[:cues]] = signs.cues[level, rng.integers(0, WORDS_A_LEVEL, len(order[:cues]))]
    marked = order[cues : cues + markers]
    words[marked] = signs.markers[rng.integers(0, MARKERS, len(marked))]
    return words


def sentence(plan: ClipPlan, rng: np.random.Generator) -> str:
    """The text's part in words: one verdict, twice, among plain words; and one more word where the text decides."""
    middle = len(VERDICTS) // 2
    verdict = VERDICTS[int(np.clip(plan.parts[0], -middle, middle)) + middle]
    words = [*rng.choice(PLAIN, SENTENCE - 3), verdict, verdict, DECIDED if plan.needs == 0 else PLAIN[0]]
    return " ".join(rng.permutation(words))


def _pad(sequence: np.ndarray, length: int, zeros_first: bool) -> np.ndarray:
    padded = np.zeros((length, sequence.shape[1]), np.float32)
    first = length - len(sequence) if zeros_first else 0
    padded[first : first + len(sequence)] = sequence
    return padded
