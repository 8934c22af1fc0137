from pathlib import Path

import numpy as np
import pytest
import torch

from common.datasets.epic_kitchens.reader import EpicKitchens, frame_name
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.errors import UserError
from common.processes import Processes
from tests.support.xnorm_runs import settings_of
from xnorm import frame_cache
from xnorm.data import CSV_ROOT, DrawnBatches, Loading, evaluated_rows, open_split, training_batches
from xnorm.frame_cache import EnlargedClips
from xnorm.main import open_splits
from xnorm.models import METHODS
from xnorm.train import open_batches
from xnorm.transforms import TrainTransform, scale

CPU = torch.device("cpu")
QUIRKS = ("crop", "flip_u", "eval_last")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitchens") / "data"
    write_epic_kitchens(folder, 14, size=(34, 40))
    return folder


@pytest.fixture
def small(folder):
    """Settings for the small data; quirks are changed by their names."""

    def change(fusion="xnorm", **changes):
        words = [f"{name}={changes.pop(name)}" for name in list(changes) if name in QUIRKS]
        given = {"csv_root": folder / "csv", "data_root": folder, "num_frames": 3, "batch_size": 4, "crop_size": 32}
        given |= {"num_workers": 0, "cache": None}
        return settings_of(fusion, *(["--quirk", *words] if words else []), **{**given, **changes})

    return change


def batches_of(settings, split, procs=None):
    return open_batches(settings, open_splits(settings), CPU, procs or Processes())[split]


def epoch(settings, number=1, procs=None):
    """The training batches of an epoch, as they come from the loader."""
    return list(batches_of(settings, "train", procs).of_epoch(number).loader)


def ordered_epoch(settings, number=1, shuffle=False):
    """The same of the rows from the fourth on, and those in order."""
    loading = Loading(settings.batch_size, 0, None, CPU, Processes())
    reader, transform = open_splits(settings)["train"], TrainTransform(settings.crop_size)
    batches = training_batches(reader, transform, loading, settings.seed, rows=range(3, 14), shuffle=shuffle)
    return list(batches.of_epoch(number).loader)


def evaluated(settings, split="val", procs=None):
    return list(batches_of(settings, split, procs).loader)


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_batches_are_bytes_and_are_scaled_on_the_device(small):
    batches = batches_of(small(), "train").of_epoch(1)
    batch = next(iter(batches.loader))
    assert (batch.rgb.shape, batch.flow.shape) == ((4, 3, 3, 32, 32), (4, 2, 3, 32, 32))
    assert batch.rgb.dtype == batch.flow.dtype == torch.uint8
    assert batch.labels.dtype == torch.int64
    scaled = batch.on(CPU)
    assert torch.equal(scaled.rgb, scale(batch.rgb))
    assert scaled.flow.dtype == torch.float32
    assert torch.equal(scaled.labels, batch.labels)
    assert equal(next(iter(batches)), scaled)


@pytest.mark.parametrize(("fusion", "streams"), [("rgb", ("rgb",)), ("flow", ("flow",)), ("late", ("rgb", "flow"))])
def test_streams_that_a_method_does_not_use_are_not_decoded(small, fusion, streams):
    assert METHODS[fusion].streams == streams
    settings = small(fusion)
    for batch in (epoch(settings)[0], evaluated(settings)[0]):
        assert [name for name in ("rgb", "flow") if getattr(batch, name) is not None] == list(streams)
        assert [name for name in ("rgb", "flow") if getattr(batch.on(CPU), name) is not None] == list(streams)


@pytest.mark.parametrize("fusion", ["rgb", "flow"])
def test_a_stream_is_augmented_alike_with_and_without_the_other(small, fusion):
    for alone, both in zip(epoch(small(fusion)), epoch(small()), strict=True):
        assert torch.equal(getattr(alone, fusion), getattr(both, fusion))


def test_training_drops_the_last_batch_and_shows_no_row_twice(small):
    settings = small()
    train, batches = open_splits(settings)["train"], batches_of(settings, "train").of_epoch(1)
    draws = [draw.index for batch in batches.drawn for draw in batch]
    assert (len(train), len(batches), len(draws), len(set(draws))) == (14, 3, 12, 12)
    assert draws != sorted(draws)


def test_clips_are_a_function_of_seed_epoch_and_index(small):
    first = epoch(small())
    assert all(equal(a, b) for a, b in zip(first, epoch(small()), strict=True))
    assert not torch.equal(first[0].rgb, epoch(small(), number=2)[0].rgb)
    assert not torch.equal(first[0].rgb, epoch(small(seed=1))[0].rgb)


