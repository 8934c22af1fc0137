"""DynMM's scripts under torchrun on the CPU (gloo): they train, and score what one process scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dynmm_runs import command, final, log_lines, metrics, run
from tests.support.run_folders import facts

ROOT = Path(__file__).resolve().parents[2]
SCORES = ("loss", "mae", "acc2", "share_e2", "madds", "madds_measured")
AFFECT = ("--freeze", "--hard-gate", "--reg", "0.2")
IMDB = ("--hard-gate", "--real-gating", "always", "--n-epochs", "1", "--data", "two")


@pytest.fixture(scope="module")
def trained(inputs, tmp_path_factory):
    """Three runs of two processes, one launch for all: by the script's name."""
    folder = tmp_path_factory.mktemp("processes")
    own_log = ("--log-dir", str(folder / "log"))
    runs = [
        ("affect_dyn", command("affect_dyn", inputs, folder / "affect_dyn", *AFFECT)),
        ("imdb_uni", command("imdb_uni", inputs, folder / "imdb_uni", *own_log)),
        ("imdb_dyn", command("imdb_dyn", inputs, folder / "imdb_dyn", *IMDB)),
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "tests.support.dynmm_runs", json.dumps(runs)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_train_and_write_one_run_folder(trained):
    for script in ("affect_dyn", "imdb_uni", "imdb_dyn"):
        assert facts(trained / script)["state"] == "finished"
        assert facts(trained / script)["device"]["processes"] == 2
        assert sum(line.startswith("Epoch 0") for line in log_lines(trained / script)) == 1


def test_one_process_gives_the_same_scores_on_the_same_weights(inputs, trained, tmp_path):
    run("affect_dyn", inputs, tmp_path, *AFFECT, "--eval-only")
    alone, together = final(tmp_path, "checkpoint"), final(trained / "affect_dyn")
    assert {name: alone[name] for name in SCORES} == pytest.approx({name: together[name] for name in SCORES})


def test_two_processes_train_a_network_without_dropout_and_norm_like_one(inputs, trained, tmp_path):
    run("imdb_uni", inputs, tmp_path / "one", "--log-dir", str(tmp_path))
    for split in ("train", "valid"):
        for one, two in zip(metrics(tmp_path / "one", split), metrics(trained / "imdb_uni", split), strict=True):
            assert (one["loss"], one["task_loss"]) == pytest.approx((two["loss"], two["task_loss"]), rel=1e-6)


def test_two_processes_end_with_one_batch_norm_for_both(inputs, trained, tmp_path):
    run("imdb_dyn", inputs, tmp_path, *IMDB, "--eval-only")
    alone, together = final(tmp_path, "checkpoint"), final(trained / "imdb_dyn")
    for name in ("f1_micro", "f1_macro", "share_e2"):
        assert alone[name] == pytest.approx(together[name])
