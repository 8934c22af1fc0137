import pickle
import re
import warnings

import numpy as np
import pytest

from common.datasets.cmu_mosei import reader
from common.datasets.cmu_mosei.reader import clean_audio, read_sentiment_file
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import describe_dataset

SIZES = {"train": 5, "valid": 2, "test": 3}
FORMS = {"text": (4, 30), "audio": (7, 5), "vision": (6, 20)}


def make_split(rows, seed=0):
    rng = np.random.default_rng(seed)
    split = {key: rng.normal(size=(rows, *form)) for key, form in FORMS.items()}
    split["labels"] = rng.uniform(-3, 3, (rows, 1, 1)).astype(np.float32)
    split["id"] = np.array([[f"video{row}".encode(), b"0.5", b"1.5"] for row in range(rows)])
    return split


@pytest.fixture
def content():
    return {name: make_split(rows, seed) for seed, (name, rows) in enumerate(SIZES.items())}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mosi_data_noalign.pkl"


def read(path, content):
    path.write_bytes(pickle.dumps(content, 4))
    return read_sentiment_file(path)


def error_of(path, content):
    """The message of the UserError: one line that begins with the file and ends with how to see all problems."""
    with pytest.raises(UserError) as error:
        read(path, content)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert message.endswith(f"python -m common.verify cmu_mosi {path.parent} --files {path.name}")
    return message


def test_splits_hold_the_file_as_it_is(path, content):
    content["train"]["audio"][0, 0, 0] = -np.inf
    splits = read(path, content)
    assert list(splits) == ["train", "valid", "test"]
    for name, split in splits.items():
        assert (split.name, split.path, split.folder, len(split)) == (name, path, path.parent, SIZES[name])
        assert (split.lengths, split.widths) == ((4, 7, 6), (30, 5, 20))
        for key, array in content[name].items():
            found = split.ids if key == "id" else getattr(split, key)
            assert found.dtype == array.dtype
            assert np.array_equal(found, array)
        assert split.extra == {}
    assert splits["train"].ids[4].tolist() == [b"video4", b"0.5", b"1.5"]


def test_ids_may_be_missing(path, content):
    del content["valid"]["id"]
    content["test"]["id"] = None
    splits = read(path, content)
    assert splits["train"].ids.shape == (5, 3)
    assert splits["valid"].ids is splits["test"].ids is None


@pytest.mark.parametrize("names", [["a$_$1", "b$_$2"], ("a$_$1", "b$_$2"), np.array(["a$_$1", "b$_$2"], object)])
def test_list_of_names_becomes_one_column_of_ids(path, content, names):
    content["valid"]["id"] = names
    assert read(path, content)["valid"].ids.tolist() == [["a$_$1"], ["b$_$2"]]


def test_further_arrays_with_a_row_for_each_clip_are_kept(path, content):
    for name, rows in SIZES.items():
        content[name]["text_bert"] = np.ones((rows, 3, 4), np.int64)
        content[name]["raw_text"] = np.array(["some words"] * rows, object)
        content[name]["mean"] = np.zeros(99)
        content[name]["note"] = "no array"
        content[name]["version"] = np.array(2)
    extra = read(path, content)["test"].extra
    assert {key: array.shape for key, array in extra.items()} == {"text_bert": (3, 3, 4), "raw_text": (3,)}
    assert extra["raw_text"][2] == "some words"


def test_fingerprint_is_of_file_and_split_and_the_file_is_hashed_once(path, content, monkeypatch):
    hashed = []
    monkeypatch.setattr(reader, "sha256_of", lambda file: hashed.append(file) or sha256_of(file))
    splits = read(path, content)
    first = [split.fingerprint() for split in splits.values()]
    assert first == [f"{name}:{sha256_of(path)}" for name in SIZES]
    assert hashed == [path]
    content["test"]["labels"][0] = 0.25
    assert read(path, content)["train"].fingerprint() != first[0]
    assert len(describe_dataset("cmu_mosi", list(splits.values()))["fingerprint"]) == 64


@pytest.mark.parametrize(("name", "dataset"), [("mosei_senti_data.pkl", "cmu_mosei"), ("mosi_raw.pkl", "cmu_mosi")])
def test_missing_file_tells_name_source_stand_in_and_hint(tmp_path, name, dataset):
    (tmp_path / "other_data.pkl").write_bytes(b"")
    with pytest.raises(UserError) as error:
        read_sentiment_file(tmp_path / name, "Or drop --aligned.")
    for part in (
        f"{tmp_path / name}: no such file (its folder holds other_data.pkl); expected {name}",
        "MulT's archive",
        "MultiBench's drive",
        f"python -m common.standins {dataset} {tmp_path} Or drop --aligned.",
    ):
        assert part in str(error.value)
    with pytest.raises(UserError, match="its folder is not there"):
        read_sentiment_file(tmp_path / "nope" / name)


