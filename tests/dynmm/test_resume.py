"""A killed run of DynMM's scripts ends like an uninterrupted one, bit for bit."""

import subprocess
import sys
import time

import pytest

from common.errors import UserError
from dynmm.modality import train
from tests.support.dynmm_runs import assert_same_checkpoint, command, log_lines, run
from tests.support.run_folders import facts, finals, metrics

# Flags by script; six (films) or four (clips) updates an epoch, two epochs.
CASES = {
    "imdb_mm": ["--fuse", "1"],
    "imdb_dyn": ["--freeze", "--hard-gate"],
    "affect_dyn": ["--reg", "0.1"],
}


class KilledError(Exception):
    pass


def run_killed_at(monkeypatch, step, script, inputs, folder, *flags):
    """Run the script, whose step-th update (from 0) raises."""
    steps, clipped_step = iter(range(10**6)), train.clipped_step

    def counted(*args):
        if next(steps) == step:
            raise KilledError
        return clipped_step(*args)

    with monkeypatch.context() as patched:
        patched.setattr(train, "clipped_step", counted)
        with pytest.raises(KilledError):
            run(script, inputs, folder, *flags)


def assert_same_run(one, other):
    assert log_lines(one) == log_lines(other)
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for name in ("last.pt", "best.pt"):
        assert_same_checkpoint(one / "checkpoints" / name, other / "checkpoints" / name)


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """Uninterrupted runs by script."""
    folder = tmp_path_factory.mktemp("whole")
    for script, flags in CASES.items():
        run(script, inputs, folder / script, *flags)
    return folder


@pytest.mark.parametrize(("script", "step"), [("imdb_mm", 7), ("imdb_dyn", 11), ("affect_dyn", 1), ("affect_dyn", 6)])
def test_killed_and_resumed_it_ends_like_an_uninterrupted_run(inputs, whole, tmp_path, monkeypatch, script, step):
    run_killed_at(monkeypatch, step, script, inputs, tmp_path, *CASES[script])
    assert facts(tmp_path)["state"] == "failed"
    run(script, inputs, tmp_path, *CASES[script], "--resume", "auto")
    assert_same_run(whole / script, tmp_path)
    assert facts(tmp_path)["state"] == "finished"


def test_killed_after_training_before_the_test_it_is_tested_all_the_same(inputs, whole, tmp_path, monkeypatch):
    def killed(*args):
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(train, "test", killed)
        with pytest.raises(KilledError):
            run("affect_dyn", inputs, tmp_path, "--reg", "0.1")
    run("affect_dyn", inputs, tmp_path, "--reg", "0.1", "--resume", "auto")
    assert_same_run(whole / "affect_dyn", tmp_path)


def test_early_stopping_goes_on_counting_where_it_was(inputs, tmp_path, monkeypatch):
    # nothing is learned: the first epoch stays the best
    flags = ["--lr", "0", "--n-epochs", "20", "--log-dir", f"{tmp_path}/log"]
    run("affect_uni", inputs, tmp_path / "whole", *flags)
    run_killed_at(monkeypatch, 4 * 5, "affect_uni", inputs, tmp_path / "killed", *flags)
    run("affect_uni", inputs, tmp_path / "killed", *flags, "--resume", "auto")
    assert_same_run(tmp_path / "whole", tmp_path / "killed")
    assert sum(line.startswith("Epoch") for line in log_lines(tmp_path / "killed")) == 9


def test_process_killed_without_warning(inputs, whole, tmp_path):
    argv = command("affect_dyn", inputs, tmp_path, "--reg", "0.1")
    process = subprocess.Popen([sys.executable, "-m", "dynmm.modality.affect_dyn", *argv], stdout=subprocess.DEVNULL)
    last = tmp_path / "checkpoints" / "last.pt"
    while process.poll() is None and not last.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert last.exists()
    run("affect_dyn", inputs, tmp_path, "--reg", "0.1", "--resume", "auto")
    assert_same_run(whole / "affect_dyn", tmp_path)


def test_finished_run_is_left_alone_and_its_summary_printed_again(inputs, whole, capsys):
    before = (whole / "imdb_mm" / "run.json").read_bytes()
    run("imdb_mm", inputs, whole / "imdb_mm", "--fuse", "1", "--resume", "auto")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("already finished")
    assert printed[-1] == log_lines(whole / "imdb_mm")[-1]
    assert (whole / "imdb_mm" / "run.json").read_bytes() == before
    with pytest.raises(UserError, match="holds a finished run"):
        run("imdb_mm", inputs, whole / "imdb_mm", "--fuse", "1")


def test_interrupted_repetitions_go_on_with_the_one_that_was_broken_off(inputs, tmp_path, monkeypatch):
    flags = ["--n-runs", "2", "--n-epochs", "1", "--log-dir", f"{tmp_path}/log"]
    run("imdb_uni", inputs, tmp_path / "whole", *flags)
    run_killed_at(monkeypatch, 9, "imdb_uni", inputs, tmp_path / "killed", *flags)
    run("imdb_uni", inputs, tmp_path / "killed", *flags, "--resume", "auto")
    for seed in ("seed_0", "seed_1"):
        assert_same_run(tmp_path / "whole" / seed, tmp_path / "killed" / seed)


def test_other_flags_are_refused_on_resume(inputs, tmp_path, monkeypatch):
    run_killed_at(monkeypatch, 5, "affect_dyn", inputs, tmp_path)
    with pytest.raises(UserError, match=r"--resume auto with --reg 0\.3"):
        run("affect_dyn", inputs, tmp_path, "--resume", "auto", "--reg", "0.3")


def test_our_checkpoint_given_by_path_goes_on_exactly_in_another_folder(inputs, whole, tmp_path, monkeypatch):
    flags = CASES["imdb_dyn"]
    run_killed_at(monkeypatch, 11, "imdb_dyn", inputs, tmp_path / "one", *flags)
    last = tmp_path / "one" / "checkpoints" / "last.pt"
    run("imdb_dyn", inputs, tmp_path / "two", *flags, "--resume", str(last))
    assert_same_checkpoint(whole / "imdb_dyn" / "checkpoints" / "last.pt", tmp_path / "two" / "checkpoints" / "last.pt")
    assert facts(tmp_path / "two")["checkpoint"]["ours"] is True


def test_checkpoint_of_a_finished_run_given_by_path_is_tested(inputs, whole, tmp_path):
    last = whole / "affect_dyn" / "checkpoints" / "last.pt"
    run("affect_dyn", inputs, tmp_path, "--reg", "0.1", "--resume", str(last))
    assert metrics(tmp_path, "train") == []
    again, before = finals(tmp_path), finals(whole / "affect_dyn")
    assert {name: again["official"][name] for name in ("acc2", "mae", "epoch")} == {
        name: before["official"][name] for name in ("acc2", "mae", "epoch")
    }
