"""Word vectors of a vocabulary from a local GloVe file, and sentences as sequences of them."""

import string
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import UserError

STRIPPED = str.maketrans("", "", string.punctuation)


def plain_words(sentence: str | Iterable[str]) -> list[str]:
    """Lower-case words without punctuation, of a string or a list of words; what is only punctuation falls away."""
    text = sentence if isinstance(sentence, str) else " ".join(sentence)
    return [word for word in (part.translate(STRIPPED) for part in text.lower().split()) if word]


def read_word_vectors(path: Path, vocabulary: set[str]) -> dict[str, np.ndarray]:
    """Float32 vectors (d,) of those words of the vocabulary that the file knows; of a repeated word the first.

    path: GloVe's text format, `word v1 ... vd` a line (or first a line with the number of words and d);
    or .npz with the arrays words (V,) and vectors (V, d).
    Raises UserError naming the file, and the line, where it is missing or of another form.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected GloVe vectors, such as glove.840B.300d.txt of the Stanford NLP group "
            "(unzipped), or .npz with the arrays words and vectors"
        )
    found = _read_arrays(path, vocabulary) if path.suffix == ".npz" else _read_text(path, vocabulary)
    if not found:
        raise UserError(f"{path}: knows none of the {len(vocabulary)} words; expected vectors of English words")
    return found


def _read_text(path: Path, vocabulary: set[str]) -> dict[str, np.ndarray]:
    wanted = {word.encode() for word in vocabulary}
    found: dict[str, np.ndarray] = {}
    width = 0
    with open(path, "rb") as file:
        for number, line in enumerate(tqdm(file, desc="word vectors", unit=" words", disable=None), start=1):
            line = line.rstrip()
            if number == 1:
                width = _width(line)
            # Some words of the large files hold spaces, so the numbers are counted from the end.
            if line.split(b" ", 1)[0] in wanted:
                word, *values = line.rsplit(b" ", width)
                if word in wanted:
                    found.setdefault(word.decode(), _vector(values, width, f"{path}:{number}"))
    return found


def _width(first_line: bytes) -> int:
    """Numbers a word: as the first line counts them, or has itself."""
    parts = first_line.split()
    header = len(parts) == 2 and all(part.isdigit() for part in parts)
    return int(parts[1]) if header else first_line.count(b" ")


def _vector(values: list[bytes], width: int, where: str) -> np.ndarray:
    try:
        vector = np.array(values, dtype=np.float32)
    except ValueError:
        vector = np.empty(0, dtype=np.float32)
    if vector.shape != (width,) or not np.isfinite(vector).all():
        raise UserError(f"{where}: expected a word and {width} numbers between spaces, as the first line says")
    return vector


def _read_arrays(path: Path, vocabulary: set[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            words, vectors = arrays["words"], arrays["vectors"]
    except KeyError as error:
        raise UserError(f"{path}: no array {error.args[0]!r}; expected the arrays words and vectors") from error
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        raise UserError(f"{path}: cannot be read as an .npz file without objects ({error})") from error
    if words.ndim != 1 or vectors.shape[:1] != words.shape or vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise UserError(
            f"{path}: words is {words.dtype} {words.shape}, vectors {vectors.dtype} {vectors.shape}; expected strings "
            "(V,) and floats (V, d)"
        )
    names = (word.decode() if isinstance(word, bytes) else word for word in words.tolist())
    places: dict[str, int] = {}
    for row, word in enumerate(names):
        if word in vocabulary:
            places.setdefault(word, row)
    return {word: vectors[row].astype(np.float32) for word, row in places.items()}


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
