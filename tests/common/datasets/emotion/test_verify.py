import json
import shutil

import numpy as np
import pytest

from common.datasets.emotion.standin import EMOTIONS, write_emotion
from common.errors import UserError
from common.verify.__main__ import main
from tests.support.npz_files import change


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoken") / "d"
    write_emotion(folder, 24)
    return folder


@pytest.fixture
def data(written, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(written, tmp_path / "d")


def verify(capsys, folder):
    """Exit status and printed lines."""
    try:
        main(["emotion", str(folder)])
        status = 0
    except SystemExit as stop:
        status = stop.code
    return status, capsys.readouterr().out.splitlines()


def test_sound_folder_is_summed_up(data, capsys):
    status, lines = verify(capsys, data)
    with np.load(data / "train.npz") as stored:
        steps, real = stored["text_mask"].sum(axis=1), stored["text"][stored["text_mask"]]
    assert (status, lines[0], lines[-1]) == (0, f"{data}: 6 emotions (stand-in)", "all is well")
    assert "train: 24 clips" in lines
    assert (
        f"  text   float32 24x12x24, {steps.min()} to {steps.max()} real steps, from {real.min():.3f} to "
        f"{real.max():.3f}, mean size {np.abs(real).mean(dtype=np.float64):.3f}"
    ) in lines
    assert lines.count(f"    0  {EMOTIONS[0]:10}  16.67%") == 3
    assert not any(line.startswith("note") for line in lines)


def test_real_data_are_not_called_a_stand_in(data, capsys):
    (data / "standin.json").unlink()
    assert verify(capsys, data)[1][0] == f"{data}: 6 emotions"


def test_every_unusable_split_is_named_and_the_others_are_still_read(data, capsys):
    audio = np.full((24, 30, 16), np.nan, np.float32)
    train = change(data, audio=audio)
    (data / "test.npz").write_bytes((data / "test.npz").read_bytes()[:-100])
    status, lines = verify(capsys, data)
    assert status == 1
    assert f"  {train}: 'audio' has NaN or infinity in row 0; expected finite numbers" in lines
    assert any(line.startswith(f"  {data / 'test.npz'}: damaged") for line in lines)
    assert "valid: 12 clips" in lines
    assert lines[-1] == "2 problems"


def test_widths_that_differ_are_a_problem(data, capsys):
    change(data, "valid", audio=np.zeros((12, 30, 15), np.float32))
    status, lines = verify(capsys, data)
    assert status == 1
    assert f"{data}: 'audio' has 15 features in valid, 16 in train; expected equal" in lines
    assert lines[-1] == "1 problem"


def test_emotion_that_never_occurs_and_audio_that_stands_twice_are_notes(data, capsys):
    with np.load(data / "train.npz") as stored:
        content = dict(stored)
    label = np.where(content["label"] == 2, 0, content["label"])
    content["audio"][1], content["audio_mask"][1] = content["audio"][0], content["audio_mask"][0]
    change(data, label=label, audio=content["audio"], audio_mask=content["audio_mask"])
    with np.load(data / "test.npz") as stored:
        test = dict(stored)
    for key in ("audio", "audio_mask"):
        test[key][5] = content[key][0]
    change(data, "test", audio=test["audio"], audio_mask=test["audio_mask"])
    status, lines = verify(capsys, data)
    assert (status, lines[-1]) == (0, "all is well")
    assert [line for line in lines if line.startswith("note")] == [
        "note: train has no clip of sad",
        "note: 1 clips of train have the audio of another one",
        "note: the audio of 1 clips stands in train and in test",
    ]


def test_word_pieces_are_summed_up_in_the_place_of_features(data, capsys):
    for split, count in (("train", 24), ("valid", 12), ("test", 24)):
        tokens = np.ones((count, 3, 9), np.int64)
        tokens[:, 0] = np.arange(9) + 100
        change(data, split, text=None, text_mask=None, text_tokens=tokens)
    status, lines = verify(capsys, data)
    assert status == 0
    assert "  text   tokens 24x3x9, 9 to 9 real steps, word pieces 100 to 108" in lines
    tokens[3, 0, 2] = -1
    path = change(data, "test", text_tokens=tokens)
    status, lines = verify(capsys, data)
    assert (status, lines[-1]) == (1, "1 problem")
    assert f"{path}: 'text_tokens' has a negative word piece in row 3; expected numbers from 0" in lines


def test_missing_folder_or_names_are_bad_usage(data, tmp_path):
    with pytest.raises(UserError, match=r"no such folder; expected train.npz.*common.standins emotion"):
        main(["emotion", str(tmp_path / "nope")])
    (data / "names.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(UserError, match=r"names.json: expected a JSON list"):
        main(["emotion", str(data)])
