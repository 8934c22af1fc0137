import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from common.datasets.cmu_mosei.prepare import FILE_NAME
from common.datasets.cmu_mosei.reader import read_sentiment_file
from common.datasets.cmu_mosei.words import embed, plain_words
from common.datasets.word_vectors import read_word_vectors
from common.errors import UserError
from ucrn.repack_tbje import main

VECTORS = {"the": [1, 2, 3], "movie": [4, 5, 6], "dont": [-1, 0.5, 0], "at": [7, 7, 7]}
SENTENCES = {
    "abc_1[0]": ["The", "MOVIE,", "xyzzy", "..."],
    "abc_1[1]": "Don't -- the movie",
    "x[y][12]": [],
}


def write_split(folder, split, spoken=SENTENCES, vision=None, **changes):
    rng = np.random.default_rng(len(split))
    tables = {
        "sentences": spoken,
        "mels": {key: rng.normal(size=(2 + row, 80)) for row, key in enumerate(spoken)},
        "sentiment": {key: np.array([row - 1.5]) for row, key in enumerate(spoken)},
    }
    if vision:
        tables["resnet"] = {key: np.full((70, vision), row, np.float32) for row, key in enumerate(spoken)}
    for name, table in {**tables, **changes}.items():
        (folder / f"{split}_{name}.p").write_bytes(pickle.dumps(table, 2))
    return tables


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, values))}\n" for word, values in VECTORS.items()))
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        write_split(folder, split)
    return folder


def repack(source, glove, *flags):
    """The splits of the file that the command wrote."""
    target = source.parent / "target"
    main([str(source), str(target), "--glove", str(glove), *flags])
    return read_sentiment_file(target / FILE_NAME)


def error_of(source, glove, *flags):
    """The command's one line; nothing is written."""
    with pytest.raises(UserError) as error:
        repack(source, glove, *flags)
    assert "\n" not in str(error.value)
    assert not (source.parent / "target").exists()
    return str(error.value)


def test_target_is_read_like_any_release(source, glove):
    splits = repack(source, glove)
    train = splits["train"]
    assert (train.lengths, train.widths) == ((60, 60, 1), (3, 80, 1))
    assert all(getattr(train, key).dtype == np.float32 for key in ("text", "audio", "vision", "labels"))
    assert [len(split) for split in splits.values()] == [3, 3, 3]
    assert train.labels.ravel().tolist() == [-1.5, -0.5, 0.5]
    assert train.ids.tolist() == [["abc_1", "0", "abc_1[0]"], ["abc_1", "1", "abc_1[1]"], ["x[y]", "12", "x[y][12]"]]
    assert not train.vision.any()


def test_words_become_their_vectors_with_zeros_behind(source, glove):
    text = repack(source, glove)["valid"].text
    assert text[0, :3].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]  # the third word is unknown
    assert text[1, :3].tolist() == [[-1, 0.5, 0], [1, 2, 3], [4, 5, 6]]  # a string, the dash no word
    assert not text[0, 3:].any()
    assert not text[2].any()


def test_sequences_are_cut_or_padded_behind(source, glove):
    for split in ("train", "valid", "test"):
        tables = write_split(source, split, vision=512)
    splits = repack(source, glove, "--vision-suffix", "resnet")
    assert (splits["test"].lengths, splits["test"].widths) == ((60, 60, 60), (3, 80, 512))
    mel = tables["mels"]["abc_1[1]"].astype(np.float32)
    assert np.array_equal(splits["test"].audio[1, :3], mel)
    assert not splits["test"].audio[1, 3:].any()
    assert (splits["test"].vision == np.arange(3).reshape(3, 1, 1)).all()


def test_long_sentence_is_cut(source, glove):
    write_split(source, "train", {"v[0]": "the " * 5 + "movie"})
    text = repack(source, glove, "--steps", "4")["train"].text
    assert text.tolist() == [[[1, 2, 3]] * 4]


