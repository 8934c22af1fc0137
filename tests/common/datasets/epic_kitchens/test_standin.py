import json
from collections import Counter

import numpy as np
import pytest

from common.datasets.epic_kitchens.reader import EpicKitchens, read_segments
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.datasets.epic_kitchens.subset import VERBS
from common.datasets.kitchens.plan import LONGEST, LOOKS, MOTIONS, PAINTS, SHORTEST, SLOT, ClipPlan, plan_clip
from common.datasets.kitchens.plan import oracle_accuracies as oracle
from common.datasets.kitchens.render import camera_path, flow_levels, render_clip
from common.errors import UserError
from common.standins.__main__ import main

SPLITS = {"train": 24, "val": 12, "test": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitchens")
    main(["epic_kitchens", str(folder), "--samples", "24", "--size", "40", "48"])
    return folder


def rendered(paint="red", motion="up", seed=0, size=(48, 56)):
    return render_clip(ClipPlan(0, paint, motion, "disc", 0, 20), np.random.default_rng(seed), *size)


def surface_motion(flow):
    """Mean u and v of the middle against the rest, in levels: what the surface does, without the camera."""
    height, width = flow.shape[1:3]
    rows, columns = slice(height // 2 - 3, height // 2 + 3), slice(width // 2 - 3, width // 2 + 3)
    return (flow[:, rows, columns].mean(axis=(1, 2)) - np.median(flow, axis=(1, 2))).mean(axis=0)


def test_files_are_read_by_the_reader_of_the_real_data(folder):
    for split, count in SPLITS.items():
        clips = EpicKitchens(folder, folder / f"csv/{split}.csv", 9, len(VERBS))
        assert len(clips) == count
        for item in clips:
            assert item["rgb"].shape == (9, 40, 48, 3)
            assert item["flow"].shape == (9, 40, 48, 2)


def test_verbs_are_equally_frequent_and_kitchens_are_the_published_ones(folder):
    for split in ("train", "val"):
        segments = read_segments(folder / f"csv/{split}.csv", 8)
        counts = Counter(segment.verb for segment in segments)
        assert set(counts) == set(range(8))
        assert max(counts.values()) - min(counts.values()) <= 1
        assert {segment.participant_id for segment in segments} <= {"P01", "P08", "P22"}


def test_rows_are_sorted_and_videos_belong_to_one_split(folder):
    videos = []
    for split in SPLITS:
        segments = read_segments(folder / f"csv/{split}.csv", 8)
        names = [segment.narration_id for segment in segments]
        assert names == sorted(names)
        videos.append({segment.video_id for segment in segments})
    assert len(set.union(*videos)) == sum(map(len, videos))


def test_segments_lie_in_slots_that_share_no_frame(folder):
    starts = set()
    for segment in read_segments(folder / "csv/train.csv", 8):
        slot = int(segment.narration_id.rsplit("_", 1)[1])
        first, last = slot * SLOT + 1, (slot + 1) * SLOT
        assert first <= segment.start_frame < segment.stop_frame <= last
        assert SHORTEST <= segment.stop_frame - segment.start_frame + 1 <= LONGEST
        assert first // 2 < (segment.start_frame + 1) // 2 <= (segment.stop_frame + 1) // 2 <= last // 2
        starts.add(segment.start_frame % 2)
    assert starts == {0, 1}


def test_flow_has_half_the_rate(folder):
    video = folder / "P01"
    counts = [len(list((video / part).iterdir())) for part in ("rgb_frames/P01_01", "flow_frames/P01_01/u")]
    assert counts == [8 * SLOT, 4 * SLOT]


def test_marker_tells_truth_and_best_accuracies(folder):
    record = json.loads((folder / "standin.json").read_text())
    assert (record["dataset"], record["samples"]) == ("epic_kitchens", 24)
    assert record["truth"]["best_accuracy"] == oracle()
    assert list(record["truth"]["looks"]) == list(VERBS)


def test_best_accuracies_are_those_of_the_docstring():
    assert oracle() == {"none": 0.125, "rgb": 0.5, "flow": 0.5, "both": 1.0}


def test_best_accuracies_are_those_of_drawn_clips():
    plans = [plan_clip(3, number) for number in range(4000)]
    for name, seen in {
        "rgb": lambda p: p.paint,
        "flow": lambda p: p.motion,
        "both": lambda p: (p.paint, p.motion),
    }.items():
        counts: dict = {}
        for plan in plans:
            counts.setdefault(seen(plan), Counter())[plan.verb] += 1
        best = sum(verbs.most_common(1)[0][1] for verbs in counts.values()) / len(plans)
        assert best == pytest.approx(oracle()[name], abs=0.03)


def test_clip_is_a_function_of_seed_and_number():
    assert plan_clip(0, 17) == plan_clip(0, 17)
    assert len({plan_clip(seed, 17) for seed in range(20)}) > 10
    for block in range(3):
        assert {plan_clip(1, 8 * block + place).verb for place in range(8)} == set(range(8))
    for number in range(64):
        plan = plan_clip(2, number)
        paints, motions = LOOKS[VERBS[plan.verb]]
        assert (plan.paint in paints, plan.motion in motions) == (True, True)


def test_pictures_hold_no_trace_of_the_motion_and_flow_none_of_the_paint():
    for motion in MOTIONS:
        np.testing.assert_array_equal(rendered(motion=motion).rgb, rendered(motion="up").rgb)
    for paint in PAINTS:
        np.testing.assert_array_equal(rendered(paint=paint).flow, rendered(paint="red").flow)
    assert np.any(rendered(motion="down").flow != rendered(motion="up").flow)


def test_grain_is_drawn_anew_in_every_frame():
    rgb = rendered(seed=4).rgb.astype(float)[:, 20:28, 24:32].mean(axis=3)
    grain = (rgb - rgb.mean(axis=(1, 2), keepdims=True)).reshape(len(rgb), -1)
    assert np.abs(np.corrcoef(grain)[0, 1:]).mean() < 0.35


@pytest.mark.parametrize(("motion", "sign"), [("up", -1), ("down", 1)])
def test_up_and_down_are_in_v_however_the_picture_is_mirrored(motion, sign):
    for seed in range(5):
        flow = rendered(motion=motion, seed=seed).flow.astype(float)
        for seen in (flow, flow[:, :, ::-1]):
            across, down = surface_motion(seen)
            assert sign * down > 10
            assert abs(across) < 5


def test_sideways_goes_either_way_and_swelling_outwards():
    ways = {np.sign(surface_motion(rendered(motion="sideways", seed=seed).flow.astype(float))[0]) for seed in range(8)}
    assert ways == {-1, 1}
    flow = rendered(motion="swelling", seed=1).flow.astype(float).mean(axis=0)
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]]
    away = (flow - np.median(flow, axis=(0, 1))) * np.stack([columns - columns.mean(), rows - rows.mean()], axis=-1)
    assert np.all(away.mean(axis=(0, 1)) > 5)


