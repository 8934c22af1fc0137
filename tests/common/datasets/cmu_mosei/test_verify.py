import pickle

import numpy as np
import pytest

from common.datasets.cmu_mosei.verify import verify_sentiment
from common.errors import UserError
from common.verify.__main__ import main

MODALITIES = ("text", "audio", "vision")
SIZES = {"train": 14, "valid": 7, "test": 7}


def make_split(rows, name):
    rng = np.random.default_rng(rows)
    split = {
        key: rng.normal(size=(rows, 4, width)).astype(np.float32)
        for key, width in zip(MODALITIES, (6, 5, 3), strict=True)
    }
    split["labels"] = (np.arange(rows, dtype=np.float32) % 7 - 3).reshape(rows, 1, 1)
    split["id"] = np.array([[f"{name[:2]}{row:05d}".encode(), b"0", b"1"] for row in range(rows)])
    return split


@pytest.fixture
def content():
    return {name: make_split(rows, name) for name, rows in SIZES.items()}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def write(folder, content, name="mosi_data.pkl"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(content, 4))
    return folder


def verify(capsys, folder, names=None):
    """Number of problems and printed text."""
    count = verify_sentiment(folder, names)
    return count, capsys.readouterr().out


def test_sound_file_is_summed_up(folder, content, capsys):
    count, text = verify(capsys, write(folder, content))
    assert count == 0
    for line in (
        "mosi_data.pkl:",
        "  train: 14 clips",
        "    text    float32 14x4x6",
        "    audio   float32 14x4x5",
        "    vision  float32 14x4x3",
        "    labels  float32 14x1x1 from -3 to 3, 2 exactly zero",
        "    id      |S7 14x3, each once",
        "  valid: 7 clips",
    ):
        assert line in text.splitlines()
    assert text.count("seven classes  -3: 2, -2: 2, -1: 2, +0: 2, +1: 2, +2: 2, +3: 2") == 1
    assert "all zero" not in text


def test_classes_are_rounded_half_to_even(folder, content, capsys):
    content["valid"]["labels"] = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.0]).reshape(7, 1, 1)
    _, text = verify(capsys, write(folder, content))
    assert "-3: 0, -2: 2, -1: 0, +0: 2, +1: 0, +2: 2, +3: 1" in text


def test_minus_infinity_in_audio_is_told_and_no_problem(folder, content, capsys):
    content["train"]["audio"] = content["train"]["audio"].astype(np.float64)
    content["train"]["audio"][:2, 0, 0] = -np.inf
    content["train"]["audio"][2, 0, 0] = -1e300  # becomes -inf as float32
    count, text = verify(capsys, write(folder, content))
    assert count == 0
    assert "audio   float64 14x4x5, 3 -inf\n" in text


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("text", np.nan, "NaN"),
        ("audio", np.nan, "NaN"),
        ("audio", np.inf, "+inf"),
        ("vision", np.inf, "+inf"),
        ("vision", -np.inf, "-inf"),
        ("text", 1e39, "+inf"),
    ],
)
def test_values_that_no_model_takes_are_problems(folder, content, capsys, key, value, what):
    content["valid"][key] = content["valid"][key].astype(np.float64)
    content["valid"][key][3, 1, :2] = value
    count, text = verify(capsys, write(folder, content))
    assert count == 1
    assert f"{folder / 'mosi_data.pkl'}: split 'valid', '{key}': 2 entries are {what}; expected finite numbers" in text
    assert f", 2 {what}\n" in text


@pytest.mark.parametrize("value", [3.01, -4, np.nan, np.inf])
def test_labels_outside_the_range_are_a_problem_with_their_row(folder, content, capsys, value):
    content["test"]["labels"][[2, 5]] = value
    count, text = verify(capsys, write(folder, content))
    assert count == 1
    assert f"split 'test': 2 labels outside [-3, 3] or not a number, the first in row 2 ({value:g})" in text


def test_split_of_nothing_but_nan_labels_is_still_summed_up(folder, content, capsys):
    content["test"]["labels"][:] = np.nan
    count, text = verify(capsys, write(folder, content))
    assert count == 1
    assert "labels  float32 7x1x1, none a number" in text


def test_counts_hold_over_more_clips_than_are_looked_at_at_once(folder, capsys):
    content = {name: make_split(1100, name) for name in SIZES}
    content["train"]["audio"][[0, 511, 512, 1099], 0, 0] = -np.inf
    content["train"]["text"][[0, 600, 1099]] = 0
    count, text = verify(capsys, write(folder, content))
    assert count == 0
    assert "1100x4x5, 4 -inf" in text
    assert "    3 clips whose text is all zero\n" in text