def test_counts_dropped_keys_and_unknown_words_are_printed(source, glove, capsys):
    mels = {f"only_in_mels[{number}]": np.zeros((1, 80)) for number in range(12)}
    write_split(source, "valid", mels={**mels, "abc_1[1]": np.ones((3, 80))})
    splits = repack(source, glove)
    assert splits["valid"].ids[:, 2].tolist() == ["abc_1[1]"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train: 3 clips, 0 dropped; 6 words, 16.67% unknown (1 different)"
    assert lines[1] == "  1 clips without words"
    assert lines[2] == "valid: 1 clips, 14 dropped; 3 words, 0.00% unknown (0 different)"
    assert lines[3].startswith("  dropped, since not in all files: abc_1[0], x[y][12], only_in_mels[0], ")
    assert lines[3].endswith("only_in_mels[7] and 4 more")
    assert lines[-1] == f"wrote {source.parent / 'target' / FILE_NAME}: train 3, valid 1, test 3 clips"


def test_file_that_is_there_is_kept_unless_asked(source, glove):
    repack(source, glove)
    with pytest.raises(UserError, match=r"is there already; .*--overwrite"):
        repack(source, glove)
    write_split(source, "train", {"v[0]": "the"})
    assert len(repack(source, glove, "--overwrite")["train"]) == 1
    assert os.listdir(source.parent / "target") == [FILE_NAME]


@pytest.mark.parametrize("name", ["sentences", "mels", "sentiment"])
def test_missing_file_is_named(source, glove, name):
    (source / f"test_{name}.p").unlink()
    assert f"{source / f'test_{name}.p'}: no such file; expected TBJE's features" in error_of(source, glove)


def test_missing_vision_is_named(source, glove):
    assert "train_resnet.p: no such file" in error_of(source, glove, "--vision-suffix", "resnet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentences": {"abc_1[0]": 5}}, "train_sentences.p: 'abc_1[0]': is a int; expected a string or a list"),
        ({"sentences": {"abc_1[0]": ["a", None]}}, "train_sentences.p: 'abc_1[0]': is a list; expected"),
        ({"sentences": {"abc_1": "the"}}, "train_sentences.p: the key 'abc_1' is none; expected video[segment]"),
        ({"sentences": ["the"]}, "train_sentences.p: holds a list; expected a dict"),
        ({"sentences": {"other[0]": "the"}}, "have no key in common"),
        ({"mels": {"abc_1[0]": np.zeros(80)}}, "train_mels.p: 'abc_1[0]': is float64 (80,); expected an array"),
        ({"mels": {"abc_1[0]": [[1.0]]}}, "train_mels.p: 'abc_1[0]': is a list; expected an array"),
        ({"mels": {"abc_1[0]": np.zeros((2, 80)), "abc_1[1]": np.zeros((2, 79))}}, "expected 80 features"),
        ({"mels": {"abc_1[0]": np.zeros((2, 79))}}, "array 'audio' has 60 steps of 80 features, in 'train' 60 of 79"),
        ({"sentiment": {"abc_1[0]": 3.5}}, "train_sentiment.p: 'abc_1[0]': the score is '3.5'; expected one number"),
        ({"sentiment": {"abc_1[0]": np.nan}}, "the score is 'nan'; expected one number in [-3, 3]"),
        ({"sentiment": {"abc_1[0]": np.zeros(6)}}, "expected one number in [-3, 3]"),
    ],
)
def test_entry_of_another_form_is_named(source, glove, change, message):
    write_split(source, "train", **change)
    assert message in error_of(source, glove)


def test_pickle_that_would_run_code_is_refused(source, glove):
    (source / "train_mels.p").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "train_mels.p: holds 'os.system'" in error_of(source, glove)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\nmovie 1 2 x\n", "glove.txt:2: expected a word and 3 numbers"),
        ("the 1 2 3\nmovie 1 2 inf\n", "glove.txt:2: expected a word and 3 numbers"),
        ("unrelated 1 2 3\n", "glove.txt: knows none of the 4 words"),
        ("", "glove.txt: knows none"),
    ],
)
def test_word_vectors_of_another_form_are_named(source, glove, text, message):
    glove.write_text(text)
    assert message in error_of(source, glove)


def test_missing_word_vectors_and_flag_are_named(source, glove):
    assert "nope.txt: no such file; expected GloVe vectors" in error_of(source, source / "nope.txt")
    with pytest.raises(UserError, match="--glove"):
        main([str(source), "target"])


def test_words_with_spaces_and_a_first_line_of_counts_are_understood(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_bytes("4 2\nat name@x.org 9 9\nat 1 2\nat 3 4\nné 5 6\n. . . 7 8\n".encode())
    vectors = read_word_vectors(path, {"at", "né", "name@x.org"})
    assert {word: vector.tolist() for word, vector in vectors.items()} == {"at": [1, 2], "né": [5, 6]}
    assert vectors["at"].dtype == np.float32


@pytest.mark.parametrize("kind", [str, bytes])
def test_arrays_of_words_and_vectors_are_read_alike(tmp_path, glove, kind):
    words = np.array([word if kind is str else word.encode() for word in VECTORS])
    np.savez(tmp_path / "v.npz", words=words, vectors=np.array(list(VECTORS.values()), np.float64))
    arrays, text = (read_word_vectors(path, {"the", "dont", "new"}) for path in (tmp_path / "v.npz", glove))
    assert {word: vector.tolist() for word, vector in arrays.items()} == {"the": [1, 2, 3], "dont": [-1, 0.5, 0]}
    assert all(np.array_equal(arrays[word], text[word]) for word in text)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"words": np.array(["the"])}, "no array 'vectors"),
        ({"words": np.array(["the"]), "vectors": np.zeros((2, 3))}, "expected strings"),
        ({"words": np.array(["the"], object), "vectors": np.zeros((1, 3))}, "without objects"),
    ],
)
def test_arrays_of_another_form_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(UserError, match=rf"v.npz: .*{message}"):
        read_word_vectors(tmp_path / "v.npz", {"the"})


def test_string_and_list_of_words_are_the_same_sentence():
    expected = ["its", "a", "nice", "movie", "2012"]
    assert plain_words("It's a NICE movie -- (2012).") == expected
    assert plain_words(["It's", "a", "NICE movie", "--", "(2012)."]) == expected


def test_embedding_follows_the_order_of_words():
    vectors = {"a": np.float32([1, 2]), "b": np.float32([3, 4])}
    assert embed([["b", "?", "a"], [], ["a"] * 5], vectors, 3).tolist() == [
        [[3, 4], [0, 0], [1, 2]],
        [[0, 0], [0, 0], [0, 0]],
        [[1, 2], [1, 2], [1, 2]],
    ]


def test_command_fails_with_status_2_and_one_line(source, glove):
    command = [sys.executable, "-m", "ucrn.repack_tbje", str(source / "no"), str(source), "--glove", str(glove)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