def test_workers_do_not_change_the_batches(small):
    for alone, shared in zip(epoch(small()), epoch(small(num_workers=2)), strict=True):
        assert equal(alone, shared)


def test_processes_share_each_batch(small):
    whole = epoch(small())
    shares = [epoch(small(), procs=Processes(rank, 2)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for rank, share in enumerate(shares):
            assert equal(share[number], [x[rank::2] for x in batch])


def test_augmentation_differs_from_evaluation_and_follows_the_quirks(small):
    official = torch.cat([batch.flow for batch in epoch(small())])
    for quirk, value in (("crop", "shared"), ("flip_u", "fixed")):
        assert not torch.equal(torch.cat([batch.flow for batch in epoch(small(**{quirk: value}))]), official)
    rgb = [torch.cat([batch.rgb for batch in epoch(small(flip_u=value))]) for value in ("official", "fixed")]
    assert torch.equal(*rgb)


def test_rows_in_order_are_augmented_too(small):
    settings = small()
    train = open_splits(settings)["train"]
    batches = ordered_epoch(settings)
    assert len(batches) == 2
    labels = torch.cat([batch.labels for batch in batches]).tolist()
    assert labels == [segment.verb for segment in train.segments[3:11]]
    assert not torch.equal(batches[0].rgb, ordered_epoch(settings, number=2)[0].rgb)
    shuffled = ordered_epoch(settings, shuffle=True)
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


def test_evaluation_is_in_order_and_drops_the_last_batch_as_published(small):
    settings = small()
    valid = open_splits(settings)["val"]
    assert (len(valid), evaluated_rows(len(valid), 4, keep_last=False)) == (7, 4)
    batches = evaluated(settings)
    assert [segment.verb for segment in valid.segments[:4]] == batches[0].labels.tolist()
    assert len(batches) == 1
    kept = evaluated(small(eval_last="kept"))
    assert [len(batch.labels) for batch in kept] == [4, 3]
    assert torch.equal(kept[0].rgb, batches[0].rgb)


def test_all_rows_of_the_test_set_are_read_whatever_counts_as_published(small):
    for quirk in ("official", "kept"):
        batches = evaluated(small(eval_last=quirk), "test")
        assert [len(batch.labels) for batch in batches] == [4, 3]


def test_processes_evaluate_every_row_once(small):
    for quirk, count in (("official", 4), ("kept", 7)):
        settings = small(eval_last=quirk)
        batches = [[batch.labels for batch in evaluated(settings, procs=Processes(rank, 2))] for rank in range(2)]
        assert all(len(labels) <= 2 for share in batches for labels in share)
        shares = [torch.cat(share) for share in batches]
        whole = torch.cat([batch.labels for batch in evaluated(settings)])
        assert len(whole) == count
        for rank, share in enumerate(shares):
            assert torch.equal(share, whole[rank::2])


def test_too_few_rows_for_one_batch_are_told(small):
    for split, evaluate in (("val", False), ("test", True)):
        settings = small(batch_size=8, evaluate=evaluate)
        told = rf"--batch_size 8 is larger than .*{split}.csv \(7 segments\).*eval_last=kept"
        with pytest.raises(UserError, match=told):
            evaluated(settings, split)
    assert len(evaluated(small(batch_size=8, eval_last="kept"))) == 1
    with pytest.raises(UserError, match="larger than the training set"):
        epoch(small(batch_size=15, eval_last="kept"))


def test_csv_beside_the_frames_is_taken_where_the_default_is_not_there(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_split(Path(CSV_ROOT), folder, "val", 3, 8).csv_file == folder / "csv/val.csv"
    with pytest.raises(UserError, match="no such csv file"):
        open_split(Path("elsewhere"), folder, "val", 3, 8)
    (tmp_path / CSV_ROOT).mkdir(parents=True)
    with pytest.raises(UserError, match="no such csv file"):
        open_split(Path(CSV_ROOT), folder, "val", 3, 8)


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


def test_cached_batches_are_those_without_a_cache(small, tmp_path):
    for workers in (2, 0):
        settings = small(cache=tmp_path, num_workers=workers)
        assert all(equal(a, b) for a, b in zip(epoch(settings), epoch(small()), strict=True))
        assert all(equal(a, b) for a, b in zip(evaluated(settings), evaluated(small()), strict=True))
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


def test_blending_estimate_trains_on_shuffled_rows_and_validates_on_the_first_ones_in_their_order(small):
    fit, held = (batches_of(small("gb", batch_size=1), part).drawn for part in ("fit", "held"))
    assert (list(held.rows), held.shuffle) == ([0], False)
    assert (list(fit.rows), fit.shuffle) == (list(range(1, 14)), True)
