import json
from dataclasses import replace

import numpy as np
import pytest

from common.datasets.nyudv2.reader import NYUDv2
from common.datasets.nyudv2.standin import TRUTH, oracle_labels, write_nyudv2
from common.datasets.rooms.plan import BED, CABINET, MAT, PATCHES, plan_room
from common.datasets.rooms.render import camera_rays, render_plan, render_room
from common.errors import UserError
from common.standins.__main__ import main
from common.standins.marker import is_standin

SIZE = (96, 128)
CLASSES = sorted(sum(TRUTH.values(), ()))


def draw(room, size=SIZE):
    return render_plan(room, np.random.default_rng(0), *size)


def rooms(count, damage="none"):
    found = (plan_room(0, index) for index in range(1, 1000))
    return [room for room, _ in zip((room for room in found if room.damage == damage), range(count), strict=False)]


def miou(pairs):
    confusion = np.zeros((256, 256), np.int64)
    for truth, said in pairs:
        np.add.at(confusion, (truth.ravel(), said.ravel()), 1)
    confusion = confusion[:40, :40]
    union = confusion.sum(0) + confusion.sum(1) - confusion.diagonal()
    return np.mean([confusion[c, c] / union[c] for c in CLASSES])


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_are_read_by_the_reader_of_the_real_data(tmp_path):
    main(["nyudv2", str(tmp_path / "d"), "--samples", "5", "--size", "96", "128"])
    train, val = (NYUDv2(tmp_path / "d", tmp_path / "d" / f"{name}.txt") for name in ("train", "val"))
    assert (len(train), len(val)) == (5, 2)
    assert not set(train.entries) & set(val.entries)
    item = train[0]
    assert (item["rgb"].shape, item["depth"].shape, item["mask"].shape) == ((96, 128, 3), (96, 128, 3), (96, 128))
    assert item["depth"].dtype == np.uint16


def test_default_picture_has_the_official_size():
    picture = render_room(0, 1)
    assert picture.rgb.shape == (480, 640, 3)
    assert picture.depth.dtype == np.uint16


def test_marker_tells_generator_seed_and_truth(tmp_path):
    assert not is_standin(tmp_path)
    write_nyudv2(tmp_path, 1, seed=7, size=SIZE)
    record = json.loads((tmp_path / "standin.json").read_text())
    assert is_standin(tmp_path)
    assert (record["dataset"], record["seed"], record["samples"]) == ("nyudv2", 7, 1)
    assert record["truth"]["both_only"] == list(TRUTH["both_only"])


def test_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_nyudv2(tmp_path / name, 2, seed, SIZE)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["rgb/000001.png"] != contents(tmp_path / "c")["rgb/000001.png"]


def test_room_does_not_depend_on_how_many_are_written(tmp_path):
    write_nyudv2(tmp_path / "few", 2, size=SIZE)
    write_nyudv2(tmp_path / "more", 4, size=SIZE)
    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    assert all(few[name] == more[name] for name in few if name.endswith(".png"))


def test_smaller_picture_shows_the_same_room():
    large, small = render_room(0, 3, 384, 512), render_room(0, 3, *SIZE)
    known = small.mask != 255
    assert (large.mask[2::4, 2::4][known] == small.mask[known]).mean() > 0.97


def test_smaller_stand_in_replaces_a_larger_one(tmp_path):
    write_nyudv2(tmp_path, 4, size=SIZE)
    write_nyudv2(tmp_path, 2, size=SIZE)
    assert len(list((tmp_path / "masks").iterdir())) == 3


def test_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "rgb").mkdir()
    (tmp_path / "rgb/000001.png").write_text("real")
    before = contents(tmp_path)
    with pytest.raises(UserError, match="nothing was written"):
        main(["nyudv2", str(tmp_path), "--samples", "1"])
    assert contents(tmp_path) == before
    with pytest.raises(UserError, match="is a file"):
        main(["nyudv2", str(tmp_path / "rgb/000001.png")])


@pytest.mark.parametrize("flags", [["--samples", "0"], ["--size", "10", "128"]])
def test_impossible_counts_and_sizes_are_refused(tmp_path, flags):
    with pytest.raises(UserError, match=rf"{flags[0]} .*expected at least"):
        main(["nyudv2", str(tmp_path / "d"), *flags])


def test_colour_does_not_tell_boxes_from_decoys():
    for room in rooms(5):
        swapped = replace(room, boxes=tuple(replace(box, real=not box.real) for box in room.boxes))
        one, other = draw(room), draw(swapped)
        assert np.array_equal(one.rgb, other.rgb)
        assert not np.array_equal(one.depth, other.depth)
        assert not np.array_equal(one.mask, other.mask)


def test_boxes_and_decoys_are_alike_in_number_place_and_brightness():
    plans = [plan_room(1, index) for index in range(1500)]
    for label in (BED, CABINET):
        boxes = [box for room in plans for box in room.boxes if box.label == label]
        real, decoy = ([box for box in boxes if box.real is kind] for kind in (True, False))
        assert 0.7 < len(decoy) / len(real) < 1.1
        for traits in (lambda box: box.face_gain, lambda box: box.low, lambda box: box.high):
            a, b = (np.array([traits(box) for box in kind]) for kind in (real, decoy))
            error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b)) + 1e-9
            assert (np.abs(a.mean(0) - b.mean(0)) < 4 * error).all()


