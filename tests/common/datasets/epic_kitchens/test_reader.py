import cv2
import numpy as np
import pytest

from common.datasets.epic_kitchens import reader
from common.datasets.epic_kitchens.reader import (
    FIELDS,
    EpicKitchens,
    flow_range,
    frame_name,
    frame_positions,
    frame_range,
    read_flow,
    read_rgb,
    read_segments,
)
from common.errors import UserError
from common.provenance import describe_dataset

HEADER = ",".join([*FIELDS, "verb"])
ROWS = ["P01_01_0,P01,P01_01,1,10,3", "P01_01_1,P01,P01_01,4,5,7"]
SIZE = (6, 8)


def write_csv(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def write_frames(folder, values, channels=3):
    """Frames 1, 2, ... of one grey level each, without loss under the official names."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, value in enumerate(values, start=1):
        frame = np.full((*SIZE, channels), value, np.uint8) if channels > 1 else np.full(SIZE, value, np.uint8)
        (folder / frame_name(number)).write_bytes(cv2.imencode(".png", frame)[1].tobytes())


@pytest.fixture
def data(tmp_path):
    """A video of 10 RGB frames, level n, and 5 flow frames, levels 100 + n (u) and 200 + n (v)."""
    video = tmp_path / "P01"
    write_frames(video / "rgb_frames/P01_01", range(1, 11))
    write_frames(video / "flow_frames/P01_01/u", range(101, 106), channels=1)
    write_frames(video / "flow_frames/P01_01/v", range(201, 206), channels=1)
    write_csv(tmp_path / "train.csv", ROWS)
    return tmp_path


def opened(folder, num_frames=4, **options):
    return EpicKitchens(folder, folder / "train.csv", num_frames, 8, **options)


def error_of(call, *args, **options):
    with pytest.raises(UserError) as error:
        call(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_item_holds_evenly_spread_frames_of_both_streams(data):
    clips = opened(data)
    assert len(clips) == 2
    assert [segment.verb for segment in clips.segments] == [3, 7]
    item = clips[0]
    assert item["rgb"].shape == (4, *SIZE, 3)
    assert item["flow"].shape == (4, *SIZE, 2)
    assert item["rgb"].dtype == item["flow"].dtype == np.uint8
    assert item["rgb"][:, 0, 0, 0].tolist() == [1, 4, 7, 10]
    assert item["flow"][:, 0, 0].tolist() == [[101, 201], [102, 202], [103, 203], [105, 205]]


def test_short_segments_repeat_frames_and_decode_each_once(data, monkeypatch):
    decoded = []
    monkeypatch.setattr(reader, "read_rgb", lambda path: decoded.append(path) or read_rgb(path))
    item = opened(data, num_frames=7)[1]
    assert item["rgb"][:, 0, 0, 0].tolist() == [4, 4, 4, 4, 4, 4, 5]
    assert item["flow"][:, 0, 0, 0].tolist() == [102, 102, 102, 102, 102, 102, 103]
    assert len(decoded) == 2


def test_colours_come_in_rgb_order(tmp_path):
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[..., 2] = 250
    cv2.imwrite(str(tmp_path / "red.png"), frame)
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [250, 0, 0]


def test_frames_of_a_segment():
    assert frame_range(8, 23, "rgb") == (8, 23)
    assert frame_range(8, 23, "flow") == flow_range(8, 23) == (4, 12)
    assert frame_positions(10, 4).tolist() == [0, 3, 6, 9]
    assert frame_positions(5, 1).tolist() == [0]
    assert frame_positions(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("length", "count"), [(2, 16), (17, 16), (113, 16), (3567, 16), (100, 9)])
def test_positions_begin_and_end_with_the_segment(length, count):
    positions = frame_positions(length, count)
    assert len(positions) == count
    assert (positions[0], positions[-1]) == (0, length - 1)
    assert np.all(np.diff(positions) >= 0)


def test_stream_that_is_not_asked_for_need_not_be_there(data):
    (data / "P01/flow_frames").rename(data / "away")
    assert list(opened(data, modalities=("rgb",))[0]) == ["rgb"]
    assert "flow_frames" in error_of(opened, data)


def test_line_ends_of_windows_and_blank_lines_are_accepted(tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(f"\ufeff{HEADER}\r\n{ROWS[0]}\r\n\r\n{ROWS[1]}\r\n".encode())
    segments = read_segments(path, 8)
    assert [segment.narration_id for segment in segments] == ["P01_01_0", "P01_01_1"]
    assert [segment.line for segment in segments] == [2, 4]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("P01_01_1,P01,P01_01,4,5", "5 columns, expected 6: narration_id, "),
        ("P01_01_1,P01,P01_01,4,x,7", "stop_frame is 'x'; expected a whole number"),
        ("P01_01_1,P01,P01_01,4,5.0,7", "stop_frame is '5.0'; expected a whole number"),
        ("P01_01_1,P01,P01_01,4,5,", "verb is ''; expected a whole number"),
        ("P01_01_1,P01,P01_01,5,4,7", "start_frame 5, stop_frame 4; expected 1 <= start_frame <= stop_frame"),
        ("P01_01_1,P01,P01_01,0,4,7", "start_frame 0, stop_frame 4; expected 1 <= start_frame <= stop_frame"),
        ("P01_01_1,P01,P01_01,4,5,8", "verb 8; expected 0..7 (8 classes)"),
        ("P01_01_1,P01,P01_01,4,5,-1", "verb -1; expected 0..7 (8 classes)"),
        ("P01_01_1,P01,../P02,4,5,1", "video_id is '../P02'; expected letters, digits and _, such as P01_01_1"),
        ("P01_01_0,P01,P01_01,4,5,1", "narration_id 'P01_01_0' stands in line 2 too; expected each once"),
    ],
)
def test_bad_row_is_named_with_its_line(tmp_path, row, message):
    path = write_csv(tmp_path / "val.csv", [ROWS[0], row])
    assert error_of(read_segments, path, 8).startswith(f"{path}:3: {message}")


def test_number_of_classes_is_the_callers(tmp_path):
    path = write_csv(tmp_path / "val.csv", ["a_1,a,a_1,1,2,11"])
    assert read_segments(path, num_classes=12)[0].verb == 11
    assert "verb 11; expected 0..10 (11 classes)" in error_of(read_segments, path, 11)


def test_another_header_or_no_row_is_refused(tmp_path):
    path = write_csv(tmp_path / "a.csv", ROWS, "narration_id,participant_id,video_id,start_frame,stop_frame,verb_class")
    assert f"{path}:1: found the header 'narration_id," in error_of(read_segments, path, 8)
    (tmp_path / "b.csv").touch()
    assert "b.csv:1: found the header ''" in error_of(read_segments, tmp_path / "b.csv", 8)
    assert "no segment below the header" in error_of(read_segments, write_csv(tmp_path / "c.csv", []), 8)
    (tmp_path / "d.csv").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read as a csv file in UTF-8" in error_of(read_segments, tmp_path / "d.csv", 8)


def test_missing_folder_or_csv_says_what_to_do(data, tmp_path):
    assert "python -m common.standins epic_kitchens" in error_of(
        EpicKitchens, tmp_path / "nope", data / "train.csv", 4, 8
    )
    assert "nope.csv: no such csv file" in error_of(EpicKitchens, data, data / "nope.csv", 4, 8)


@pytest.mark.parametrize(
    ("row", "modality", "part", "frames"),
    [
        ("P01_01_2,P01,P01_01,4,12,1", "rgb", "rgb_frames/P01_01", "4 to 12"),
        ("P01_01_2,P01,P01_01,11,12,1", "rgb", "rgb_frames/P01_01", "11 to 12"),
        ("P01_01_2,P01,P01_01,4,12,1", "flow", "flow_frames/P01_01/u", "2 to 6"),
    ],
)
def test_segment_longer_than_its_video_is_told_at_opening(data, row, modality, part, frames):
    path = write_csv(data / "train.csv", [*ROWS, row])
    held = 10 if modality == "rgb" else 5
    assert error_of(opened, data, modalities=(modality,)) == (
        f"{path}:4: segment P01_01_2 needs {modality} frames {frames}, {data}/P01/{part} holds {held} frames "
        f"({frame_name(1)} to {frame_name(held)}). Complete the video or take the segment out"
    )


def test_video_without_frames_is_told_at_opening(data):
    path = write_csv(data / "train.csv", ["P01_109_0,P01,P01_109,1,3,1"])
    message = error_of(opened, data)
    assert message.startswith(f"{path}:2: segment P01_109_0 needs rgb frames 1 to 3, {data}/P01/rgb_frames/P01_109 is")
    assert message.endswith("the data set's authors ask to download this video again")
    (data / "P01/rgb_frames/P01_109").mkdir()
    assert "P01_109 holds no frame." in error_of(opened, data)


def test_missing_frame_in_between_is_named_when_it_is_read(data):
    missing = data / "P01/rgb_frames/P01_01" / frame_name(4)
    missing.rename(data / "away.jpg")
    write_csv(data / "train.csv", ROWS[:1])
    clips = opened(data)
    assert error_of(clips.__getitem__, 0).startswith(f"{missing}: no such frame.")


@pytest.mark.parametrize("part", ["rgb_frames/P01_01", "flow_frames/P01_01/v"])
def test_damaged_frame_is_named(data, part):
    path = data / "P01" / part / frame_name(5)
    path.write_bytes(b"no image")
    message = error_of(opened(data, num_frames=10).__getitem__, 0)
    assert message.startswith(f"{path}: cannot be read as an image; the file is damaged or cut short")


def test_jpeg_cut_short_is_damaged_and_not_half_grey(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    content = cv2.imencode(".jpg", image)[1].tobytes()
    for name, kept in (("whole", content), ("padded", content + bytes(100))):
        (tmp_path / name).write_bytes(kept)
        assert read_rgb(tmp_path / name).shape == (64, 64, 3)
    for name, kept in (("half", content[: len(content) // 2]), ("nothing", b"")):
        (tmp_path / name).write_bytes(kept)
        assert "cut short" in error_of(read_rgb, tmp_path / name)


def test_frame_of_another_size_is_named(data):
    path = data / "P01/rgb_frames/P01_01" / frame_name(7)
    cv2.imwrite(str(path), np.zeros((6, 9, 3), np.uint8))
    message = error_of(opened(data).__getitem__, 0)
    assert message.startswith(f"{path}: 6x9 pixels, {frame_name(1)} has 6x8; expected one size in a segment")
    assert message.endswith("(P01_01_0, line 2)")


def test_components_of_different_size_are_named(tmp_path):
    for name, width in (("u.png", 8), ("v.png", 7)):
        cv2.imwrite(str(tmp_path / name), np.zeros((6, width), np.uint8))
    message = error_of(read_flow, tmp_path / "u.png", tmp_path / "v.png")
    assert message == f"{tmp_path}/v.png: 6x7 pixels, {tmp_path}/u.png has 6x8; expected the same size"


def test_fingerprint_changes_with_what_is_read_alone(data):
    def both():
        clips = opened(data)
        return clips.frames_fingerprint("rgb"), clips.frames_fingerprint("flow"), clips.fingerprint()

    first = both()
    assert both() == first
    assert [len(digits) for digits in first] == [64, 64, 64]
    (data / "P01/rgb_frames/P01_01" / frame_name(2)).write_bytes(b"not read with four frames")
    assert both() == first
    write_frames(data / "P01/flow_frames/P01_01/v", [201, 202, 203], channels=3)
    changed = both()
    assert (changed[0] == first[0], changed[1] == first[1], changed[2] == first[2]) == (True, False, False)
    write_csv(data / "train.csv", ROWS[:1])
    assert both()[0] != first[0]


def test_describing_the_data_set_needs_no_decoding(data, monkeypatch):
    monkeypatch.setattr(reader, "_decode", None)
    facts = describe_dataset("epic_kitchens", [opened(data)])
    assert (facts["samples"], facts["standin"], len(facts["fingerprint"])) == ([2], False, 64)
