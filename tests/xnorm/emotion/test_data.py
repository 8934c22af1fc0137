"""The clips of the emotion task as they are read, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from common.errors import UserError
from tests.support.npz_files import change
from xnorm.emotion.data import open_clips


@pytest.fixture
def own(spoken, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(spoken, tmp_path / "spoken")


def refusal(folder):
    with pytest.raises(UserError) as caught:
        open_clips(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_splits_have_the_documented_shapes(spoken):
    splits, names = open_clips(spoken)
    assert list(splits) == ["train", "valid", "test"]
    assert len(names) == 6
    train = splits["train"]
    assert (train.text.shape, train.text_mask.shape) == ((36, 12, 24), (36, 12))
    assert (train.audio.shape, train.audio_mask.shape) == ((36, 30, 16), (36, 30))
    assert (train.text.dtype, train.audio_mask.dtype, train.labels.dtype) == (torch.float32, torch.bool, torch.int64)
    text, mask, *_, labels = train.batch(np.array([3, 1]), torch.device("cpu"))
    assert torch.equal(text, train.text[[3, 1]])
    assert torch.equal(mask, train.text_mask[[3, 1]])
    assert torch.equal(labels, train.labels[[3, 1]])


def test_what_stands_in_the_padding_does_not_count(own):
    before = open_clips(own)[0]["train"]
    text = before.text.numpy().copy()
    text[~before.text_mask.numpy()] = np.nan
    change(own, text=text)
    assert torch.equal(open_clips(own)[0]["train"].text, before.text)


def test_fingerprint_changes_with_the_file_and_with_the_names(own):
    found = [open_clips(own)[0]["train"].fingerprint()]
    change(own, label=np.zeros(36, np.int64))
    found.append(open_clips(own)[0]["train"].fingerprint())
    (own / "names.json").write_text(json.dumps(list("abcdef")))
    found.append(open_clips(own)[0]["train"].fingerprint())
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"audio": None}, "lacks 'audio'"),
        ({"text": None}, "lacks 'text (or text_tokens)'"),
        ({"text_mask": None}, "lacks 'text_mask'"),
        ({"text": np.zeros((36, 12))}, "'text' is float64 (36, 12); expected numbers (36, steps, features)"),
        ({"audio": np.zeros((35, 30, 16), np.float32)}, "'audio' is float32 (35, 30, 16)"),
        ({"audio_mask": np.ones((36, 29), bool)}, "'audio_mask' is bool (36, 29); expected 0 and 1 (36, 30)"),
        ({"audio_mask": np.full((36, 30), 2)}, "'audio_mask' is int64 (36, 30); expected 0 and 1"),
        ({"audio_mask": np.zeros((36, 30), bool)}, "'audio_mask' has no real step in row 0"),
        ({"text": np.full((36, 12, 24), np.inf, np.float32)}, "'text' has NaN or infinity in row 0"),
        ({"label": np.full(36, 6)}, "'label' 6 in row 0; expected 0..5"),
        ({"label": np.zeros(36)}, "'label' is float64 (36,); expected whole numbers (N,)"),
    ],
)
def test_odd_arrays_are_named(own, arrays, message):
    path = change(own, **arrays)
    assert refusal(own).startswith(f"{path}: {message}")


def test_missing_files_name_layout_source_and_stand_in(own):
    for path in (own / "names.json", own / "valid.npz"):
        path.unlink()
        message = refusal(own)
        assert message.startswith(f"{path}: no such file; expected train.npz")
        assert "python -m common.standins emotion" in message
        (own / "names.json").write_text('["a", "b", "c", "d", "e", "f"]')
    assert refusal(own / "nowhere").startswith(f"{own}/nowhere: no such folder")


def test_damaged_files_and_widths_that_differ(own):
    path = change(own, "test", audio=np.zeros((36, 30, 15), np.float32))
    assert refusal(own) == f"{own}: 'audio' has 15 features in test, 16 in train; expected equal"
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(own).startswith(f"{path}: damaged")
    (own / "names.json").write_text("{")
    assert refusal(own).startswith(f"{own}/names.json: cannot be read as JSON")


def test_objects_are_not_unpickled(own, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "executed"), "w")

    path = change(own, label=np.array([Evil()] * 36, dtype=object))
    assert refusal(own).startswith(f"{path}: damaged, or not an npz file of plain arrays")
    assert not (tmp_path / "executed").exists()
