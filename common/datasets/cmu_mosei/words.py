"""Spoken sentences as sequences of GloVe vectors."""

import string
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from common.datasets.word_vectors import read_word_vectors
from common.errors import UserError

STRIPPED = str.maketrans("", "", string.punctuation)


def plain_words(sentence: str | Iterable[str]) -> list[str]:
    """Lower-case words without punctuation, of a string or a list of words; what is only punctuation falls away."""
    text = sentence if isinstance(sentence, str) else " ".join(sentence)
    return [word for word in (part.translate(STRIPPED) for part in text.lower().split()) if word]


def read_glove(path: Path, vocabulary: set[str]) -> dict[str, np.ndarray]:
    """Float32 vectors (d,) of those words of the vocabulary that the file knows (formats: word_vectors.py).

    Raises UserError for a missing or damaged file and where it knows no word.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected GloVe vectors, such as glove.840B.300d.txt of the Stanford NLP group "
            "(unzipped), or .npz with the arrays words and vectors"
        )
    found = read_word_vectors(path, vocabulary)
    if not found:
        raise UserError(f"{path}: knows none of the {len(vocabulary)} words; expected vectors of English words")
    return found


def embed(sentences: list[list[str]], vectors: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """Float32 (N, steps, d): a vector a word, zeros for unknown words and behind the last; longer ones are cut."""
    words = list(vectors)
    table = np.stack([np.zeros_like(vectors[words[0]]), *vectors.values()])
    rows = {word: row for row, word in enumerate(words, start=1)}
    numbers = np.zeros((len(sentences), steps), np.int64)
    for number, sentence in zip(numbers, sentences, strict=True):
        cut = sentence[:steps]
        number[: len(cut)] = [rows.get(word, 0) for word in cut]
    return table[numbers]
