"""UCRN's data: cleaning as published, what --aligned expects, ids, and the order of the batches."""

import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.errors import UserError
from common.processes import Processes
from tests.support.ucrn_runs import random_clips
from ucrn.data import clips_of, data_file, official_order, open_splits, place, training_batches

CPU = torch.device("cpu")


def arrays(count=4, lengths=(3, 5, 4), **changes):
    rng = np.random.default_rng(count)
    split = {
        name: rng.normal(size=(count, length, width))
        for name, length, width in zip(("text", "audio", "vision"), lengths, (6, 2, 3), strict=True)
    }
    return {**split, "labels": rng.uniform(-3, 3, (count, 1, 1)), **changes}


def opened(folder, split, aligned=False, dataset="mosei_senti"):
    """The training split of a file whose three splits are alike."""
    path = data_file(folder, dataset, aligned)
    path.write_bytes(pickle.dumps(dict.fromkeys(("train", "valid", "test"), split)))
    return open_splits(folder, dataset, aligned)["train"]


@pytest.mark.parametrize(
    ("dataset", "aligned", "name"),
    [
        ("mosei_senti", True, "mosei_senti_data.pkl"),
        ("mosei_senti", False, "mosei_senti_data_noalign.pkl"),
        ("mosi", True, "mosi_data.pkl"),
        ("sims", False, "sims_data_noalign.pkl"),
    ],
)
def test_file_is_named_by_dataset_and_alignment(tmp_path, dataset, aligned, name):
    assert data_file(tmp_path, dataset, aligned) == tmp_path / name


def test_minus_infinity_becomes_zero_in_audio_alone_and_all_else_stays(tmp_path):
    odd = np.array([-np.inf, np.inf, np.nan, -1e300])
    split = arrays()
    for name in ("text", "audio", "vision"):
        split[name][:, 0, 0] = odd
    before = split["audio"].copy()
    with np.errstate(over="ignore"):
        clips = clips_of(opened(tmp_path, split))
    assert {clips.text.dtype, clips.audio.dtype, clips.vision.dtype, clips.labels.dtype} == {torch.float32}
    found = clips.audio[:, 0, 0].tolist()
    assert found[0] == found[3] == 0  # -1e300 is -inf in float32
    assert found[1] == np.inf
    assert np.isnan(found[2])
    for x in (clips.text, clips.vision):
        np.testing.assert_array_equal(x[:, 0, 0].numpy(), [-np.inf, np.inf, np.nan, -np.inf])
    np.testing.assert_array_equal(split["audio"], before)
    np.testing.assert_array_equal(clips.audio[:, 1:].numpy(), before[:, 1:].astype(np.float32))


def test_sizes_are_those_of_the_arrays_and_labels_are_a_column(tmp_path):
    split = arrays()
    clips = clips_of(opened(tmp_path, split))
    assert (len(clips), clips.lengths, clips.widths) == (4, [3, 5, 4], [6, 2, 3])
    np.testing.assert_array_equal(clips.labels.numpy(), split["labels"][:, :, 0].astype(np.float32))


def test_batch_is_the_clips_asked_for_in_that_order():
    clips = random_clips()
    indices = np.array([5, 0, 5])
    for part, whole in zip(
        clips.batch(indices, CPU), (clips.text, clips.audio, clips.vision, clips.labels), strict=True
    ):
        assert torch.equal(part, whole[[5, 0, 5]])


def test_other_text_features_take_the_place_of_the_files(tmp_path):
    text = np.random.default_rng(0).normal(size=(4, 7, 9))
    clips = clips_of(opened(tmp_path, arrays()), text)
    assert (clips.lengths[0], clips.widths[0]) == (7, 9)
    np.testing.assert_array_equal(clips.text.numpy(), text.astype(np.float32))


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        (None, (0, 0, 0)),
        (np.array([[b"video\xc3\xa9", b"1.5", b"2.5"]] * 4), ("videoé", "1.5", "2.5")),
        (np.array([["video", "1", "2", "more"]] * 4), ("video", "1", "2")),
        (np.array([[7.0, 1.5, 2.5]] * 4), (7.0, 1.5, 2.5)),
        (np.array([["v", 1, 2.5]] * 4, object), ("v", 1, 2.5)),
    ],
    ids=["none", "bytes", "text", "numbers", "objects"],
)
def test_meta_is_video_start_and_end(tmp_path, ids, first):
    clips = clips_of(opened(tmp_path, arrays() if ids is None else arrays(id=ids)))
    assert clips.meta == [first] * 4


def test_aligned_file_has_equal_lengths(tmp_path):
    assert opened(tmp_path, arrays(lengths=(4, 4, 4)), aligned=True).lengths == (4, 4, 4)
    with pytest.raises(UserError) as caught:
        opened(tmp_path, arrays(lengths=(3, 5, 4)), aligned=True)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/mosei_senti_data.pkl: steps are text 3, audio 5, vision 4; --aligned")
    assert "\n" not in message


def batches(epoch, procs=None, size=24, seed=581, limit=None, official=False):
    found = training_batches(size, 10, seed, epoch, procs or Processes(), limit, unseeded=official)
    return [batch.tolist() for batch in found]


@pytest.mark.parametrize("official", [False, True])
def test_epoch_shows_every_clip_once_and_keeps_the_smaller_last_batch(official):
    found = batches(1, official=official)
    assert [len(batch) for batch in found] == [10, 10, 4]
    assert sorted(chain(*found)) == list(range(24))
    assert batches(1, official=official) == found
    assert batches(2, official=official) != found


def test_order_is_of_the_seed_unless_it_is_the_official_one():
    assert batches(1, seed=1) != batches(1, seed=2)
    assert batches(1, seed=1, official=True) == batches(1, seed=2, official=True)
    assert batches(1, official=True) != batches(1)


def test_official_order_is_that_of_an_unseeded_loader_gone_over_twice_an_epoch():
    loader = DataLoader(range(24), batch_size=24, shuffle=True, generator=torch.Generator())
    passes = [order.tolist() for _ in range(7) for order in loader]
    assert [official_order(24, epoch).tolist() for epoch in (1, 2, 3, 4)] == passes[::2]


def test_official_order_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    official_order(24, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("official", [False, True])
def test_processes_share_every_batch(official):
    alone = batches(3, official=official)
    shares = [batches(3, Processes(rank, 2), official=official) for rank in range(2)]
    for step, batch in enumerate(alone):
        assert [shares[index % 2][step][index // 2] for index in range(len(batch))] == batch


@pytest.mark.parametrize("official", [False, True])
def test_max_steps_ends_an_epoch_early(official):
    assert batches(1, official=official, limit=2) == batches(1, official=official)[:2]


def test_data_stay_where_they_are_on_a_cpu():
    data = {"train": random_clips()}
    assert place(data, CPU)["train"] is data["train"]


@pytest.mark.gpu
def test_data_lie_on_the_device_where_they_fit():
    clips = random_clips()
    there = place({"train": clips}, torch.device("cuda"))["train"]
    assert there.text.device.type == "cuda"
    for part, whole in zip(
        there.batch(np.array([3, 1]), torch.device("cuda")), clips.batch(np.array([3, 1]), CPU), strict=True
    ):
        assert torch.equal(part.cpu(), whole)
