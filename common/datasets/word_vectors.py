"""Word vectors of a vocabulary from local files, in the formats of GloVe and of word2vec.

*.npz    arrays words (V,), strings or bytes, and vectors (V, d), floats
*.bin    word2vec's binary format: a line "COUNT WIDTH", then COUNT times the word, a space, WIDTH little-endian
         float32 and perhaps a newline
others   text: `word v1 ... vd` a line, numbers between single spaces; the first line may be "COUNT WIDTH"
"""

import mmap
from collections.abc import Collection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import UserError

Vectors = dict[str, np.ndarray]


def read_word_vectors(path: Path, wanted: Collection[str], width: int | None = None) -> Vectors:
    """Float32 vectors (d,) of those wanted words that the file has; of a word that stands twice, the first.

    width: the d that is expected; by default the file's.
    Raises UserError, naming the file and in texts the line, where it is missing, packed or damaged, where a line has
    too few numbers or a wanted word's are not all finite, and for another width.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected word vectors as text, word2vec's *.bin, or *.npz")
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise UserError(f"{path}: packed with gzip; unpack it first: gunzip {path}")
    read = {".npz": _read_arrays, ".bin": _read_binary}.get(path.suffix, _read_text)
    return read(path, set(wanted), width)


def _read_text(path: Path, wanted: set[str], width: int | None) -> Vectors:
    known: set[bytes] = {word.encode() for word in wanted}
    found: Vectors = {}
    with open(path, "rb") as file:
        for number, line in enumerate(tqdm(file, desc="word vectors", unit=" words", disable=None), start=1):
            line = line.rstrip()
            if number == 1 and (header := _header(line)):
                width = _checked_width(path, header[1], width)
                continue
            spaces = line.count(b" ")
            if line and (spaces < (width or 1) or (number == 1 and spaces != (width or spaces))):
                raise _odd_line(path, number, line, width)
            width = width or spaces
            # Some words of the large files hold spaces, so the numbers are counted from the end.
            if line.split(b" ", 1)[0] in known:
                word, *values = line.rsplit(b" ", width)
                if word in known:
                    found.setdefault(word.decode(), _vector(values, f"{path}:{number}"))
    return found


def _header(line: bytes) -> tuple[int, int] | None:
    """Words and numbers a word, where the line says so."""
    parts = line.split()
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(part.isdigit() for part in parts) else None


def _checked_width(path: Path, found: int, expected: int | None) -> int:
    if found < 1 or expected not in (None, found):
        raise UserError(f"{path}: vectors of {found} numbers, expected {expected or 'at least one'}")
    return found


def _odd_line(path: Path, number: int, line: bytes, width: int | None) -> UserError:
    try:
        line.decode()
    except UnicodeDecodeError:
        return UserError(f"{path}: not a text file in UTF-8; a binary word2vec file has to be called *.bin")
    numbers = line.count(b" ")
    return UserError(f"{path}:{number}: {numbers} numbers after the word, expected {width or 'at least one'}")


def _vector(values: list[bytes], where: str) -> np.ndarray:
    try:
        vector = np.array(values, np.float32)
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        raise UserError(
            f"{where}: expected a word and {len(values)} numbers between spaces; not all of the expected {len(values)} "
            "numbers are finite ones"
        )
    return vector


def _read_binary(path: Path, wanted: set[str], width: int | None) -> Vectors:
    vectors: Vectors = {}
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty; expected word2vec's binary format. Copy it again")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = data.readline()
        header = _header(first)
        if header is None:
            raise UserError(
                f"{path}: begins with {first.split()[:3]}, expected COUNT WIDTH as in word2vec's binary format"
            )
        count = header[0]
        place, size = data.tell(), 4 * _checked_width(path, header[1], width)
        for number in range(count):
            end = data.find(b" ", place)
            if end < 0 or end + 1 + size > len(data):
                raise UserError(
                    f"{path}: ends within word {number + 1} of {count}; the file is cut short. Copy it again"
                )
            word = data[place:end].lstrip(b"\n").decode(errors="replace")
            if word in wanted and word not in vectors:
                vectors[word] = np.frombuffer(data[end + 1 : end + 1 + size], "<f4").astype(np.float32)
                _check_finite(path, word, vectors[word])
            place = end + 1 + size
    return vectors


def _read_arrays(path: Path, wanted: set[str], width: int | None) -> Vectors:
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
    _checked_width(path, vectors.shape[1], width)
    names = (word.decode() if isinstance(word, bytes) else word for word in words.tolist())
    found: Vectors = {}
    for row, word in enumerate(names):
        if word in wanted and word not in found:
            found[word] = vectors[row].astype(np.float32)
            _check_finite(path, word, found[word])
    return found


def _check_finite(path: Path, word: str, vector: np.ndarray) -> None:
    if not np.isfinite(vector).all():
        raise UserError(f"{path}: the vector of '{word}' holds NaN or infinity; expected finite numbers")
