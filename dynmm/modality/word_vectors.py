"""word2vec files, binary or text, and texts as the mean of their words' vectors."""

import mmap
import re
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from common.errors import UserError

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


def read_word_vectors(path: Path, wanted: Collection[str], width: int = 300) -> dict[str, np.ndarray]:
    """float32 (width,) of those wanted words that the file has; of a word that stands twice, the first.

    path: "*.bin" is word2vec's binary format, anything else its text format (the line "COUNT WIDTH" may be missing).
    Raises UserError for a missing, packed or damaged file, another width, and a file that has none of the words.
    """
    if not path.is_file():
        raise UserError(
            f"{path}: no such word2vec file; expected GoogleNews-vectors-negative300.bin, unpacked, or vectors of "
            f"{width} numbers as text, a word a line"
        )
    with open(path, "rb") as file:
        if file.read(2) == b"\x1f\x8b":
            raise UserError(f"{path}: packed with gzip; unpack it first: gunzip {path}")
    wanted = set(wanted)
    vectors = (_read_binary if path.suffix == ".bin" else _read_text)(path, wanted, width)
    if wanted and not vectors:
        raise UserError(f"{path}: has none of the {len(wanted)} words of the texts; expected English words, lower case")
    return vectors


def _read_binary(path: Path, wanted: set[str], width: int) -> dict[str, np.ndarray]:
    """A line "COUNT WIDTH", then COUNT times: the word, a space, WIDTH little-endian float32, perhaps a newline."""
    vectors: dict[str, np.ndarray] = {}
    if path.stat().st_size == 0:
        raise UserError(f"{path}: empty; expected word2vec's binary format. Copy it again")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        header = data.readline().split()
        if len(header) != 2 or not all(part.isdigit() for part in header):
            raise UserError(f"{path}: begins with {header[:3]}, expected COUNT WIDTH as in word2vec's binary format")
        count = int(header[0])
        _check_width(path, int(header[1]), width)
        place, size = data.tell(), 4 * width
        for number in range(count):
            end = data.find(b" ", place)
            if end < 0 or end + 1 + size > len(data):
                raise UserError(
                    f"{path}: ends within word {number + 1} of {count}; the file is cut short. Copy it again"
                )
            word = data[place:end].lstrip(b"\n").decode(errors="replace")
            if word in wanted and word not in vectors:
                vectors[word] = np.frombuffer(data[end + 1 : end + 1 + size], "<f4").astype(np.float32)
            place = end + 1 + size
    return vectors


def _read_text(path: Path, wanted: set[str], width: int) -> dict[str, np.ndarray]:
    vectors: dict[str, np.ndarray] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                word, *numbers = line.rstrip().split(" ")
                if number == 1 and len(numbers) == 1:
                    _check_width(path, int(numbers[0]), width)
                elif len(numbers) != width:
                    raise UserError(f"{path}:{number}: {len(numbers)} numbers after the word, expected {width}")
                elif word in wanted and word not in vectors:
                    vectors[word] = np.array(numbers, np.float32)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file in UTF-8; a binary word2vec file has to be called *.bin") from error
    except ValueError as error:
        raise UserError(f"{path}:{number}: {error}; expected {width} numbers after the word") from error
    return vectors


def _check_width(path: Path, found: int, width: int) -> None:
    if found != width:
        raise UserError(f"{path}: vectors of {found} numbers, expected {width}")
