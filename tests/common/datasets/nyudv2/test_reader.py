import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from common.datasets.nyudv2.reader import CLASSES, NYUDv2, palette, read_list
from common.errors import UserError

RNG = np.random.default_rng(0)


def write_sample(folder, number, image=(20, 24), mask=(20, 24), depth_type=np.uint16):
    name = f"{number:06d}.png"
    for kind in ("rgb", "masks", "depth"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (*image, 3)).astype(np.uint8)).save(folder / "rgb" / name)
    Image.fromarray(RNG.integers(0, 40, mask).astype(np.uint8)).save(folder / "masks" / name)
    Image.fromarray(RNG.integers(0, np.iinfo(depth_type).max, image).astype(depth_type)).save(folder / "depth" / name)
    return f"rgb/{name}\tmasks/{name}\tdepth/{name}\n"


@pytest.fixture
def data(tmp_path):
    lines = [write_sample(tmp_path, number) for number in (1, 2, 3)]
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def open_data(folder):
    return NYUDv2(folder, folder / "list.txt")


def test_item_holds_native_arrays_of_documented_shapes(data):
    dataset = open_data(data)
    item = dataset[1]
    assert len(dataset) == 3
    assert len(list(dataset)) == 3
    assert {key: (array.shape, array.dtype.name) for key, array in item.items()} == {
        "rgb": ((20, 24, 3), "uint8"),
        "depth": ((20, 24, 3), "uint16"),
        "mask": ((20, 24), "uint8"),
    }
    stored = np.asarray(Image.open(data / "depth/000002.png"))
    assert stored.max() > 255
    assert all(np.array_equal(item["depth"][:, :, channel], stored) for channel in range(3))
    assert all(array.flags.c_contiguous and array.flags.writeable for array in item.values())


def test_grey_colour_file_is_repeated_and_8_bit_depth_kept(tmp_path):
    (tmp_path / "list.txt").write_text(write_sample(tmp_path, 1, depth_type=np.uint8))
    grey = RNG.integers(0, 256, (20, 24)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "rgb/000001.png")
    item = open_data(tmp_path)[0]
    assert item["depth"].dtype == np.uint8
    assert np.array_equal(item["rgb"], np.stack([grey] * 3, axis=-1))


def test_palette_mask_keeps_its_indices(data):
    indices = RNG.integers(0, 40, (20, 24)).astype(np.uint8)
    indices[0] = 255
    image = Image.fromarray(indices, mode="P")
    image.putpalette(RNG.integers(0, 256, 768).astype(np.uint8).tobytes())
    image.save(data / "masks/000002.png")
    assert np.array_equal(open_data(data)[1]["mask"], indices)


def test_masks_cut_around_the_centre_are_accepted(tmp_path):
    lines = [write_sample(tmp_path, number, image=(48, 64), mask=(43, 56)) for number in (1, 2)]
    (tmp_path / "list.txt").write_text("".join(lines))
    assert open_data(tmp_path)[0]["mask"].shape == (43, 56)


@pytest.mark.parametrize("kind", ["rgb", "masks", "depth"])
def test_missing_image_is_named_with_list_and_line(data, kind):
    (data / kind / "000003.png").unlink()
    with pytest.raises(UserError) as error:
        open_data(data)
    assert str(data / kind / "000003.png") in str(error.value)
    assert f"{data / 'list.txt'}:3" in str(error.value)


@pytest.mark.parametrize("there", [True, False])
def test_missing_folder_tells_layout_source_and_stand_in(tmp_path, there):
    folder = tmp_path / "nyud"
    if there:
        folder.mkdir()
    with pytest.raises(UserError, match=r"masks/NNNNNN.png .*NYU Depth V2.*common.standins nyudv2 .*nyud"):
        open_data(folder)


@pytest.mark.parametrize(
    "line", ["rgb/000001.png masks/000001.png depth/000001.png", "rgb/1.png\tmasks/1.png", "", "\t\t"]
)
def test_malformed_line_is_named(data, line):
    path = data / "list.txt"
    path.write_text(path.read_text() + line + "\nrgb/000001.png\tmasks/000001.png\tdepth/000001.png\n")
    with pytest.raises(UserError, match=r"list.txt:4: .*three paths"):
        open_data(data)


def test_list_of_another_system_is_read(data):
    text = (data / "list.txt").read_text().replace("\n", "\r\n") + "\r\n"
    (data / "list.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_list(data / "list.txt")[2] == ("rgb/000003.png", "masks/000003.png", "depth/000003.png")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00bad"])
def test_empty_or_binary_list_is_refused(data, content):
    (data / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=r"list.txt: (the list is empty|not a text file)"):
        open_data(data)


def test_missing_list_is_named(data):
    with pytest.raises(UserError, match=r"nope.txt: no such list file"):
        NYUDv2(data, data / "nope.txt")


@pytest.mark.parametrize("mask", [(21, 24), (20, 25), (16, 24), (20, 20)])
def test_mask_larger_or_far_smaller_than_the_image_is_refused(data, mask):
    write_sample(data, 2, mask=mask)
    with pytest.raises(
        UserError, match=rf"list.txt:2: .*masks/000002.png: mask of {mask[0]}x{mask[1]} for rgb of 20x24"
    ):
        open_data(data)