def test_colour_does_not_tell_how_far_a_wall_piece_reaches():
    room = rooms(1)[0]
    moved = replace(room, patches=tuple(replace(patch, reach=0.4) for patch in room.patches))
    assert np.array_equal(draw(room).rgb, draw(moved).rgb)
    assert not np.array_equal(draw(room).depth, draw(moved).depth)


def test_depth_shows_no_trace_of_flat_pieces():
    for room in rooms(5):
        bare = replace(room, patches=tuple(patch for patch in room.patches if patch.reach > 0))
        assert np.array_equal(draw(room).depth, draw(bare).depth)


def test_depth_does_not_tell_red_from_blue():
    room = rooms(1)[0]
    grey = replace(room, patches=tuple(replace(patch, colour=(0.5, 0.5, 0.5)) for patch in room.patches))
    assert np.array_equal(draw(room).depth, draw(grey).depth)


def test_outline_of_a_wall_piece_does_not_tell_its_kind():
    areas = {label: [] for label in PATCHES}
    for room in rooms(250):
        for patch in room.patches:
            if patch.label != MAT:
                areas[patch.label].append(np.ptp(patch.across) * np.ptp(patch.along) / room.back**2)
    means = np.array([np.mean(values) for values in areas.values()])
    assert np.ptp(means) < 0.1 * means.mean()


def test_floor_pixels_lie_on_one_plane_within_the_noise():
    for room in rooms(3):
        picture = draw(room)
        rays, axis = camera_rays(room, *SIZE)
        points = rays * (picture.depth / 5000 / (rays @ axis))[:, :, None]
        floor = points[(picture.mask == 1) & (picture.depth > 0)]
        middle = floor.mean(0)
        normal = np.linalg.svd(floor - middle)[2][-1]
        assert np.sqrt(((floor - middle) @ normal).var()) < 0.02
        assert abs(normal[1]) > 0.999
        assert abs(abs(middle[1]) - room.eye) < 0.02


def test_boxes_stand_nearer_than_the_wall_behind_them():
    for room in rooms(6):
        seen = draw(room)
        empty = draw(replace(room, boxes=()))
        for box in room.boxes:
            inside = (seen.mask == box.label) & (seen.depth > 0)
            gain = (empty.depth[inside].astype(float) - seen.depth[inside]) / 5000
            assert inside.any() == box.real
            assert not box.real or np.median(gain) > 0.15


def test_deep_and_shallow_pieces_differ_clearly_in_depth():
    reaches = {label: PATCHES[label][2] for label in TRUTH["both_only"]}
    deep, shallow = ([label for label in reaches if (reaches[label][0] > 0.4) is kind] for kind in (True, False))
    assert [len(deep), len(shallow)] == [2, 2]
    assert [len({PATCHES[label][0] for label in pair}) for pair in (deep, shallow)] == [2, 2]
    assert min(reaches[label][0] for label in deep) > 3 * max(reaches[label][1] for label in shallow)
    assert min(reaches[label][0] for label in shallow) > 5 * 0.0011 * 3.3**2  # the noise at the farthest wall


def test_every_object_occurs_in_half_of_the_rooms_and_is_large_enough():
    found = {label: [] for label in CLASSES}
    for index in range(1, 151):
        mask = render_room(0, index, *SIZE).mask
        for label in found:
            rows, columns = np.nonzero(mask == label)
            if rows.size:
                found[label].append((np.ptp(rows) + 1, np.ptp(columns) + 1))
    for label in set(CLASSES) - set(TRUTH["either"]):
        assert len(found[label]) > 0.43 * 150
        assert (np.median(found[label], axis=0) >= 14).all()
    assert all(len(found[label]) > 0.8 * 150 for label in TRUTH["either"])


def test_only_borders_are_ignored():
    mask = render_room(0, 1).mask
    assert set(np.unique(mask)) <= {*CLASSES, 255}
    assert 0.01 < (mask == 255).mean() < 0.08


def test_each_modality_is_damaged_in_its_share_of_rooms():
    damage = [plan_room(0, index).damage for index in range(1000)]
    assert abs(damage.count("rgb") / 1000 - 0.15) < 0.04
    assert abs(damage.count("depth") / 1000 - 0.15) < 0.04
    dark, holed, clean = (draw(rooms(1, kind)[0]) for kind in ("rgb", "depth", "none"))
    assert dark.rgb.mean() < 0.2 * clean.rgb.mean()
    assert (holed.depth == 0).mean() > 0.5
    assert (clean.depth == 0).mean() < 0.03


def test_one_modality_alone_cannot_pass_the_stated_ceiling():
    pictures = [draw(room) for room in rooms(200)]
    said = [oracle_labels(picture.mask, picture.decoys) for picture in pictures]
    colour = miou((picture.mask, labels[0]) for picture, labels in zip(pictures, said, strict=True))
    depth = miou((picture.mask, labels[1]) for picture, labels in zip(pictures, said, strict=True))
    assert abs(colour - 0.66) < 0.02
    assert abs(depth - 0.48) < 0.02