def test_camera_is_in_both_streams():
    """The room's displacement between pictures, found by trying all small ones, is the flow at the picture's rim."""
    frames = rendered(seed=6)
    pictures = frames.rgb.astype(float).mean(axis=3)[:, :8]
    found = [best_shift(pictures[2 * k], pictures[2 * k + 2]) for k in range(SLOT // 2 - 1)]
    levels = np.median(frames.flow[:-1, :8], axis=(1, 2))
    told = np.rint((levels - 127.5) / 127.5 * 20)
    assert np.mean(np.all(told == found, axis=1)) > 0.8
    assert np.any(np.array(found) != 0)


def best_shift(one, two, reach=2):
    """(x, y) by which the content of `one` has moved in `two`."""
    inner = one[reach:-reach, reach:-reach]
    height, width = inner.shape
    shifts = [(x, y) for x in range(-reach, reach + 1) for y in range(-reach, reach + 1)]
    return min(
        shifts,
        key=lambda s: np.abs(two[reach + s[1] :, reach + s[0] :][:height, :width] - inner).mean(),
    )


def test_camera_never_moves_faster_than_a_pixel_a_frame():
    path = camera_path(np.random.default_rng(0), 500)
    assert np.abs(np.diff(path, axis=0)).max() == 1


def test_levels_of_flow():
    assert flow_levels(np.array([-25.0, -20, 0, 2, 20, 99])).tolist() == [0, 0, 128, 140, 255, 255]


def test_same_seed_writes_the_same_bytes_and_another_seed_others(folder, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        write_epic_kitchens(tmp_path / name, 8, seed, (40, 48))
    part = "P01/rgb_frames/P01_01/frame_0000000030.jpg"
    assert (folder / part).read_bytes() == (tmp_path / "same" / part).read_bytes()
    assert (folder / part).read_bytes() != (tmp_path / "other" / part).read_bytes()


def test_older_stand_in_is_replaced_and_other_folders_are_left_alone(tmp_path):
    write_epic_kitchens(tmp_path / "a", 24, size=(32, 32))
    write_epic_kitchens(tmp_path / "a", 1, size=(32, 32))
    assert [len(read_segments(tmp_path / f"a/csv/{split}.csv", 8)) for split in SPLITS] == [1, 1, 1]
    assert len(list((tmp_path / "a").glob("*/rgb_frames/*"))) == 3
    (tmp_path / "b").mkdir()
    (tmp_path / "b/mine.txt").touch()
    with pytest.raises(UserError, match="nothing was written"):
        write_epic_kitchens(tmp_path / "b", 8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "--samples 0: expected at least 1"),
        ({"size": (31, 99)}, "--size 31 99: expected at least 32 32"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        write_epic_kitchens(tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()