def test_sample_cut_unlike_the_others_is_named(data):
    write_sample(data, 3, mask=(19, 24))
    with pytest.raises(
        UserError, match=r"masks/000003.png: mask of 19x24 for rgb of 20x24.*\(1, 0\).*\(0, 0\) in most"
    ):
        open_data(data)


def test_depth_cut_unlike_the_others_is_named(data):
    Image.fromarray(np.ones((21, 25), np.uint16)).save(data / "depth/000001.png")
    with pytest.raises(UserError, match=r"masks/000001.png: mask of 20x24 for depth of 21x25"):
        open_data(data)


def test_colour_mask_is_refused(data):
    shutil.copy(data / "rgb/000001.png", data / "masks/000001.png")
    with pytest.raises(UserError, match=r"masks/000001.png: image mode RGB, expected one of L, P"):
        open_data(data)


def test_file_that_is_no_image_is_named_when_opening(data):
    (data / "depth/000002.png").write_text("not found")
    with pytest.raises(UserError, match=r"depth/000002.png: cannot be read as an image"):
        open_data(data)


@pytest.mark.parametrize("kind", ["rgb", "masks", "depth"])
def test_file_cut_short_is_named_when_decoded(data, kind):
    path = data / kind / "000002.png"
    path.write_bytes(path.read_bytes()[:-200])
    dataset = open_data(data)
    dataset[0]
    with pytest.raises(UserError, match=rf"{kind}/000002.png: cannot be read as an image"):
        dataset[1]


def test_label_beyond_the_classes_is_named(data):
    Image.fromarray(np.full((20, 24), 40, np.uint8)).save(data / "masks/000001.png")
    with pytest.raises(UserError, match=r"masks/000001.png: label 40 found, expected 0..39 or 255"):
        open_data(data)[0]


def test_official_splits_pick_their_numbers(data):
    scipy.io.savemat(data / "splits.mat", {"trainNdxs": np.array([[3], [1]]), "testNdxs": np.array([[2]])})
    train, val = (NYUDv2(data, data / "splits.mat", split) for split in ("train", "val"))
    assert [entry.rgb for entry in train.entries] == ["rgb/000003.png", "rgb/000001.png"]
    assert [entry.mask for entry in val.entries] == ["masks/000002.png"]


def test_splits_need_a_split_and_their_arrays(data):
    scipy.io.savemat(data / "splits.mat", {"trainNdxs": np.array([[1]])})
    with pytest.raises(UserError, match="split is None, expected one of train, val"):
        read_list(data / "splits.mat")
    with pytest.raises(UserError, match="no array 'testNdxs'"):
        read_list(data / "splits.mat", "val")
    (data / "splits.mat").write_bytes(b"MATLAB")
    with pytest.raises(UserError, match="cannot be read as a MATLAB file"):
        read_list(data / "splits.mat", "train")


def test_fingerprint_follows_lines_and_file_sizes(data):
    first = open_data(data).fingerprint()
    assert first == open_data(data).fingerprint()
    path = data / "rgb/000002.png"
    path.write_bytes(path.read_bytes() + b"\0")
    second = open_data(data).fingerprint()
    lines = (data / "list.txt").read_text().splitlines(keepends=True)
    (data / "list.txt").write_text("".join(reversed(lines)))
    assert len({first, second, open_data(data).fingerprint()}) == 3


def test_palette_follows_the_voc_bit_rule():
    assert palette()[:13].tolist() == [
        *([0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128]),
        *([128, 128, 128], [64, 0, 0], [192, 0, 0], [64, 128, 0], [192, 128, 0], [64, 0, 128]),
    ]
    assert palette().shape == (41, 3)
    assert len({tuple(row) for row in palette().tolist()}) == 41


def test_there_are_forty_classes_in_the_usual_order():
    assert len(CLASSES) == 40
    assert [CLASSES.index(name) for name in ("wall", "floor", "ceiling", "television", "otherprop")] == [
        0,
        1,
        21,
        24,
        39,
    ]


@pytest.fixture
def real(tmp_path):
    source = Path(os.environ.get("REAL_DATA_DIR", "")) / "nyuv2"
    if not os.environ.get("REAL_DATA_DIR") or not source.is_dir():
        pytest.skip("REAL_DATA_DIR is not set or holds no nyuv2")
    for name, official in (("rgb", "rgb"), ("masks", "label40"), ("depth", "depth")):
        shutil.copytree(source / official, tmp_path / name)
    numbers = sorted(path.name for path in (tmp_path / "rgb").iterdir())
    (tmp_path / "list.txt").write_text("".join(f"rgb/{n}\tmasks/{n}\tdepth/{n}\n" for n in numbers))
    return tmp_path, source


@pytest.mark.real
def test_real_images_are_read(real):
    folder, _ = real
    for item in open_data(folder):
        metres = item["depth"][item["depth"] > 0] / 5000
        assert item["rgb"].shape == item["depth"].shape == (480, 640, 3)
        assert item["depth"].dtype == np.uint16
        assert 0.3 < metres.min() < metres.max() < 12
        assert len(np.unique(item["mask"])) > 5


@pytest.mark.real
def test_real_splits_hold_795_and_654_numbers(real):
    _, source = real
    train, val = (read_list(source / "splits.mat", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (795, 654)
    assert not set(train) & set(val)
