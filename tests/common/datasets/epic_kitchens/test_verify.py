import shutil

import cv2
import numpy as np
import pytest

from common.datasets.epic_kitchens.reader import frame_name, read_segments
from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.errors import UserError
from common.verify.__main__ import main


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kitchens") / "data"
    write_epic_kitchens(folder, 8, size=(32, 36))
    return folder


@pytest.fixture
def data(written, tmp_path):
    return shutil.copytree(written, tmp_path / "data")


def verify(capsys, *args):
    status = 0
    try:
        main(["epic_kitchens", *map(str, args)])
    except SystemExit as stop:
        status = stop.code
    return status, capsys.readouterr().out


def replace_in(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def test_sound_folder_is_summed_up(written, capsys):
    status, text = verify(capsys, written)
    assert (status, text.splitlines()[-1]) == (0, "all is well")
    segments = read_segments(written / "csv/train.csv", 8)
    lengths = [segment.stop_frame - segment.start_frame + 1 for segment in segments]
    frames = sum(min(length, 16) for length in lengths)
    for part in ("train.csv: 8 segments (stand-in)", "val.csv: 4 segments", "test.csv: 4 segments", "  P01 8\n"):
        assert part in text
    assert f"  rgb    uint8 32x36x3 ({frames})\n" in text
    assert f"  {min(lengths)} to {max(lengths)} frames, median {np.median(lengths):g}\n" in text
    assert text.count("12.50%") == 8


def test_each_missing_or_damaged_frame_is_named(data, capsys):
    first = read_segments(data / "csv/train.csv", 8)[0]
    video = data / "P01/rgb_frames/P01_01"
    gone, bad = (
        video / frame_name(first.start_frame + 1),
        data / "P01/flow_frames/P01_01/v" / frame_name((first.start_frame + 1) // 2),
    )
    gone.unlink()
    bad.write_bytes(bad.read_bytes()[:200])
    cv2.imwrite(str(video / frame_name(first.start_frame)), np.zeros((30, 30, 3), np.uint8))
    status, text = verify(capsys, data)
    assert (status, text.splitlines()[-1]) == (1, "3 problems")
    assert f"{gone}: no such frame" in text
    assert f"{bad}: cannot be read as an image" in text
    assert "train.csv:2: segment P01_01_0 has rgb frames of uint8 30x30x3, uint8 32x36x3; expected one size" in text


def test_segment_that_outlasts_its_video_is_one_problem_a_stream(data, capsys):
    last = read_segments(data / "csv/test.csv", 8)[-1]
    replace_in(data / "csv/test.csv", f",{last.stop_frame},", ",999,")
    status, text = verify(capsys, data)
    assert (status, text.splitlines()[-1]) == (1, "2 problems")
    assert f"segment {last.narration_id} needs rgb frames {last.start_frame} to 999" in text
    assert f"segment {last.narration_id} needs flow frames {(last.start_frame + 1) // 2} to 500" in text


def test_unusable_csv_is_a_problem_and_the_others_are_still_read(data, capsys):
    replace_in(data / "csv/train.csv", "narration_id", "id")
    status, text = verify(capsys, data)
    assert (status, text.splitlines()[-1]) == (1, "1 problem")
    assert "train.csv: unusable\n" in text
    assert "val.csv: 4 segments" in text


def test_csv_files_elsewhere_shared_videos_and_renewed_ones_are_noted(data, capsys):
    (data / "csv").rename(data / "lists")
    shutil.copy(data / "lists/val.csv", data / "lists/test.csv")
    for name in ("rgb_frames", "flow_frames"):
        (data / f"P01/{name}/P01_01").rename(data / f"P01/{name}/P01_109")
    path = data / "lists/train.csv"
    path.write_text(path.read_text().replace("P01,P01_01,", "P01,P01_109,"))
    status, text = verify(capsys, data, "--csv", data / "lists")
    assert status == 0
    assert "note: 1 videos stand in val.csv and in test.csv\n" in text
    assert "note: P01_109 is in use: the data set's authors ask to download it again\n" in text


def test_missing_folder_or_csv_is_bad_usage(data, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        main(["epic_kitchens", str(tmp_path / "nope")])
    (data / "csv/val.csv").unlink()
    with pytest.raises(UserError, match=r"val.csv: no such csv file; name the folder of train.csv, val.csv, test.csv"):
        main(["epic_kitchens", str(data)])
