"""CEN's segmentation under torchrun on the CPU (gloo): it trains, and scores what one process scores."""

import json
import subprocess
import sys

import pytest

from cen.semantic_segmentation.main import main
from tests.support.run_folders import facts
from tests.support.segmentation_runs import command, log_lines


def torchrun(argv, cwd):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launcher, "-m", "cen.semantic_segmentation.main", *argv], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """A run of two processes over two epochs."""
    folder = tmp_path_factory.mktemp("processes")
    done = torchrun(command(inputs, folder / "run", "--num-epoch", "2", "--lr-enc", "1e-3", "--lr-dec", "1e-3"), folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def scores(run_dir, split):
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]


def test_two_processes_train_and_write_one_run_folder(trained):
    assert facts(trained)["state"] == "finished"
    assert facts(trained)["device"]["processes"] == 2
    assert [line["epoch"] for line in scores(trained, "train")] == [0, 1]
    assert sum(line.startswith("Training Stage 0") for line in log_lines(trained)) == 1


def test_one_process_gives_the_same_scores_on_the_same_weights(inputs, trained, tmp_path):
    main(command(inputs, tmp_path / "one", "--evaluate", "--resume", str(trained / "checkpoints" / "last.pt")))
    alone, together = scores(tmp_path / "one", "valid")[-1], scores(trained, "valid")[-1]
    assert {**alone, "epoch": None} == {**together, "epoch": None}


def test_processes_evaluate_every_image_once(inputs, trained, tmp_path):
    argv = command(inputs, tmp_path / "two", "--evaluate", "--resume", str(trained / "checkpoints" / "last.pt"))
    assert torchrun(argv, tmp_path).returncode == 0
    assert scores(tmp_path / "two", "valid")[-1] == {**scores(trained, "valid")[-1], "epoch": 0}
    pictures = {path.name for path in (tmp_path / "two" / "images").iterdir()}
    assert pictures == {f"validate_{index}.png" for index in range(4)}


def test_killed_processes_go_on(inputs, trained, tmp_path):
    flags = ["--num-epoch", "2", "--lr-enc", "1e-3", "--lr-dec", "1e-3"]
    done = torchrun(
        command(inputs, tmp_path / "run", *flags, "--resume", str(trained / "checkpoints" / "previous.pt")), tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path / "run", "valid")[-1] == scores(trained, "valid")[-1]


def test_norm_statistics_that_are_not_frozen_are_the_same_in_all_processes_after_an_epoch(inputs, tmp_path):
    flags = ["--num-epoch", "1", "--lr-enc", "1e-3", "--lr-dec", "1e-3", "--freeze-bn", "false"]
    done = torchrun(command(inputs, tmp_path / "two", *flags), tmp_path)
    assert done.returncode == 0, done.stderr
    main(command(inputs, tmp_path / "one", "--evaluate", "--resume", str(tmp_path / "two" / "checkpoints" / "last.pt")))
    assert scores(tmp_path / "one", "valid")[-1] == scores(tmp_path / "two", "valid")[-1]


def test_batch_that_cannot_be_shared_is_one_line(inputs, tmp_path):
    done = torchrun(command(inputs, tmp_path / "run", "--batch-size", "3"), tmp_path)
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == ["error: --batch-size 3 cannot be shared by 2 processes: take a multiple"]
