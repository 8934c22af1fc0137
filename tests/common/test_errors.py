"""Errors that a user can mend: one line, exit status 2, whichever process they came from."""

import pickle

import pytest
from torch.utils.data import DataLoader, Dataset

from common.errors import UserError, run_main

MESSAGE = "data/toy/rgb.png: cannot be read: found 0 bytes, expected an image. Check it"


class Damaged(Dataset):
    """Its second sample cannot be read; the reason is one that a reader would give, or a fault of the code."""

    def __init__(self, error, cause=None):
        self.error, self.cause = error, cause

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 1:
            raise self.error from self.cause
        return index


def status_of(main):
    try:
        run_main(main)
    except SystemExit as stop:
        return stop.code
    return None


def read(samples, workers):
    """All batches; the workers are stopped at once, since a loader that only its error holds takes 5 s for each."""
    batches = iter(DataLoader(samples, batch_size=2, num_workers=workers))
    try:
        list(batches)
    finally:
        if workers:
            batches._shutdown_workers()


def fail():
    raise UserError(MESSAGE)


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Not under torchrun."""
    monkeypatch.delenv("RANK", raising=False)


def test_main_that_succeeds_returns(capsys):
    called = []
    run_main(lambda: called.append(1))
    assert called == [1]
    assert capsys.readouterr() == ("", "")


def test_error_is_one_line_and_status_2(capsys):
    assert status_of(fail) == 2
    assert capsys.readouterr() == ("", f"error: {MESSAGE}\n")


@pytest.mark.parametrize(("rank", "spoken"), [("0", f"error: {MESSAGE}\n"), ("1", "")])
def test_under_torchrun_the_first_process_speaks(monkeypatch, capsys, rank, spoken):
    monkeypatch.setenv("RANK", rank)
    assert status_of(fail) == 2
    assert capsys.readouterr() == ("", spoken)


def test_interruption_ends_quietly_with_the_status_of_an_interrupt(capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert status_of(interrupted) == 130
    assert capsys.readouterr() == ("", "")


def test_fault_of_the_code_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_main(lambda: 1 / 0)


@pytest.mark.parametrize("cause", [None, OSError("truncated\nfile"), UserError("an inner one")])
@pytest.mark.parametrize("workers", [0, 1])
def test_error_in_a_loaders_worker_is_the_same_one_line(capfd, workers, cause):
    samples = Damaged(UserError(MESSAGE), cause)
    assert status_of(lambda: read(samples, workers)) == 2
    assert capfd.readouterr() == ("", f"error: {MESSAGE}\n")


def test_fault_in_a_loaders_worker_is_not_taken_for_a_users():
    with pytest.raises(ValueError, match="Traceback"):
        run_main(lambda: read(Damaged(ValueError("fault")), workers=1))


def test_message_is_kept_and_only_blanks_around_it_are_not():
    assert str(UserError("  a.png: bad\n")) == "a.png: bad"
    assert str(UserError(MESSAGE)) == MESSAGE


def test_error_survives_the_way_between_processes():
    copy = pickle.loads(pickle.dumps(UserError(MESSAGE)))
    assert (type(copy), str(copy)) == (UserError, MESSAGE)
