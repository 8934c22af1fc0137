import subprocess
import sys

import numpy as np
import pytest
import scipy.io
from PIL import Image

from common.datasets.nyudv2.standin import write_nyudv2
from common.errors import UserError
from common.verify.__main__ import main


@pytest.fixture
def data(tmp_path):
    write_nyudv2(tmp_path / "d", 6, size=(48, 64))
    return tmp_path / "d"


def verify(capsys, *args):
    """Exit status and printed text."""
    try:
        main(["nyudv2", *map(str, args)])
        status = 0
    except SystemExit as stop:
        status = stop.code
    return status, capsys.readouterr().out


def test_sound_folder_is_summed_up(data, capsys):
    status, text = verify(capsys, data)
    assert status == 0
    assert text.splitlines()[-1] == "all is well"
    assert "train.txt: 6 samples (stand-in)" in text
    assert "val.txt: 3 samples" in text
    assert "rgb    uint8 48x64x3 (6)" in text
    assert "depth  uint16 48x64x3 (6)" in text
    assert "without depth" in text


def test_label_shares_are_those_of_the_masks(data, capsys):
    masks = [np.asarray(Image.open(data / f"masks/{number:06d}.png")) for number in range(1, 7)]
    _, text = verify(capsys, data, "--lists", "train.txt")
    assert f"wall            {np.mean(np.stack(masks) == 0):7.2%}" in text
    assert f"ignore          {np.mean(np.stack(masks) == 255):7.2%}" in text


def test_depth_range_is_in_metres(data, capsys):
    depths = np.stack([np.asarray(Image.open(data / f"depth/{number:06d}.png")) for number in range(1, 7)])
    seen = depths[depths > 0] / 5000
    _, text = verify(capsys, data, "--lists", "train.txt")
    assert f"depth from {seen.min():.3f} to {seen.max():.3f} m" in text
    assert f"{np.mean(depths == 0):.1%} without depth" in text


def test_every_bad_file_is_named_not_only_the_first(data, capsys):
    (data / "rgb/000001.png").unlink()
    (data / "depth/000001.png").write_text("no image")
    cut = data / "depth/000003.png"
    cut.write_bytes(cut.read_bytes()[:-100])
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(data / "masks/000004.png")
    Image.fromarray(np.zeros((47, 64), np.uint8)).save(data / "masks/000005.png")
    Image.fromarray(np.zeros((10, 64), np.uint8)).save(data / "masks/000008.png")
    status, text = verify(capsys, data)
    assert status == 1
    for part in (
        "train.txt:1: " + str(data / "rgb/000001.png") + ": no such image file",
        "train.txt:1: " + str(data / "depth/000001.png") + ": cannot be read",
        "train.txt:3: " + str(data / "depth/000003.png") + ": cannot be read",
        str(data / "masks/000004.png") + ": label 77",
        str(data / "masks/000005.png") + ": mask of 47x64 for rgb of 48x64",
        "val.txt:2: " + str(data / "masks/000008.png") + ": mask of 10x64",
    ):
        assert part in text
    assert "rgb    uint8 48x64x3 (5)" in text
    assert text.splitlines()[-1] == "7 problems"  # the odd size counts for rgb and for depth


def test_malformed_list_is_a_problem_and_the_other_list_is_still_read(data, capsys):
    (data / "train.txt").write_text("rgb/000001.png\n")
    status, text = verify(capsys, data)
    assert status == 1
    assert "train.txt: unusable" in text
    assert "val.txt: 3 samples" in text


def test_folder_with_splits_only_is_read_through_them(data, capsys):
    scipy.io.savemat(data / "splits.mat", {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[3]])})
    (data / "train.txt").unlink()
    (data / "val.txt").unlink()
    (data / "standin.json").unlink()
    status, text = verify(capsys, data)
    assert status == 0
    assert "splits.mat train: 2 samples\n" in text
    assert "splits.mat val: 1 samples\n" in text


def test_lists_elsewhere_are_accepted(data, capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("rgb/000002.png\tmasks/000002.png\tdepth/000002.png\n")
    status, text = verify(capsys, data, "--lists", tmp_path / "mine.txt")
    assert (status, "mine.txt: 1 samples" in text) == (0, True)


def test_missing_folder_or_list_is_bad_usage(data, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        main(["nyudv2", str(tmp_path / "nope")])
    with pytest.raises(UserError, match=r"other.txt: no such list file"):
        main(["nyudv2", str(data), "--lists", "other.txt"])


@pytest.mark.parametrize(("args", "status"), [(["nyudv2", "nope"], 2), (["unknown", "nope"], 2)])
def test_bad_usage_ends_with_status_2_and_one_line(args, status):
    done = subprocess.run([sys.executable, "-m", "common.verify", *args], capture_output=True, text=True)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
