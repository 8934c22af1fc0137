import hashlib
import subprocess
import sys

import pytest

from common.datasets.epic_kitchens.prepare import PUBLISHED, Published, read_annotations, split_rows, training_rows
from common.datasets.epic_kitchens.reader import read_segments
from common.datasets.epic_kitchens.subset import VALIDATION_VIDEOS
from common.errors import UserError
from xnorm.make_csv import main

HEADER = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
)


def annotation(narration, start, stop, verb, video=None):
    video = video or narration.rsplit("_", 1)[0]
    participant = video.split("_")[0]
    return (
        f'{narration},{participant},{video},00:00:01.0,00:00:02.0,00:00:03.0,{start},{stop},"take, then put",take,'
        f"{verb},plate,2,\"['plate']\",[2]"
    )


TRAIN = [
    annotation("P01_01_0", 1, 15, 0),  # 15 frames: too short, and not the video's first
    annotation("P01_01_1", 20, 40, 0),  # the first that is left
    annotation("P01_01_2", 50, 65, 1),
    annotation("P01_01_3", 70, 90, 8),  # no verb of the eight
    annotation("P01_105_678", 1, 20, 1),
    annotation("P01_105_679", 30, 130, 1),  # left out, for no known reason
    annotation("P01_105_680", 140, 170, 1),
    annotation("P02_01_0", 1, 40, 1),  # another kitchen
    annotation("P02_01_1", 1, 40, 1),
    annotation("P08_03_0", 1, 40, 2),
    annotation("P08_03_1", 50, 90, 2),  # a video of the validation set
]
VALIDATION = [annotation("P01_11_0", 5, 9, 7), annotation("P04_01_0", 1, 40, 1), annotation("P22_01_0", 1, 40, 97)]


@pytest.fixture
def sources(tmp_path):
    paths = []
    for name, rows in (("EPIC_100_train.csv", TRAIN), ("EPIC_100_validation.csv", VALIDATION)):
        paths.append(tmp_path / name)
        paths[-1].write_text("\n".join([HEADER, *rows]) + "\n")
    return paths


@pytest.fixture
def published_here(monkeypatch):
    """Take what the small sources give for the published files."""
    texts = {
        "train": "P01_01_2,P01,P01_01,50,65,1\nP01_105_680,P01,P01_105,140,170,1\n",
        "val": "P08_03_1,P08,P08_03,50,90,2\n",
        "test": "P01_11_0,P01,P01_11,5,9,7\n",
    }
    header = "narration_id,participant_id,video_id,start_frame,stop_frame,verb\n"
    for split, text in texts.items():
        digits = hashlib.sha256((header + text).encode()).hexdigest()
        monkeypatch.setitem(PUBLISHED, split, Published((0,) * 3, (0,) * 8, digits))


def names(rows):
    return [row[0] for row in rows]


def test_kitchens_and_verbs_are_kept_in_the_order_of_the_file(sources):
    kept = names(read_annotations(sources[0]))
    assert kept == [row.split(",")[0] for row in TRAIN if ",P02," not in row and "P01_01_3," not in row]
    assert read_annotations(sources[1]) == [("P01_11_0", "P01", "P01_11", 5, 9, 7)]


def test_short_segments_go_before_the_first_of_each_video(sources):
    rows = training_rows(read_annotations(sources[0]))
    assert names(rows) == ["P01_01_2", "P01_105_680", "P08_03_1"]
    longer = [row if row[0] != "P01_01_0" else (*row[:4], 16, row[5]) for row in read_annotations(sources[0])]
    assert names(training_rows(longer))[:2] == ["P01_01_1", "P01_01_2"]


def test_rows_of_fifteen_videos_are_for_validation(sources):
    splits = split_rows(*map(read_annotations, sources))
    assert {split: names(rows) for split, rows in splits.items()} == {
        "train": ["P01_01_2", "P01_105_680"],
        "val": ["P08_03_1"],
        "test": ["P01_11_0"],
    }
    assert len(VALIDATION_VIDEOS) == 15


def test_published_counts_agree_with_each_other():
    assert {split: sum(file.kitchens) for split, file in PUBLISHED.items()} == {
        "train": 11127,
        "val": 1893,
        "test": 2115,
    }
    for file in PUBLISHED.values():
        assert sum(file.verbs) == sum(file.kitchens)
        assert len(file.sha256) == 64


def test_files_have_the_published_form_and_are_told_to_be_the_published_ones(sources, published_here, tmp_path, capsys):
    main([*map(str, sources), str(tmp_path / "out")])
    text = capsys.readouterr().out
    content = (tmp_path / "out/test.csv").read_bytes()
    assert content == b"narration_id,participant_id,video_id,start_frame,stop_frame,verb\nP01_11_0,P01,P01_11,5,9,7\n"
    assert text.count(": as published\n") == 3
    assert text.splitlines()[-1] == f"wrote {tmp_path}/out: all three files are the published ones"
    assert [segment.verb for segment in read_segments(tmp_path / "out/train.csv", 8)] == [1, 1]


def test_counts_are_printed_beside_the_published_ones(sources, tmp_path, capsys):
    main([*map(str, sources), str(tmp_path / "out"), "--allow-different"])
    text = capsys.readouterr().out
    assert f"{tmp_path}/out/train.csv: 2 segments, published 11127\n" in text
    assert "  P01 2 (3323), P08 0 (1084), P22 0 (6720)\n" in text
    assert "  take 0 (562), put 0 (550), wash 0 (447)" in text
    assert f"published {PUBLISHED['val'].sha256}\n" in text
    assert text.splitlines()[-1].startswith(
        f"wrote {tmp_path}/out: not the published ones: train.csv (2 segments, other"
    )


def test_one_differing_file_is_an_error_of_one_line_behind_the_written_files(sources, published_here, tmp_path):
    sources[1].write_text(sources[1].read_text().replace(",5,9,", ",5,10,"))
    with pytest.raises(UserError) as error:
        main([*map(str, sources), str(tmp_path / "out")])
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/out: written, but not the published split: test.csv (1 segments, ")
    assert message.endswith("or accept it with --allow-different")
    assert "\n" not in message
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["test.csv", "train.csv", "val.csv"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("verb_class", "verbclass", "EPIC_100_train.csv: no column verb_class; expected the official annotations"),
        (",50,65,", ",50,,", r"EPIC_100_train.csv:4: start_frame '50', stop_frame '', verb_class '1'; expected whole"),
        (",50,65,", ",5e1,65,", "EPIC_100_train.csv:4: start_frame '5e1'"),
    ],
)
def test_damaged_annotations_are_named(sources, old, new, message):
    sources[0].write_text(sources[0].read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        read_annotations(sources[0])


def test_row_that_ends_early_is_named(sources):
    sources[0].write_text(sources[0].read_text() + "P01_01_9,P01,P01_01\n")
    with pytest.raises(UserError, match=r"EPIC_100_train.csv:13: start_frame None"):
        read_annotations(sources[0])


def test_command_ends_with_status_2_and_one_line(tmp_path):
    command = [sys.executable, "-m", "xnorm.make_csv", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/a.csv: no such file; expected EPIC_100_train.csv")
    assert done.stderr.count("\n") == 1
