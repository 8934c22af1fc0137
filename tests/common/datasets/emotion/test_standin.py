"""The stand-in of spoken clips with emotions: its files, and what they allow to know."""

import json

import numpy as np
import pytest

from common.datasets.emotion.standin import (
    AUDIO_CUES,
    EMOTIONS,
    TEXT_CUES,
    _draw_signs,
    cues,
    oracle_accuracy,
    render_clips,
    write_emotion,
)
from common.errors import UserError
from common.standins.__main__ import main
from common.standins.marker import is_standin


def test_command_writes_all_files_and_says_that_it_is_a_stand_in(tmp_path):
    main(["emotion", str(tmp_path), "--samples", "24", "--seed", "3"])
    assert {path.name for path in tmp_path.iterdir()} == {
        *("train.npz", "valid.npz", "test.npz", "names.json", "standin.json")
    }
    assert is_standin(tmp_path)
    assert json.loads((tmp_path / "names.json").read_text()) == list(EMOTIONS)
    shapes = {
        "text": (24, 12, 24),
        "text_mask": (24, 12),
        "audio": (24, 30, 16),
        "audio_mask": (24, 30),
        "label": (24,),
    }
    with np.load(tmp_path / "train.npz") as stored:
        assert {name: stored[name].shape for name in stored.files} == shapes
    with np.load(tmp_path / "valid.npz") as stored:
        assert len(stored["label"]) == 12


def test_clip_is_a_function_of_seed_and_number():
    few, many = render_clips(5, range(3, 5)), render_clips(5, range(6))
    assert all(np.array_equal(few[name], many[name][3:5]) for name in few)
    assert not np.array_equal(render_clips(6, range(3, 5))["text"], few["text"])


def test_emotions_are_equally_frequent_and_padding_is_zero():
    clips = render_clips(0, range(60))
    assert np.bincount(clips["label"]).tolist() == [10] * 6
    for name in ("text", "audio"):
        assert not clips[name][~clips[f"{name}_mask"]].any()
        assert np.abs(clips[name][clips[f"{name}_mask"]]).min(axis=0).max() > 0
        assert clips[f"{name}_mask"].sum(axis=1).min() >= 0.5 * clips[f"{name}_mask"].shape[1]


def test_stated_accuracies_are_those_of_the_plan():
    assert oracle_accuracy("nothing") == pytest.approx(1 / 6)
    assert oracle_accuracy("text") == oracle_accuracy("audio") == pytest.approx(2 / 3)
    assert oracle_accuracy("sum") == pytest.approx(5 / 6)
    assert oracle_accuracy("both") == 1


def test_excited_and_frustrated_differ_in_nothing_but_the_pair():
    assert {cues("excited", odd) for odd in (0, 1)} == {("a", "a"), ("b", "b")}
    assert {cues("frustrated", odd) for odd in (0, 1)} == {("a", "b"), ("b", "a")}


def test_cues_can_be_read_from_the_features():
    """The best match of each modality's known cues, and the plan, name the emotion of nearly every clip."""
    clips, signs = render_clips(1, range(300)), _draw_signs(1)
    words = (clips["text"] @ signs["words"].T).sum(axis=1).argmax(axis=1)
    tones = (clips["audio"] @ signs["tones"].T).sum(axis=1).argmax(axis=1)
    plan = {cues(name, odd): k for k, name in enumerate(EMOTIONS) for odd in (0, 1)}
    pairs = zip(words, tones, strict=True)
    found = [plan.get((TEXT_CUES[word], AUDIO_CUES[tone]), -1) for word, tone in pairs]
    assert np.mean(np.array(found) == clips["label"]) > 0.97


def test_too_few_samples_and_a_foreign_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="--samples 11: expected at least 12"):
        write_emotion(tmp_path / "new", samples=11)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="nothing was written"):
        write_emotion(tmp_path)