def test_clips_with_any_word_are_not_counted_as_silent(folder, content, capsys):
    content["train"]["text"][:2] = 0
    content["train"]["text"][0, 3, 5] = -1e-6
    _, text = verify(capsys, write(folder, content))
    assert "    1 clips whose text is all zero\n" in text


def test_repeated_and_shared_ids_are_notes(folder, content, capsys):
    content["train"]["id"][[1, 2]] = content["train"]["id"][0]
    content["test"]["id"][:2] = content["train"]["id"][5:7]
    count, text = verify(capsys, write(folder, content))
    assert count == 0
    assert "14x3, 2 repeated" in text
    assert "  note: 2 ids stand in train and in test\n" in text


def test_further_arrays_and_missing_ids_are_told(folder, content, capsys):
    content["train"]["text_bert"] = np.zeros((14, 3, 4), np.int64)
    del content["train"]["id"]
    _, text = verify(capsys, write(folder, content))
    assert "text_bert  int64 14x3x4 (further array)" in text
    assert "    no ids\n" in text


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("mosi_raw.pkl", "(MOSI): 1284/229/686"),
        ("mosei_senti_data.pkl", "(MOSEI, aligned): 16265/1869/4643"),
        ("mosei_senti_data_noalign.pkl", "(MOSEI, unaligned): 16326/1871/4659"),
    ],
)
def test_published_sizes_stand_beside_other_ones(folder, content, capsys, name, published):
    _, text = verify(capsys, write(folder, content, name))
    assert f"  note: 14/7/7 clips in train, valid, test; commonly published {published}\n" in text


def test_published_sizes_need_no_note(folder, capsys):
    content = {name: make_split(rows, name) for name, rows in zip(SIZES, (1284, 229, 686), strict=True)}
    _, text = verify(capsys, write(folder, content))
    assert "note" not in text


def test_every_problem_of_every_file_is_a_line(folder, content, capsys):
    write(folder, content, "mosei_senti_data.pkl")
    del content["train"]["audio"]
    content["valid"]["labels"] = np.zeros((7, 2))
    del content["test"]
    write(folder, content, "mosi_data.pkl")
    (folder / "mosi_raw.pkl").write_bytes(b"\x80\x04\x95cut")
    (folder / "mosi_data_noalign.pkl").write_bytes(b"")
    (folder / "notes.pkl").write_bytes(b"")
    count, text = verify(capsys, folder)
    assert count == 5
    for part in (
        f"mosi_data.pkl: unusable\n  {folder / 'mosi_data.pkl'}: split 'train': no array 'audio'",
        f"\n  {folder / 'mosi_data.pkl'}: split 'valid': array 'labels' has the shape (7, 2)",
        f"\n  {folder / 'mosi_data.pkl'}: no split 'test'",
        f"mosi_raw.pkl: unusable\n  {folder / 'mosi_raw.pkl'}: truncated or damaged",
        f"mosi_data_noalign.pkl: unusable\n  {folder / 'mosi_data_noalign.pkl'}: is empty",
        "mosei_senti_data.pkl:\n  train: 14 clips",
    ):
        assert part in text
    assert "notes.pkl" not in text


def test_named_files_only_are_read(folder, content, capsys):
    write(folder, content, "anything.pkl")
    write(folder, content, "mosi_data.pkl")
    count, text = verify(capsys, folder, ["anything.pkl"])
    assert count == 0
    assert "anything.pkl:" in text
    assert "mosi_data.pkl" not in text


def test_stand_in_is_called_one(folder, content, capsys):
    write(folder, content)
    (folder / "standin.json").write_text("{}")
    _, text = verify(capsys, folder)
    assert text.startswith("mosi_data.pkl: (stand-in)\n")


def test_missing_folder_files_or_names_are_bad_usage(folder, content):
    with pytest.raises(UserError, match=r"no such folder; .*common.standins cmu_mosei"):
        verify_sentiment(folder)
    folder.mkdir()
    with pytest.raises(UserError, match=r"holds none of \*_data.pkl"):
        verify_sentiment(folder)
    write(folder, content)
    with pytest.raises(UserError, match=r"mosi_raw.pkl: no such file \(its folder holds mosi_data.pkl\)"):
        verify_sentiment(folder, ["mosi_raw.pkl"])


@pytest.mark.parametrize("dataset", ["cmu_mosei", "cmu_mosi"])
def test_command_ends_with_the_number_of_problems(folder, content, capsys, dataset):
    main([dataset, str(write(folder, content))])
    assert capsys.readouterr().out.splitlines()[-1] == "all is well"
    content["train"]["labels"][0] = 9
    with pytest.raises(SystemExit) as stop:
        main([dataset, str(write(folder, content)), "--files", "mosi_data.pkl"])
    assert stop.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"
