"""DynMM's reading rules, as far as no golden case fixes them: clips, films, batches and their order."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.datasets.cmu_mosei.reader import SentimentSplit
from common.datasets.mm_imdb.reader import MMIMDB
from common.errors import UserError
from common.processes import Processes
from dynmm.modality.affect.data import FOLDERS, data_file, normalise, pad, read_clips, targets
from dynmm.modality.batches import batches_in_order, check_shares, own_batches, own_samples, training_batches
from dynmm.modality.imdb.data import read_films

CPU = torch.device("cpu")


def split(text, vision=None, audio=None, labels=None, needs=None):
    """A split of clips, whose vision and audio follow the text where they are not given."""
    text = np.asarray(text, np.float32)
    n, steps, _ = text.shape
    counted = np.arange(1, n * steps * 2 + 1, dtype=np.float32).reshape(n, steps, 2)
    labels = np.zeros((n, 1, 1), np.float32) if labels is None else np.reshape(labels, (n, 1, 1)).astype(np.float32)
    extra = {} if needs is None else {"needs": np.asarray(needs, np.int8)}
    vision, audio = counted if vision is None else vision, counted if audio is None else audio
    return SentimentSplit("train", Path("file.pkl"), text, audio, vision, labels, None, extra)


def steps(*rows):
    """A clip of one-word-a-row text of two features."""
    return [[row, 0.0] for row in rows]


def test_text_that_sums_to_zero_without_being_zero_is_dropped():
    clips = read_clips(split([steps(1, -1, 0), steps(0, 1, 2), steps(0, 0, 0)], labels=[1, 2, 3], needs=[0, 1, 0]))
    assert (len(clips), clips.dropped) == (1, 2)
    assert clips.labels.tolist() == [[2.0]]
    assert clips.needs.tolist() == [1]


def test_clip_with_empty_vision_or_audio_is_kept():
    empty = np.zeros((1, 3, 2), np.float32)
    assert len(read_clips(split([steps(0, 1, 2)], vision=empty, audio=empty))) == 1


def test_clip_starts_at_the_first_value_whatever_its_column_and_the_sum_of_its_row():
    text = [[[0, 0], [0, 5], [1, 1]], [[0, 0], [2, -2], [1, 1]], [[0, 0], [0, 0], [0, 1]], [[3, 0], [0, 0], [0, 1]]]
    clips = read_clips(split(text))
    assert clips.lengths.tolist() == [2, 2, 1, 3]
    assert clips.inputs[0][0].tolist() == [[3, 4], [5, 6], [0, 0]]
    assert clips.inputs[2][3].tolist() == [[3, 0], [0, 0], [0, 1]]


def test_only_minus_infinity_in_the_audio_is_cleaned():
    odd = np.array([[[-np.inf, np.inf], [np.nan, 1]]], np.float32)
    clips = read_clips(split([steps(1, 1)], vision=odd, audio=odd))
    np.testing.assert_array_equal(clips.inputs[1][0].numpy(), [[0, np.inf], [np.nan, 1]])
    np.testing.assert_array_equal(clips.inputs[0][0].numpy(), odd[0])


def test_constant_features_and_clips_of_one_step_normalise_to_zero():
    values = torch.tensor([[[2.0, 1.0], [2.0, 3.0], [0.0, 0.0]], [[5.0, 7.0], [0.0, 0.0], [0.0, 0.0]]])
    found = normalise(values, torch.tensor([2, 1]))
    half = 2**-0.5
    torch.testing.assert_close(found[0], torch.tensor([[0.0, -half], [0.0, half], [0.0, 0.0]]))
    assert found[1].eq(0).all()


def test_infinite_results_of_normalising_become_the_largest_number():
    values = torch.tensor([[[float("inf")], [1.0], [2.0]]])
    assert normalise(values, torch.tensor([3])).isfinite().all()


@pytest.mark.parametrize(
    ("task", "data", "expected"),
    [
        (None, "mosei", [-1.0, 0.0, 0.5, 2.0]),
        ("classification", "mosei", [0, 0, 1, 1]),
        ("regression", "humor", [-1.0, -1.0, -1.0, 1.0]),
        (None, "sarcasm", [-1.0, -1.0, -1.0, 1.0]),
        ("classification", "sarcasm", [0, 0, 1, 1]),
    ],
)
def test_targets_by_task_and_data(task, data, expected):
    found = targets(np.array([-1, 0, 0.5, 2]).reshape(4, 1, 1), task, data)
    assert found.shape == (4, 1)
    assert found[:, 0].tolist() == expected
    assert found.dtype == (torch.int64 if task == "classification" else torch.float32)


def test_batch_is_padded_at_the_end_to_its_own_longest():
    clips = read_clips(split([steps(0, 0, 1), steps(0, 1, 1), steps(1, 1, 1)]))
    batch = clips.batch(torch.tensor([1, 0]), CPU)
    assert batch.lengths.tolist() == [2, 1]
    assert [x.shape[1] for x in batch.inputs] == [2, 2, 2]
    assert batch.inputs[2][1].tolist() == [[1, 0], [0, 0]]


def test_share_of_a_batch_keeps_the_padding_of_the_whole_batch():
    clips = read_clips(split([steps(0, 0, 1), steps(1, 1, 1)]))
    batch = clips.batch(torch.tensor([0, 1]), CPU, slice(0, None, 2))
    assert batch.inputs[0].shape == (1, 3, 2)
    assert (len(batch.labels), batch.size) == (1, 2)


def test_padding_to_a_given_length_cuts_and_fills():
    values = torch.ones(1, 3, 2)
    assert pad(values, 2).shape == (1, 2, 2)
    assert pad(values, 5)[0, :, 0].tolist() == [1, 1, 1, 0, 0]


def test_unaligned_file_is_refused_with_its_lengths():
    with pytest.raises(UserError, match=r"file.pkl: 'train' has \(2, 3, 3\) steps .* --data-path"):
        read_clips(split([steps(1, 1)], vision=np.ones((1, 3, 2)), audio=np.ones((1, 3, 2))))


def test_split_without_any_text_is_refused():
    with pytest.raises(UserError, match="the text of every clip sums to 0"):
        read_clips(split([steps(0, 0)]))


def test_published_place_is_taken_first_and_the_other_scripts_place_if_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert data_file("mosi", None, FOLDERS[0]) == Path("data/multibench/mosi_raw.pkl")
    Path("data").mkdir()
    Path("data/mosi_raw.pkl").write_bytes(b"")
    assert data_file("mosi", None, FOLDERS[0]) == Path("data/mosi_raw.pkl")
    with pytest.raises(UserError, match="--data iemocap: expected mosei or mosi"):
        data_file("iemocap", None, FOLDERS[0])


def test_films_are_the_readers_arrays(inputs):
    reader = MMIMDB(inputs / "films", "valid")
    films = read_films(reader)
    batch = films.batch(torch.tensor([3, 1]), CPU)
    for place, index in enumerate((3, 1)):
        text, image, genres = reader[index]
        np.testing.assert_array_equal(batch.inputs[0][place], text)
        np.testing.assert_array_equal(batch.inputs[1][place], image)
        np.testing.assert_array_equal(batch.labels[place], genres)


def test_epoch_takes_every_sample_once_in_an_order_of_seed_and_epoch():
    orders = {
        (seed, epoch): torch.cat(training_batches(37, 8, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)
    }
    assert all(sorted(order) == list(range(37)) for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) == 4
    assert torch.cat(training_batches(37, 8, 1, 1)).tolist() == orders[1, 1]
    assert [len(batch) for batch in training_batches(37, 8, 0, 0)] == [8, 8, 8, 8, 5]
    assert [batch.tolist() for batch in training_batches(37, 8, 0, 0, 2)] == [
        batch.tolist() for batch in training_batches(37, 8, 0, 0)[:2]
    ]


def test_processes_share_batches_without_loss():
    both = [Processes(rank, 2, rank) for rank in range(2)]
    batch = torch.arange(7)
    assert sorted(torch.cat([batch[own_samples(procs)] for procs in both]).tolist()) == list(range(7))
    batches = batches_in_order(20, 8)
    taken = [own.tolist() for procs in both for own in own_batches(batches, procs)]
    assert sorted(index for own in taken for index in own) == list(range(20))
    assert sorted(map(len, taken)) == [4, 8, 8]


def test_batch_too_small_for_batch_norm_is_refused():
    check_shares(33, 16, Processes())
    with pytest.raises(
        UserError, match=r"--batch-size 16: the last batch of 33 training samples holds 1, .* 2 for each"
    ):
        check_shares(33, 16, Processes(), least=2)
    with pytest.raises(UserError, match="--batch-size 15 cannot be shared by 2 processes"):
        check_shares(60, 15, Processes(0, 2, 0))
