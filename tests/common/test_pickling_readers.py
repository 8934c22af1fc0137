"""Readers reach the workers of a loader as pickles, wherever processes do not start by a fork."""

import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

from common.datasets.cmu_mosei.reader import read_sentiment_file
from common.datasets.cmu_mosei.standin import write_cmu_mosei
from common.datasets.emotion.reader import read_clips
from common.datasets.emotion.standin import write_emotion
from common.datasets.epic_kitchens.reader import EpicKitchens
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.datasets.mm_imdb.reader import MMIMDB
from common.datasets.mm_imdb.standin import write_mm_imdb
from common.datasets.nyudv2.reader import NYUDv2
from common.datasets.nyudv2.standin import write_nyudv2


def nyudv2(folder):
    write_nyudv2(folder, 2, size=(48, 64))
    return NYUDv2(folder, folder / "train.txt")


def epic_kitchens(folder):
    write_epic_kitchens(folder, 2, size=(32, 32))
    return EpicKitchens(folder, folder / "csv/train.csv", 3, 8)


def mm_imdb(folder):
    write_mm_imdb(folder, 40)
    return MMIMDB(folder, "valid")


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


@pytest.mark.parametrize("open_reader", [nyudv2, epic_kitchens, mm_imdb])
def test_reader_of_items_is_the_same_behind_a_pickle(open_reader, tmp_path):
    reader = open_reader(tmp_path / "data")
    reader[0]  # a file that is open by now stays behind
    again = pickle.loads(pickle.dumps(reader))
    assert len(again) == len(reader)
    assert again.fingerprint() == reader.fingerprint()
    for index in range(len(reader)):
        same(again[index], reader[index])


@pytest.mark.parametrize("open_reader", [nyudv2, epic_kitchens, mm_imdb])
def test_loader_with_spawned_workers_gives_the_same_items(open_reader, tmp_path):
    """spawn, like forkserver, hands the data set over as a pickle."""
    reader = open_reader(tmp_path / "data")
    loader = DataLoader(reader, batch_size=None, collate_fn=as_read, num_workers=1, multiprocessing_context="spawn")
    for found, index in zip(loader, range(len(reader)), strict=True):
        same(found, reader[index])


def as_read(item):
    return item


@pytest.mark.parametrize("name", ["mosei_senti_data.pkl", "mosei_senti_data_noalign.pkl"])
def test_sentiment_splits_are_the_same_behind_a_pickle(name, tmp_path):
    write_cmu_mosei(tmp_path / "data", 3)
    for split in read_sentiment_file(tmp_path / "data" / name).values():
        again = pickle.loads(pickle.dumps(split))
        assert (again.name, again.path, again.fingerprint()) == (split.name, split.path, split.fingerprint())
        same(
            (again.text, again.audio, again.vision, again.labels, again.ids),
            (split.text, split.audio, split.vision, split.labels, split.ids),
        )
        same(again.extra, split.extra)


def test_spoken_clips_are_the_same_behind_a_pickle(tmp_path):
    write_emotion(tmp_path / "data", 12)
    for clips in read_clips(tmp_path / "data")[0].values():
        again = pickle.loads(pickle.dumps(clips))
        assert (again.file, again.fingerprint()) == (clips.file, clips.fingerprint())
        names = ("text", "text_mask", "audio", "audio_mask", "labels")
        same([getattr(again, name) for name in names], [getattr(clips, name) for name in names])
