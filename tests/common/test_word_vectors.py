"""One reader for the formats of GloVe and word2vec, equally strict with all of them."""

import numpy as np
import pytest

from common.datasets.word_vectors import read_word_vectors
from common.errors import UserError

WORDS = ("the", "night", "né")
VECTORS = np.array([[1.5, -2.0], [0.25, 3e-5], [7.0, 8.0]], np.float32)
FORMATS = ("a.txt", "headed.txt", "a.bin", "a.npz")


def write(path, vectors=VECTORS):
    lines = [f"{word} {' '.join(map(repr, map(float, row)))}" for word, row in zip(WORDS, vectors, strict=True)]
    if path.suffix == ".npz":
        np.savez(path, words=np.array(WORDS), vectors=vectors)
    elif path.suffix == ".bin":
        rows = zip(WORDS, vectors.astype("<f4"), strict=True)
        path.write_bytes(b"3 2\n" + b"".join(word.encode() + b" " + row.tobytes() + b"\n" for word, row in rows))
    else:
        header = ["3 2"] if path.name == "headed.txt" else []
        path.write_text("\n".join([*header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("width", [None, 2])
def test_all_formats_give_the_same_vectors(tmp_path, name, width):
    found = read_word_vectors(write(tmp_path / name), {*WORDS, "unknown"}, width)
    assert set(found) == set(WORDS)
    for word, vector in zip(WORDS, VECTORS, strict=True):
        assert found[word].dtype == np.float32
        assert np.array_equal(found[word], vector)


@pytest.mark.parametrize("name", FORMATS)
def test_words_that_no_one_wants_are_left_out(tmp_path, name):
    assert set(read_word_vectors(write(tmp_path / name), ["night", "unknown"])) == {"night"}
    assert read_word_vectors(write(tmp_path / name), []) == {}


@pytest.mark.parametrize("name", FORMATS)
def test_another_width_than_expected_is_refused_by_all(tmp_path, name):
    with pytest.raises(UserError, match=r"2 numbers.*expected 300"):
        read_word_vectors(write(tmp_path / name), WORDS, 300)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vector_that_is_not_finite_is_refused_by_all_where_it_is_wanted(tmp_path, name, value):
    path = write(tmp_path / name, np.where(VECTORS == 0.25, value, VECTORS))
    with pytest.raises(UserError, match=r"finite"):
        read_word_vectors(path, WORDS)
    assert set(read_word_vectors(path, ["the"])) == {"the"}


@pytest.mark.parametrize("name", FORMATS)
def test_file_that_is_missing_or_packed_is_named(tmp_path, name):
    with pytest.raises(UserError, match=rf"{name}: no such file; expected word vectors"):
        read_word_vectors(tmp_path / name, WORDS)
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(UserError, match=rf"{name}: packed with gzip; unpack it first"):
        read_word_vectors(tmp_path / name, WORDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\nother 1 2\n", "a.txt:2: 2 numbers after the word, expected 3"),  # though no one wants it
        ("the\n", "a.txt:1: 0 numbers after the word, expected at least one"),
        ("the 1 2 3\nnight 1 2 3", ""),
        ("the 1 2 3\n\nnight 1 2 3\n", ""),
        ("2 0\nthe\n", "a.txt: vectors of 0 numbers"),
    ],
)
def test_lines_of_text_are_counted(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    if not message:
        assert set(read_word_vectors(tmp_path / "a.txt", WORDS)) == {"the", "night"}
        return
    with pytest.raises(UserError, match=message):
        read_word_vectors(tmp_path / "a.txt", WORDS)


def test_of_a_repeated_word_the_first_counts_in_arrays_too(tmp_path):
    np.savez(tmp_path / "a.npz", words=np.array(["the", "the"]), vectors=np.array([[1.0], [2.0]]))
    assert read_word_vectors(tmp_path / "a.npz", ["the"])["the"].tolist() == [1]
