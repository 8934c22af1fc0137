"""A killed run of CEN's segmentation ends like an uninterrupted one, bit for bit."""

import subprocess
import sys
import time

import pytest
import torch

from cen.semantic_segmentation import train
from cen.semantic_segmentation.main import main
from common.errors import UserError
from tests.support.run_folders import facts
from tests.support.segmentation_runs import assert_same_checkpoint, command, log_lines

STEPS = 8  # four epochs of two steps


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    main(command(inputs, folder))
    return folder


class KilledError(Exception):
    pass


def run_killed_at(monkeypatch, step, argv):
    """Run the command, whose step-th step (from 0) raises."""
    steps, original = iter(range(STEPS)), train.step

    def counted(*args):
        if next(steps) == step:
            raise KilledError
        return original(*args)

    with monkeypatch.context() as patched:
        patched.setattr(train, "step", counted)
        with pytest.raises(KilledError):
            main(argv)


def assert_same_run(one, other):
    assert log_lines(one) == log_lines(other)
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for name in ("last.pt", "best.pt"):
        assert_same_checkpoint(one / "checkpoints" / name, other / "checkpoints" / name)


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_at_any_step_and_resumed_it_ends_like_an_uninterrupted_run(inputs, whole, tmp_path, monkeypatch, step):
    run_killed_at(monkeypatch, step, command(inputs, tmp_path))
    assert facts(tmp_path)["state"] == "failed"
    main(command(inputs, tmp_path, "--resume", "auto"))
    assert_same_run(whole, tmp_path)
    assert facts(tmp_path)["state"] == "finished"


def test_killed_twice_in_one_run(inputs, whole, tmp_path, monkeypatch):
    for step in (3, 2):  # the second time counted from the epoch that is repeated
        run_killed_at(monkeypatch, step, command(inputs, tmp_path, "--resume", "auto"))
    main(command(inputs, tmp_path, "--resume", "auto"))
    assert_same_run(whole, tmp_path)
    assert len(facts(tmp_path)["resumed"]) == 2


def test_with_adam_and_another_number_of_workers(inputs, tmp_path, monkeypatch):
    flags = ["--optim-dec", "adam", "--num-workers", "2"]
    main(command(inputs, tmp_path / "whole", *flags))
    run_killed_at(monkeypatch, 5, command(inputs, tmp_path / "killed", *flags))
    main(command(inputs, tmp_path / "killed", "--optim-dec", "adam", "--num-workers", "1", "--resume", "auto"))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_process_killed_without_warning(inputs, whole, tmp_path):
    arguments = [sys.executable, "-m", "cen.semantic_segmentation.main", *command(inputs, tmp_path)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    last = tmp_path / "checkpoints" / "last.pt"
    while process.poll() is None and not last.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert last.exists()
    main(command(inputs, tmp_path, "--resume", "auto"))
    assert_same_run(whole, tmp_path)


def test_damaged_last_checkpoint_falls_back_to_the_one_before(inputs, whole, tmp_path, monkeypatch, capsys):
    run_killed_at(monkeypatch, 6, command(inputs, tmp_path))
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    main(command(inputs, tmp_path, "--resume", "auto"))
    assert f"{last}: damaged" in capsys.readouterr().out
    assert_same_run(whole, tmp_path)


def test_finished_run_is_left_alone(inputs, whole, capsys):
    before = (whole / "run.json").read_bytes()
    main(command(inputs, whole, "--resume", "auto"))
    assert "already finished" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds a finished run"):
        main(command(inputs, whole))
    assert (whole / "run.json").read_bytes() == before


def test_other_flags_are_refused_on_resume(inputs, whole, tmp_path, monkeypatch):
    run_killed_at(monkeypatch, 3, command(inputs, tmp_path))
    with pytest.raises(UserError, match=r"--resume auto with --lamda 0\.1"):
        main(command(inputs, tmp_path, "--resume", "auto", "--lamda", "0.1"))


def test_our_checkpoint_given_by_path_goes_on_exactly_in_another_folder(inputs, whole, tmp_path, monkeypatch):
    run_killed_at(monkeypatch, 3, command(inputs, tmp_path / "one"))
    main(command(inputs, tmp_path / "two", "--resume", str(tmp_path / "one" / "checkpoints" / "last.pt")))
    assert_same_checkpoint(whole / "checkpoints" / "last.pt", tmp_path / "two" / "checkpoints" / "last.pt")


@pytest.mark.parametrize(("quirk", "offset"), [("official", 0), ("fixed", 1)])
def test_published_checkpoint_repeats_its_epoch_unless_the_quirk_is_fixed(inputs, whole, tmp_path, quirk, offset):
    content = torch.load(whole / "checkpoints" / "best.pt", weights_only=True)
    published = tmp_path / "published.pth.tar"
    torch.save({**content, "epoch_start": 2}, published)
    main(command(inputs, tmp_path / "run", "--resume", str(published), "--quirk", f"resume_epoch={quirk}"))
    lines = log_lines(tmp_path / "run")
    trained = [int(line.split(",")[0].removeprefix("Epoch ")) for line in lines if "portion" in line]
    assert trained == list(range(2 + offset, 4))
    assert any(line.startswith(f"Found checkpoint at {published}") for line in lines)
    assert facts(tmp_path / "run")["checkpoint"]["file"] == str(published)
