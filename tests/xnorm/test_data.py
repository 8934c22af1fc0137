from argparse import Namespace

import numpy as np
import pytest
import torch

from common.datasets.epic_kitchens.reader import EpicKitchens, frame_name
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.errors import UserError
from common.processes import Processes
from xnorm import frame_cache
from xnorm.data import (
    CSV_ROOT,
    DrawnBatches,
    evaluated_rows,
    evaluation_batches,
    open_split,
    streams_of,
    training_batches,
)
from xnorm.frame_cache import EnlargedClips
from xnorm.transforms import scale

CPU = torch.device("cpu")
QUIRKS = {"crop": "official", "flip_u": "official", "eval_last": "official"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitchens") / "data"
    write_epic_kitchens(folder, 14, size=(34, 40))
    return folder


@pytest.fixture
def flags(folder):
    def parse(**changes):
        given = {
            "csv_root": folder / "csv",
            "data_root": folder,
            "num_classes": 8,
            "num_frames": 3,
            "fusion": "xnorm",
            "batch_size": 4,
            "seed": 0,
            "max_steps": None,
            "crop_size": 32,
            "num_workers": 0,
            "cache": None,
            "quirks": QUIRKS | {key: changes.pop(key) for key in list(changes) if key in QUIRKS},
        }
        return Namespace(**{**given, **changes})

    return parse


def epoch(args, number=1, procs=None, **options):
    batches = training_batches(args, open_split(args, "train"), CPU, procs or Processes(), **options)
    batches.batch_sampler.epoch = number
    return list(batches)


def evaluated(args, split="test", procs=None):
    return list(evaluation_batches(args, open_split(args, split), CPU, procs or Processes()))


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_batches_are_bytes_and_are_scaled_on_the_device(flags):
    batch = epoch(flags())[0]
    assert (batch.rgb.shape, batch.flow.shape) == ((4, 3, 3, 32, 32), (4, 2, 3, 32, 32))
    assert batch.rgb.dtype == batch.flow.dtype == torch.uint8
    assert batch.labels.dtype == torch.int64
    scaled = batch.on(CPU)
    assert torch.equal(scaled.rgb, scale(batch.rgb))
    assert scaled.flow.dtype == torch.float32
    assert torch.equal(scaled.labels, batch.labels)


@pytest.mark.parametrize(("fusion", "streams"), [("rgb", ("rgb",)), ("flow", ("flow",)), ("late", ("rgb", "flow"))])
def test_streams_that_a_method_does_not_use_are_not_decoded(flags, fusion, streams):
    assert streams_of(fusion) == streams
    args = flags(fusion=fusion)
    for batch in (epoch(args)[0], evaluated(args)[0]):
        assert [name for name in ("rgb", "flow") if getattr(batch, name) is not None] == list(streams)
        assert [name for name in ("rgb", "flow") if getattr(batch.on(CPU), name) is not None] == list(streams)


@pytest.mark.parametrize("fusion", ["rgb", "flow"])
def test_a_stream_is_augmented_alike_with_and_without_the_other(flags, fusion):
    for alone, both in zip(epoch(flags(fusion=fusion)), epoch(flags()), strict=True):
        assert torch.equal(getattr(alone, fusion), getattr(both, fusion))


def test_training_drops_the_last_batch_and_shows_no_row_twice(flags, folder):
    args = flags()
    train = open_split(args, "train")
    batches = training_batches(args, train, CPU, Processes())
    batches.batch_sampler.epoch = 1
    draws = [draw.index for batch in batches.batch_sampler for draw in batch]
    assert (len(train), len(batches), len(draws), len(set(draws))) == (14, 3, 12, 12)
    assert draws != sorted(draws)


def test_clips_are_a_function_of_seed_epoch_and_index(flags):
    first = epoch(flags())
    assert all(equal(a, b) for a, b in zip(first, epoch(flags()), strict=True))
    assert not torch.equal(first[0].rgb, epoch(flags(), number=2)[0].rgb)
    assert not torch.equal(first[0].rgb, epoch(flags(seed=1))[0].rgb)


def test_workers_do_not_change_the_batches(flags):
    for alone, shared in zip(epoch(flags()), epoch(flags(num_workers=2)), strict=True):
        assert equal(alone, shared)


def test_processes_share_each_batch(flags):
    whole = epoch(flags())
    shares = [epoch(flags(), procs=Processes(rank, 2)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for rank, share in enumerate(shares):
            assert equal(share[number], [x[rank::2] for x in batch])


def test_augmentation_differs_from_evaluation_and_follows_the_quirks(flags):
    official = torch.cat([batch.flow for batch in epoch(flags())])
    for quirk, value in (("crop", "shared"), ("flip_u", "fixed")):
        assert not torch.equal(torch.cat([batch.flow for batch in epoch(flags(**{quirk: value}))]), official)
    rgb = [torch.cat([batch.rgb for batch in epoch(flags(flip_u=value))]) for value in ("official", "fixed")]
    assert torch.equal(*rgb)


def test_rows_in_order_are_augmented_too(flags):
    args = flags()
    train = open_split(args, "train")
    batches = epoch(args, rows=range(3, 14), shuffle=False)
    assert len(batches) == 2
    labels = torch.cat([batch.labels for batch in batches]).tolist()
    assert labels == [segment.verb for segment in train.segments[3:11]]
    assert not torch.equal(batches[0].rgb, epoch(args, number=2, rows=range(3, 14), shuffle=False)[0].rgb)
    shuffled = epoch(args, rows=range(3, 14))
    assert torch.cat([batch.labels for batch in shuffled]).tolist() != labels


def test_shuffled_rows_are_the_given_ones():
    drawn = DrawnBatches([5, 7, 9, 11], 2, 0, Processes(), None)
    drawn.epoch = 3
    draws = [draw for batch in drawn for draw in batch]
    assert sorted(draw.index for draw in draws) == [5, 7, 9, 11]
    assert {draw.epoch for draw in draws} == {3}


@pytest.mark.parametrize("shuffle", [True, False])
def test_ordered_and_shuffled_passes_end_after_the_limit_and_share_alike(shuffle):
    drawn = [DrawnBatches(range(20), 4, 0, Processes(rank, 2), 3, shuffle) for rank in range(2)]
    assert [len(list(one)) for one in drawn] == [len(one) for one in drawn] == [3, 3]
    indices = [[draw.index for batch in one for draw in batch] for one in drawn]
    assert [len(share) for share in indices] == [6, 6]
    assert len(set(indices[0]) | set(indices[1])) == 12


def test_evaluation_is_in_order_and_drops_the_last_batch_as_published(flags):
    args = flags()
    test = open_split(args, "test")
    assert (len(test), evaluated_rows(args, test)) == (7, 4)
    batches = evaluated(args)
    assert [segment.verb for segment in test.segments[:4]] == batches[0].labels.tolist()
    assert len(batches) == 1
    kept = evaluated(flags(eval_last="kept"))
    assert [len(batch.labels) for batch in kept] == [4, 3]
    assert torch.equal(kept[0].rgb, batches[0].rgb)


def test_processes_evaluate_every_row_once(flags):
    for quirk, count in (("official", 4), ("kept", 7)):
        args = flags(eval_last=quirk)
        batches = [[batch.labels for batch in evaluated(args, procs=Processes(rank, 2))] for rank in range(2)]
        assert all(len(labels) <= 2 for share in batches for labels in share)
        shares = [torch.cat(share) for share in batches]
        whole = torch.cat([batch.labels for batch in evaluated(args)])
        assert len(whole) == count
        for rank, share in enumerate(shares):
            assert torch.equal(share, whole[rank::2])


def test_too_few_rows_for_one_batch_are_told(flags):
    args = flags(batch_size=8)
    with pytest.raises(UserError, match=r"--batch_size 8 is larger than .*test.csv \(7 segments\).*eval_last=kept"):
        evaluated(args)
    assert len(evaluated(flags(batch_size=8, eval_last="kept"))) == 1
    with pytest.raises(UserError, match="larger than the training set"):
        epoch(flags(batch_size=15))


def test_csv_beside_the_frames_is_taken_where_the_default_is_not_there(flags, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_split(flags(csv_root=CSV_ROOT), "val").csv_file == folder / "csv/val.csv"
    with pytest.raises(UserError, match="no such csv file"):
        open_split(flags(csv_root="elsewhere"), "val")
    (tmp_path / CSV_ROOT).mkdir(parents=True)
    with pytest.raises(UserError, match="no such csv file"):
        open_split(flags(csv_root=CSV_ROOT), "val")


def reader(folder, **options):
    return EpicKitchens(folder, folder / "csv/test.csv", options.pop("num_frames", 3), 8, **options)


@pytest.mark.parametrize("crop", [32, 48])
def test_cached_clips_are_those_without_a_cache(folder, tmp_path, crop):
    plain = EnlargedClips(reader(folder), crop)
    for _ in range(2):
        cached = EnlargedClips(reader(folder), crop, tmp_path)
        for index in range(len(plain)):
            for key, clip in plain[index].items():
                np.testing.assert_array_equal(cached[index][key], clip)


def test_cached_batches_are_those_without_a_cache(flags, tmp_path):
    for workers in (2, 0):
        args = flags(cache=tmp_path, num_workers=workers)
        assert all(equal(a, b) for a, b in zip(epoch(args), epoch(flags()), strict=True))
        assert all(equal(a, b) for a, b in zip(evaluated(args), evaluated(flags()), strict=True))
    assert not list(tmp_path.rglob("*.tmp"))


def test_cached_clips_are_not_decoded_again(folder, tmp_path, monkeypatch):
    EnlargedClips(reader(folder), 32, tmp_path)[2]
    monkeypatch.setattr(EpicKitchens, "clip", None)
    cached = EnlargedClips(reader(folder), 32, tmp_path)
    assert cached[2]["rgb"].shape == (3, 34, 40, 3)
    with pytest.raises(TypeError):
        cached[3]


def test_sizes_and_frames_have_caches_of_their_own(folder, tmp_path):
    for crop, num_frames in ((32, 3), (48, 3), (32, 4)):
        clips = EnlargedClips(reader(folder, num_frames=num_frames, modalities=("rgb",)), crop, tmp_path)
        assert clips[0]["rgb"].shape[:2] == (num_frames, 34 if crop == 32 else 50)
    assert len(list(tmp_path.iterdir())) == 3


def test_cache_of_frames_that_have_changed_is_refused(tmp_path):
    data, cache = tmp_path / "data", tmp_path / "cache"
    write_epic_kitchens(data, 2, size=(34, 40))
    clips = EnlargedClips(reader(data), 32, cache)
    clips[0]
    frame = data / "P22/rgb_frames/P22_01" / frame_name(reader(data).segments[0].start_frame)
    frame.write_bytes(frame.read_bytes() + b" ")
    with pytest.raises(
        UserError, match=r"test-rgb-\w+: holds clips of other frames than those in .*Delete this folder"
    ):
        EnlargedClips(reader(data), 32, cache)
    EnlargedClips(reader(data, modalities=("flow",)), 32, cache)


def test_cache_without_its_facts_is_refused(folder, tmp_path):
    clips = EnlargedClips(reader(folder), 32, tmp_path)
    clips[0]
    (clips.folders["rgb"] / frame_cache.FACTS).unlink()
    with pytest.raises(UserError, match="Delete this folder"):
        EnlargedClips(reader(folder), 32, tmp_path)


def test_entry_that_was_cut_short_is_written_anew(folder, tmp_path):
    clips = EnlargedClips(reader(folder), 32, tmp_path)
    whole = np.array(clips[0]["flow"])
    (path,) = clips.folders["flow"].glob("*.npy")
    for kept in (path.read_bytes()[:-10], path.read_bytes()[:5], b""):
        path.write_bytes(kept)
        np.testing.assert_array_equal(clips[0]["flow"], whole)
        np.testing.assert_array_equal(np.load(path), whole)


def test_cache_that_cannot_be_written_is_told(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written .*go on without --cache"):
        EnlargedClips(reader(folder), 32, tmp_path / "file")
