"""X-Norm under torchrun on the CPU (gloo): it trains, and scores what one process scores."""

import subprocess
import sys

import pytest
import torch

from common.errors import UserError
from common.processes import Processes
from tests.support.run_folders import facts, finals, metrics
from tests.support.xnorm_runs import FRAMES, SIDE, command, log_lines, settings_of
from xnorm.main import main, open_splits
from xnorm.train import open_batches


def torchrun(argv, cwd):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run([*launcher, "-m", "xnorm.main", *argv], capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """A run of gb by two processes, of two clips a step, which estimates its weights first."""
    folder = tmp_path_factory.mktemp("processes")
    flags = ["--batch_size", "2", "--num_epochs", "1", "--num_gb_epochs", "1", "--max-steps", "2"]
    flags += ["--csv_root", str(widened(inputs, folder))]
    done = torchrun(command(inputs, folder / "run", "gb", *flags), folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def widened(inputs, folder):
    """The csv files with the training rows one and a half times over, so that a tenth of them is a batch of two."""
    (folder / "csv").mkdir()
    for split in ("train", "val", "test"):
        head, *rows = (inputs / "kitchens" / "csv" / f"{split}.csv").read_text().splitlines()
        again = [f"again_{row}" for row in rows[:8]] if split == "train" else []
        (folder / "csv" / f"{split}.csv").write_text("\n".join([head, *rows, *again]) + "\n")
    return folder / "csv"


def test_two_processes_train_and_write_one_run_folder(trained):
    assert facts(trained)["state"] == "finished"
    assert facts(trained)["device"]["processes"] == 2
    assert [line["epoch"] for line in metrics(trained, "train")] == [1]
    assert sum(line.startswith("At gb_estimate") for line in log_lines(trained)) == 3
    weights = metrics(trained, "blending")[0]
    assert weights["rgb"] + weights["flow"] + weights["joint"] == pytest.approx(1)


def test_one_process_gives_the_same_scores_on_the_same_weights(inputs, trained, tmp_path):
    best = trained / "checkpoints" / "best.pt"
    main(command(inputs, tmp_path / "run", "gb", "--batch_size", "2", "--evaluate", "--resume", str(best)))
    alone, together = finals(tmp_path / "run")["checkpoint"], finals(trained)["official"]
    assert alone.pop("loss") == pytest.approx(together.pop("loss"), rel=1e-5)
    assert {**alone, "epoch": None} == {**together, "epoch": None}


def test_batch_that_cannot_be_shared_is_refused(inputs):
    changes = {"data_root": inputs / "kitchens", "batch_size": 3, "num_frames": FRAMES, "crop_size": SIDE}
    settings = settings_of("mult", **changes)
    with pytest.raises(UserError, match="3 cannot be shared by 2 processes: take a multiple"):
        open_batches(settings, open_splits(settings), torch.device("cpu"), Processes(0, 2))