@pytest.mark.parametrize("split", SIZES)
def test_missing_split_is_named(path, content, split):
    del content[split]
    found = ", ".join(map(repr, content))
    assert f"no split '{split}'; found the keys {found}, expected train, valid, test" in error_of(path, content)


@pytest.mark.parametrize("key", ["text", "audio", "vision", "labels"])
def test_missing_key_is_named(path, content, key):
    del content["test"][key]
    assert f"split 'test': no array '{key}'; found" in error_of(path, content)


@pytest.mark.parametrize("key", ["audio", "vision", "labels", "id"])
def test_unequal_rows_are_named(path, content, key):
    content["train"][key] = content["train"][key][:4]
    assert f"split 'train': array '{key}' has 4 rows, 'text' has 5; expected equal" in error_of(path, content)


@pytest.mark.parametrize("key", ["text", "audio", "vision", "labels"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:, 0], "'{}' has the shape"),
        (lambda a: a[None], "'{}' has the shape"),
        (lambda a: a.astype(object), "'{}' is of type object; expected numbers"),
        (lambda a: a.astype(str), "'{}' is of type <U"),
        (lambda a: a > 0, "'{}' is of type bool"),
        (lambda a: a.astype(complex), "'{}' is of type complex128"),
        (lambda a: a.tolist(), "'{}' is a list; expected an array of numbers"),
        (lambda a: a[:0], "'{}' is empty"),
    ],
)
def test_array_that_is_no_table_of_numbers_is_named(path, content, key, change, message):
    content["valid"][key] = change(content["valid"][key])
    assert "split 'valid': " in error_of(path, content)
    assert message.format(key) in error_of(path, content)


@pytest.mark.parametrize("key", ["text", "audio", "vision"])
def test_array_without_steps_or_features_is_refused(path, content, key):
    content["train"][key] = content["train"][key][:, :0]
    assert f"array '{key}' is empty: (5, 0, " in error_of(path, content)


def test_labels_are_one_score_a_clip(path, content):
    content["train"]["labels"] = np.zeros((5, 1, 6))
    assert "array 'labels' has the shape (5, 1, 6); expected (N, 1, 1)" in error_of(path, content)


@pytest.mark.parametrize("ids", [5, "abc", [["a"], ["b", "c"]], np.array(3)])
def test_ids_that_are_no_table_are_named(path, content, ids):
    content["valid"]["id"] = ids
    assert "split 'valid': 'id' is a " in error_of(path, content)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_widths_or_lengths_that_differ_between_splits_are_named(path, content, split):
    content[split]["vision"] = content[split]["vision"][:, :5, :19]
    assert (
        f"split '{split}': array 'vision' has 5 steps of 19 features, in 'train' 6 of 20; expected the same"
        in error_of(path, content)
    )


@pytest.mark.parametrize(("whole", "kind"), [([1, 2], "list"), (np.zeros(3), "ndarray"), ("text", "str")])
def test_content_that_is_no_dict_is_named(path, content, whole, kind):
    assert f"holds a {kind}; expected a dict" in error_of(path, whole)
    content["test"] = whole
    assert f"split 'test': is a {kind}; expected a dict" in error_of(path, content)


def test_pickle_that_would_run_code_is_refused(path):
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: holds 'os.system'"):
        read_sentiment_file(path)


def test_clean_audio_zeroes_minus_infinity_only():
    audio = np.array([[[-np.inf, np.inf, np.nan], [-3.4e38, 0.5, 0]]])
    before = audio.copy()
    clean = clean_audio(audio)
    assert clean.dtype == np.float32
    assert np.array_equal(clean, np.float32([[[0, np.inf, np.nan], [-3.4e38, 0.5, 0]]]), equal_nan=True)
    assert np.array_equal(audio, before, equal_nan=True)


def test_clean_audio_zeroes_what_lies_below_float32_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = clean_audio(np.array([[[-1e39, 1e39, np.nan, 2.0]]]))
    assert np.array_equal(clean, np.float32([[[0, np.inf, np.nan, 2]]]), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
def test_clean_audio_is_a_copy_of_any_dtype(dtype):
    audio = np.ones((2, 3, 4), dtype)
    clean = clean_audio(audio)
    clean[:] = 5
    assert clean.dtype == np.float32
    assert (audio == 1).all()
