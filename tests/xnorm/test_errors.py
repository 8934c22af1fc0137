"""Bad input to X-Norm's command: one line that names what is wrong, and the run folder as it was."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.datasets.epic_kitchens.reader import frame_name, read_segments, sampled_frames
from common.errors import UserError
from tests.support.run_folders import earlier_run
from tests.support.run_folders import refusal as refused
from tests.support.xnorm_runs import FRAMES, command
from xnorm.main import main

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def run_dir(tmp_path):
    """The folder of an earlier run, which must stay as it is."""
    return earlier_run(tmp_path / "run")


def refusal(inputs, run_dir, fusion, *flags):
    return refused(run_dir, lambda: main(command(inputs, run_dir, fusion, *flags)))


def change_row(inputs, split, change):
    """Rewrite the first row of a csv as change(columns)."""
    path = inputs / "kitchens" / "csv" / f"{split}.csv"
    head, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([head, ",".join(change(first.split(","))), *rest]) + "\n")
    return path


def test_missing_frames(inputs, run_dir):
    message = refusal(inputs, run_dir, "rgb", "--data_root", "nowhere", "--csv_root", str(inputs / "kitchens" / "csv"))
    assert message.startswith("nowhere: no such folder")
    assert "python -m common.standins epic_kitchens" in message


def test_missing_csv(inputs, run_dir):
    assert refusal(inputs, run_dir, "rgb", "--csv_root", "nowhere").startswith("nowhere/train.csv: no such csv file")


def test_segment_longer_than_its_video(own_inputs, run_dir):
    path = change_row(own_inputs, "val", lambda row: [*row[:4], "99999", row[5]])
    message = refusal(own_inputs, run_dir, "rgb")
    assert message.startswith(f"{path}:2: segment ")
    assert "frame_" in message


def test_verb_outside_the_classes(own_inputs, run_dir):
    path = change_row(own_inputs, "test", lambda row: [*row[:5], "8"])
    assert refusal(own_inputs, run_dir, "rgb") == f"{path}:2: verb 8; expected 0..7 (8 classes)"


def test_frame_that_is_missing_in_between_is_named_when_it_is_read(own_inputs, tmp_path):
    folder = own_inputs / "kitchens"
    segment = read_segments(folder / "csv" / "val.csv", 8)[0]
    frame = frame_name(sampled_frames(segment, "rgb", FRAMES)[FRAMES // 2])
    (folder / segment.participant_id / "rgb_frames" / segment.video_id / frame).unlink()
    with pytest.raises(UserError, match=rf"{segment.video_id}/{frame}: no such frame"):
        main(command(own_inputs, tmp_path / "run", "rgb"))


@pytest.mark.parametrize(("fusion", "stream"), [("rgb", "rgb"), ("flow", "flow"), ("xnorm", "flow"), ("misa", "flow")])
def test_missing_weights(own_inputs, run_dir, fusion, stream):
    (own_inputs / "i3d" / f"{stream}_imagenet.pt").unlink()
    message = refusal(own_inputs, run_dir, fusion)
    assert message.startswith(f"I3D weights ({stream}): none of {own_inputs}/i3d/{stream}_imagenet.pt")
    assert "python -m common.standins weights FOLDER --only i3d" in message


def test_weights_of_another_width(inputs, run_dir):
    assert "another --narrow?" in refusal(inputs, run_dir, "rgb", "--narrow", "32")


def test_damaged_weights(own_inputs, run_dir):
    path = own_inputs / "i3d" / "rgb_imagenet.pt"
    path.write_bytes(path.read_bytes()[:-500])
    assert refusal(own_inputs, run_dir, "rgb").startswith(f"{path}: truncated or damaged")


def test_batch_larger_than_a_split(inputs, run_dir):
    message = refusal(inputs, run_dir, "rgb", "--batch_size", "16")
    assert message.startswith(f"--batch_size 16 is larger than {inputs}/kitchens/csv/val.csv (8 segments)")
    assert "--quirk eval_last=kept" in message
    message = refusal(inputs, run_dir, "rgb", "--batch_size", "17", "--quirk", "eval_last=kept")
    assert message.endswith("larger than the training set (16 samples)")


def test_too_few_rows_for_the_blending_estimate(inputs, run_dir):
    message = refusal(inputs, run_dir, "gb", "--batch_size", "2")
    assert message.startswith("--batch_size 2: gb's estimate validates on a tenth of the 16 training rows")


def test_checkpoint_of_another_method_or_width(inputs, run_dir, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"model": {"rgb_enc.logits.conv3d.bias": torch.zeros(3)}}, path)
    message = refusal(inputs, run_dir, "rgb", "--evaluate", "--resume", str(path))
    assert message.startswith(f"{path}: 'rgb_enc.logits.conv3d.bias' is (3,), this network's (8,) (another --fusion")
    torch.save([1], path)
    assert refusal(inputs, run_dir, "rgb", "--resume", str(path)).startswith(
        f"{path}: expected a checkpoint with the key"
    )


def test_not_a_number_stops_before_the_update_and_names_step_and_rate(inputs, tmp_path):
    with pytest.raises(UserError, match=r"step \d+: the loss is (nan|inf), epoch \d, learning rate 1e\+30; "):
        main(command(inputs, tmp_path / "run", "misa", "--learning_rate", "1e30"))


def test_command_prints_one_line_and_exits_with_2():
    done = subprocess.run(
        [sys.executable, "-m", "xnorm.main", "--gpu", "-1", "--fusion", "nonsense"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: argument --fusion: invalid choice: 'nonsense'")
    assert len(done.stderr.splitlines()) == 1
