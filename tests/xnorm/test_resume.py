"""A killed run of X-Norm ends like an uninterrupted one, bit for bit; also one killed in the blending estimate."""

import subprocess
import sys
import time

import pytest
import torch

from common.errors import UserError
from tests.support.run_folders import checkpoint, facts, metrics
from tests.support.xnorm_runs import assert_same_run, command
from xnorm import train
from xnorm.main import main

pytestmark = pytest.mark.usefixtures("no_pictures")

# Flags by method, and the updates, counted from 0, that raise. misa: two epochs of two steps. gb: three heads of two
# epochs of three steps, then two epochs of three.
FLAGS = {"misa": [], "gb": ["--max-steps", "3", "--num_gb_epochs", "2"]}
KILLED_AT = {"misa": [1, 3], "gb": [4, 17, 18]}


class KilledError(Exception):
    pass


def run_killed_at(monkeypatch, step, argv):
    """Run the command, whose step-th step (from 0) raises."""
    numbers, clipped_step = iter(range(10**6)), train.clipped_step

    def counted(*args):
        if next(numbers) == step:
            raise KilledError
        return clipped_step(*args)

    with monkeypatch.context() as patched:
        patched.setattr(train, "clipped_step", counted)
        with pytest.raises(KilledError):
            main(argv)


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """Uninterrupted runs by method."""
    folder = tmp_path_factory.mktemp("whole")
    for fusion in KILLED_AT:
        main(command(inputs, folder / fusion, fusion, *FLAGS[fusion]))
    return folder


@pytest.mark.parametrize(("fusion", "step"), [(fusion, step) for fusion, at in KILLED_AT.items() for step in at])
def test_killed_and_resumed_it_ends_like_an_uninterrupted_run(inputs, whole, tmp_path, monkeypatch, fusion, step):
    argv = command(inputs, tmp_path / "run", fusion, *FLAGS[fusion])
    run_killed_at(monkeypatch, step, argv)
    assert facts(tmp_path / "run")["state"] == "failed"
    main([*argv, "--resume", "auto"])
    assert_same_run(whole / fusion, tmp_path / "run")
    assert facts(tmp_path / "run")["state"] == "finished"
    assert facts(tmp_path / "run")["weights"] == facts(whole / fusion)["weights"]


def test_process_killed_without_warning(inputs, whole, tmp_path):
    argv = command(inputs, tmp_path / "run", "gb", *FLAGS["gb"])
    process = subprocess.Popen([sys.executable, "-m", "xnorm.main", *argv], stdout=subprocess.DEVNULL)
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    while process.poll() is None and not last.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert last.exists()
    main([*argv, "--resume", "auto"])
    assert_same_run(whole / "gb", tmp_path / "run")


def test_training_goes_on_from_a_named_checkpoint_in_a_new_folder(inputs, whole, tmp_path):
    last = whole / "misa" / "checkpoints" / "previous.pt"
    assert checkpoint(whole / "misa", "previous.pt")["ours"]["epoch"] == 1
    main(command(inputs, tmp_path / "run", "misa", "--resume", str(last)))
    again, before = checkpoint(tmp_path / "run")["model"], checkpoint(whole / "misa")["model"]
    assert all(bool((again[name] == value).all()) for name, value in before.items())
    assert facts(tmp_path / "run")["checkpoint"]["ours"]


def test_finished_run_is_left_alone(inputs, whole, capsys):
    before = (whole / "misa" / "run.json").read_bytes()
    main(command(inputs, whole / "misa", "misa", "--resume", "auto"))
    assert capsys.readouterr().out.endswith("already finished\n")
    assert (whole / "misa" / "run.json").read_bytes() == before


def test_resume_with_other_flags_is_refused(inputs, tmp_path, monkeypatch):
    argv = command(inputs, tmp_path / "run", "misa")
    run_killed_at(monkeypatch, 3, argv)
    with pytest.raises(UserError, match=r"--resume auto with --learning-rate 0\.5, but the run there had 0\.001"):
        main([*argv, "--resume", "auto", "--learning_rate", "0.5"])


def test_checkpoint_keeps_every_part_and_the_schedule_before_the_optimizer_whose_rates_it_may_set(whole):
    """Parts are put back in the order in which they were saved (tests/common/test_train_state.py)."""
    parts = ["schedule", "optimizer", "scaler", "best", "stopping", "estimate"]
    assert list(checkpoint(whole / "misa")["ours"]) == ["epoch", *parts, "random"]


def test_early_stopping_goes_on_counting_where_it_was(inputs, whole, tmp_path):
    state = checkpoint(whole / "misa", "previous.pt")
    state["ours"]["stopping"]["waited"] = 5
    torch.save(state, tmp_path / "waited.pt")
    main(command(inputs, tmp_path / "run", "misa", "--patience", "5", "--resume", str(tmp_path / "waited.pt")))
    assert metrics(tmp_path / "run", "train") == []
