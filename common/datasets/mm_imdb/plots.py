"""Plots as the mean of their words' word2vec vectors."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from common.datasets.word_vectors import read_word_vectors
from common.errors import UserError

WIDTH = 300  # of the published vectors
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words_of(text: str) -> list[str]:
    """Lower-case words: runs of letters and digits, an apostrophe inside belongs to them."""
    return WORD.findall(text.lower())


def mean_vectors(texts: Iterable[list[str]], vectors: dict[str, np.ndarray], width: int) -> np.ndarray:
    """float32 (n, width): the mean over each text's words, repeated ones counted; zeros where no word is known."""
    rows = []
    for words in texts:
        known = [vectors[word] for word in words if word in vectors]
        rows.append(np.mean(known, axis=0) if known else np.zeros(width))
    return np.array(rows, np.float32).reshape(-1, width)


def read_word2vec(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Float32 (300,) of those wanted words that the file has (formats: word_vectors.py).

    Raises UserError for a missing, packed or damaged file, another width, and a file that has none of the words.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such word2vec file; expected GoogleNews-vectors-negative300.bin, unpacked, or vectors of "
            f"{WIDTH} numbers as text, a word a line"
        )
    vectors = read_word_vectors(path, wanted, WIDTH)
    if wanted and not vectors:
        raise UserError(f"{path}: has none of the {len(wanted)} words of the texts; expected English words, lower case")
    return vectors
