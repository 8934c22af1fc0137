"""A killed run of UCRN ends like an uninterrupted one, bit for bit."""

import pytest
import torch

from common.errors import UserError
from tests.support.run_folders import assert_same_checkpoint, checkpoint, facts, finals, metrics
from tests.support.ucrn_runs import command, log_lines
from ucrn import final, train
from ucrn.main import main

STEPS, EPOCHS = 9, 3  # three steps an epoch
FLAGS = ("--num_epochs", "3", "--when", "0", "--log_interval", "1")
pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory, no_pictures):
    """An uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    main(command(data, folder, *FLAGS))
    return folder


class KilledError(Exception):
    pass


def run_killed_in(monkeypatch, name, call, argv, module=train):
    """Run the command, in which the call-th call (from 0) of the module's function `name` raises."""
    calls, function = [], getattr(module, name)

    def counted(*args, **kwargs):
        calls.append(1)
        if len(calls) == call + 1:
            raise KilledError
        return function(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, counted)
        with pytest.raises(KilledError):
            main(argv)


def assert_same_run(one, other):
    assert log_lines(one) == log_lines(other)
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for name in ("last.pt", "best.pt"):
        assert_same_checkpoint(one, other, name)


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_at_any_step_and_resumed_it_ends_like_an_uninterrupted_run(data, whole, tmp_path, monkeypatch, step):
    run_killed_in(monkeypatch, "backward", step, command(data, tmp_path, *FLAGS))
    assert facts(tmp_path)["state"] == "failed"
    main(command(data, tmp_path, *FLAGS, "--resume", "auto"))
    assert_same_run(whole, tmp_path)
    assert facts(tmp_path)["state"] == "finished"


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [(train, "evaluate", 4), (train, "report", 1), (train, "test", 0), (final, "final_scores", 0)],
    ids=["evaluate", "report", "test", "final scores"],
)
def test_killed_between_training_and_the_end(data, whole, tmp_path, monkeypatch, module, name, call):
    run_killed_in(monkeypatch, name, call, command(data, tmp_path, *FLAGS), module)
    main(command(data, tmp_path, *FLAGS, "--resume", "auto"))
    assert_same_run(whole, tmp_path)


def test_killed_twice_in_one_run(data, whole, tmp_path, monkeypatch):
    for step in (4, 2):  # the second time counted from the epoch that is repeated
        run_killed_in(monkeypatch, "backward", step, command(data, tmp_path, *FLAGS, "--resume", "auto"))
    main(command(data, tmp_path, *FLAGS, "--resume", "auto"))
    assert_same_run(whole, tmp_path)
    assert len(facts(tmp_path)["resumed"]) == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["--schedule", "CyclicLR", "--step_up", "20"],
        ["--schedule", "warmup", "--warm_epoch", "2", "--optim", "SGD"],
        ["--official_order", "--train_mode", "classification", "--quirk", "select_on=valid_loss"],
    ],
    ids=["cyclic", "warmup", "official order"],
)
def test_other_schedules_selections_and_orders_go_on_exactly(data, tmp_path, monkeypatch, flags):
    main(command(data, tmp_path / "whole", *FLAGS, *flags))
    run_killed_in(monkeypatch, "backward", 5, command(data, tmp_path / "killed", *FLAGS, *flags))
    main(command(data, tmp_path / "killed", *FLAGS, *flags, "--resume", "auto"))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_plateau_that_has_fallen_goes_on_exactly(data, tmp_path, monkeypatch):
    flags = (*FLAGS, "--lr", "0.05")  # so large that the validation loss rises
    main(command(data, tmp_path / "whole", *flags))
    assert len({entry["lr"] for entry in metrics(tmp_path / "whole", "train")}) > 1
    run_killed_in(monkeypatch, "backward", 6, command(data, tmp_path / "killed", *flags))
    main(command(data, tmp_path / "killed", *flags, "--resume", "auto"))
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_damaged_last_checkpoint_falls_back_to_the_one_before(data, whole, tmp_path, monkeypatch, capsys):
    run_killed_in(monkeypatch, "backward", 7, command(data, tmp_path, *FLAGS))
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    main(command(data, tmp_path, *FLAGS, "--resume", "auto"))
    assert f"{last}: damaged" in capsys.readouterr().out
    assert_same_run(whole, tmp_path)


def test_resume_in_a_new_folder_is_a_fresh_run(data, whole, tmp_path):
    main(command(data, tmp_path, *FLAGS, "--resume", "auto"))
    assert_same_run(whole, tmp_path)


def test_finished_run_is_left_alone(data, whole, capsys):
    before = (whole / "run.json").read_bytes()
    main(command(data, whole, *FLAGS, "--resume", "auto"))
    assert "already finished" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds a finished run"):
        main(command(data, whole, *FLAGS))
    assert (whole / "run.json").read_bytes() == before


def test_other_flags_are_refused_on_resume(data, tmp_path, monkeypatch):
    run_killed_in(monkeypatch, "backward", 3, command(data, tmp_path, *FLAGS))
    with pytest.raises(UserError, match=r"--resume auto with --clip 0\.1"):
        main(command(data, tmp_path, *FLAGS, "--resume", "auto", "--clip", "0.1"))


def test_our_checkpoint_given_by_path_goes_on_exactly_in_another_folder(data, whole, tmp_path, monkeypatch):
    run_killed_in(monkeypatch, "backward", 5, command(data, tmp_path / "one", *FLAGS))
    last = tmp_path / "one" / "checkpoints" / "last.pt"
    main(command(data, tmp_path / "two", *FLAGS, "--resume", str(last)))
    assert_same_checkpoint(whole, tmp_path / "two", "last.pt")
    assert finals(whole) == finals(tmp_path / "two")
    assert facts(tmp_path / "two")["checkpoint"]["ours"] is True


def test_checkpoint_of_a_finished_run_given_by_path_is_tested(data, whole, tmp_path):
    main(command(data, tmp_path, *FLAGS, "--resume", str(whole / "checkpoints" / "last.pt")))
    assert finals(tmp_path) == finals(whole)


def test_bare_weights_start_a_run_of_their_own(data, whole, tmp_path):
    bare = tmp_path / "bare.pt"
    torch.save(checkpoint(whole)["model"], bare)
    main(command(data, tmp_path / "run", "--num_epochs", "1", "--resume", str(bare), "--lr", "0"))
    assert [entry["epoch"] for entry in metrics(tmp_path / "run", "train")] == [1]
    for name, value in checkpoint(tmp_path / "run")["model"].items():
        assert torch.equal(value, checkpoint(whole)["model"][name])
    assert facts(tmp_path / "run")["checkpoint"]["ours"] is False


def test_checkpoint_keeps_every_part_and_the_schedule_before_the_optimizer_whose_rates_it_may_set(whole):
    """Parts are put back in the order in which they were saved (tests/common/test_train_state.py)."""
    parts = ["schedule", "optimizer", "scaler", "by_test", "by_valid"]
    assert list(checkpoint(whole)["ours"]) == ["epoch", *parts, "random"]
