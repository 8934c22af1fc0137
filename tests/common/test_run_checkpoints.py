"""A run's checkpoint files by themselves: names, hashes, what is loaded where one is damaged or missing."""

from pathlib import Path

import pytest
import torch

from common.errors import UserError
from common.hashing import sha256_of
from common.run_checkpoints import RunCheckpoints


@pytest.fixture
def checkpoints(tmp_path):
    return RunCheckpoints(tmp_path)


def state(epoch):
    return {"epoch": epoch, "weights": torch.full((4,), float(epoch))}


def write(checkpoints, *epochs, best=None, record=lambda: None):
    for epoch in epochs:
        checkpoints.write(state(epoch), best, record)


def load(checkpoints, known=None):
    """(epoch, file name, names of the files that were told to be damaged)."""
    dropped = []

    def drop(path: Path) -> None:
        dropped.append(path.name)
        path.unlink()

    content, path, digest = checkpoints.load(set(checkpoints.hashes.values()) if known is None else known, drop)
    assert digest == sha256_of(path)
    return content["epoch"], path.name, dropped


def test_nothing_is_saved_at_first(checkpoints):
    assert not checkpoints.saved
    with pytest.raises(UserError, match="no intact checkpoint to resume from; start anew with --overwrite"):
        load(checkpoints)


def test_first_save_has_no_previous_one(checkpoints):
    write(checkpoints, 1)
    assert checkpoints.saved
    assert set(checkpoints.hashes) == {"last.pt"}
    assert not checkpoints.previous.exists()
    assert load(checkpoints) == (1, "last.pt", [])


def test_previous_is_the_save_before_the_last(checkpoints):
    write(checkpoints, 1, 2, 3)
    assert [torch.load(path)["epoch"] for path in (checkpoints.last, checkpoints.previous)] == [3, 2]
    assert checkpoints.hashes == {path.name: sha256_of(path) for path in (checkpoints.last, checkpoints.previous)}


def test_best_stays_until_there_is_a_better_one(checkpoints):
    write(checkpoints, 1, best={"best": 1})
    write(checkpoints, 2)
    assert torch.load(checkpoints.best) == {"best": 1}
    assert checkpoints.hashes["best.pt"] == sha256_of(checkpoints.best)


def test_record_is_written_with_the_new_hash_while_the_old_file_is_still_in_place(checkpoints):
    write(checkpoints, 1)
    seen = []
    write(checkpoints, 2, record=lambda: seen.append((dict(checkpoints.hashes), sha256_of(checkpoints.last))))
    ((hashes, at_that_time),) = seen
    assert hashes == checkpoints.hashes
    assert at_that_time == hashes["previous.pt"]
    assert hashes["last.pt"] == sha256_of(checkpoints.last)


def test_only_a_best_file_is_nothing_to_resume_from(checkpoints):
    torch.save(state(1), checkpoints.best)
    assert not checkpoints.saved


@pytest.mark.parametrize("missing", [False, True], ids=["damaged", "missing"])
def test_previous_takes_the_place_of_a_last_one_that_is_damaged_or_missing(checkpoints, missing):
    write(checkpoints, 1, 2)
    if missing:
        checkpoints.last.unlink()
    else:
        checkpoints.last.write_bytes(b"half")
    assert load(checkpoints) == (1, "previous.pt", [] if missing else ["last.pt"])
    assert checkpoints.saved


def test_file_is_known_by_its_hash_under_any_name(checkpoints):
    write(checkpoints, 1, 2)
    digest = sha256_of(checkpoints.previous)
    checkpoints.last.unlink()
    assert load(checkpoints, known={digest}) == (1, "previous.pt", [])


def test_file_that_the_record_does_not_know_is_dropped(checkpoints):
    write(checkpoints, 1)
    with pytest.raises(UserError, match="no intact checkpoint"):
        load(checkpoints, known={"0" * 64})
    assert not checkpoints.last.exists()
