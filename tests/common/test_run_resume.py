"""A run's checkpoints, and going on from them: exactly, from the one before if need be, never with other flags."""

import json
import os
from contextlib import suppress

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.errors import UserError
from common.hashing import sha256_of
from common.processes import Processes

# A save moves the recorded hashes from name to name; after a kill or a fall-back the names are not those of the files.


class Interruption(BaseException):
    """The process ends here."""


def read(folder):
    return json.loads((folder / "run.json").read_text())


def weights(value):
    return {"weights": torch.full((3,), float(value))}


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def train(run, epochs):
    """What a script does: a line, a metric and a checkpoint an epoch."""
    for epoch in epochs:
        run.print(f"epoch {epoch}")
        run.record(epoch, "train", loss=float(epoch))
        run.trained(epoch, 10, 2.0)
        run.save(epoch, weights(epoch))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def interrupted(make_run, folder):
    """Epochs 0 to 2 are saved; of epoch 3 the log and the metrics know."""
    with suppress(Interruption), make_run(folder, facts={"weights": {"file": "resnet.pth"}}) as run:
        train(run, range(3))
        run.print("epoch 3")
        run.record(3, "train", loss=99.0)
        raise Interruption
    return folder


@pytest.fixture
def killable(monkeypatch):
    """Call it with n: the n-th renaming from then on does not happen, the process is gone before it."""

    def arm(which: int) -> None:
        rename, calls = os.replace, []

        def replace(source: str, target: str) -> None:
            calls.append(target)
            if len(calls) >= which:
                raise Interruption
            rename(source, target)

        monkeypatch.setattr(os, "replace", replace)

    return arm


def test_last_and_previous_are_kept_and_their_hashes_recorded(make_run, folder):
    with make_run(folder) as run:
        for epoch in range(3):
            run.save(epoch, weights(epoch), {"best": epoch} if epoch == 1 else None)
    files = {path.name: torch.load(path, weights_only=True) for path in run.checkpoints.folder.iterdir()}
    assert set(files) == {"last.pt", "previous.pt", "best.pt"}
    assert (files["last.pt"]["weights"][0], files["previous.pt"]["weights"][0]) == (2.0, 1.0)
    assert files["best.pt"] == {"best": 1}
    assert read(folder)["checkpoints"] == {name: sha256_of(run.checkpoints.folder / name) for name in files}


def test_hash_stands_in_the_record_as_soon_as_the_file_has_its_name(make_run, folder):
    with make_run(folder) as run:
        for epoch in range(2):
            run.save(epoch, weights(epoch))
            assert read(folder)["checkpoints"]["last.pt"] == sha256_of(run.last)


def test_resume_auto_in_an_empty_folder_starts(make_run, folder):
    run = make_run(folder, resume="auto")
    assert (run.resumed, run.finished) == (False, False)


def test_resume_auto_of_a_finished_run_is_told_that_it_is(make_run, folder):
    with make_run(folder) as run:
        train(run, [0])
    run = make_run(folder, resume="auto")
    assert (run.resumed, run.finished) == (False, True)


def test_half_written_checkpoint_is_none(make_run, folder):
    with suppress(Interruption), make_run(folder) as run:
        (run.checkpoints.folder / "last.pt.tmp").write_bytes(b"half")
        raise Interruption
    assert not make_run(folder, resume="auto").resumed
    with make_run(folder) as run:
        run.print("anew")


def test_interrupted_run_goes_on_from_its_last_checkpoint(make_run, interrupted):
    run = make_run(interrupted, resume="auto")
    assert run.resumed
    with run:
        state = run.load_last()
    assert torch.equal(state["weights"], weights(2)["weights"])
    assert state["run"]["epoch"] == 2


def test_log_and_metrics_end_like_those_of_an_uninterrupted_run(make_run, interrupted, tmp_path):
    with make_run(interrupted, resume="auto") as run:
        run.load_last()
        assert [entry["loss"] for entry in run.history("train")] == [0.0, 1.0, 2.0]
        train(run, range(3, 5))
        assert [entry["epoch"] for entry in run.history("train")] == [0, 1, 2, 3, 4]
    with make_run(tmp_path / "straight") as run:
        train(run, range(5))
    for name in ("log.txt", "metrics.jsonl"):
        assert (interrupted / name).read_text() == (tmp_path / "straight" / name).read_text()
    assert read(interrupted)["samples_per_second"] == read(tmp_path / "straight")["samples_per_second"] == 5.0


def test_run_interrupted_again_before_it_printed_anything_still_knows_its_place(make_run, interrupted):
    log, metrics = "epoch 0\nepoch 1\nepoch 2\n", [0, 1, 2]
    for _ in range(2):
        with suppress(Interruption), make_run(interrupted, resume="auto") as run:
            run.load_last()
            assert (interrupted / "log.txt").read_text() == log
            assert [entry["epoch"] for entry in run.history("train")] == metrics
            run.save(2, weights(2))
            run.print("lost")
            raise Interruption


def test_record_of_a_resumed_run_keeps_its_beginning(make_run, interrupted):
    early = read(interrupted)
    early |= {"wall_seconds": 1000.0, "started": "2030-01-01T00:00:00+00:00"}
    (interrupted / "run.json").write_text(json.dumps(early))
    for times in (1, 2):
        with suppress(Interruption), make_run(interrupted, resume="auto") as run:
            run.load_last()
            assert read(interrupted)["state"] == "running"
            raise Interruption
        found = read(interrupted)
        assert len(found["resumed"]) == times
    assert (found["started"], found["weights"]) == ("2030-01-01T00:00:00+00:00", {"file": "resnet.pth"})
    assert found["wall_seconds"] > 1000
    assert set(found["checkpoints"]) == {"last.pt", "previous.pt"}


def test_tensorboard_forgets_what_came_after_the_checkpoint(make_run, interrupted):
    (first,) = interrupted.glob("events.*")
    first.rename(interrupted / "events.out.tfevents.1000000000.host.1.0")  # files are read in the order of their names
    with make_run(interrupted, resume="auto") as run:
        run.load_last()
        run.record(4, "train", loss=4.0)
    board = EventAccumulator(str(interrupted))
    board.Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(0, 0), (1, 1), (2, 2), (4, 4)]


def test_second_process_loads_the_state_and_leaves_the_files(make_run, interrupted, monkeypatch):
    monkeypatch.setattr(Processes, "wait", lambda procs: None)
    before = (interrupted / "log.txt").read_text()
    with make_run(interrupted, Processes(rank=1, world=2), resume="auto") as run:
        assert run.load_last()["weights"][0] == 2.0
    assert (interrupted / "log.txt").read_text() == before
    assert read(interrupted)["resumed"] == []


def test_changed_flag_is_named_with_both_values(make_run, interrupted):
    with pytest.raises(UserError, match=r"--resume auto with --lr 0.5, but the run there had 0.1; give the same flags"):
        make_run(interrupted, resume="auto", lr=0.5)
    with pytest.raises(UserError, match=r"--max-steps 3, but the run there had None"):
        make_run(interrupted, resume="auto", max_steps=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("precision", "bf16"), ("channels_last", True), ("compile", True), ("weights_are_published", True)],
)
def test_flag_that_changes_numbers_or_what_is_said_of_them_may_not_differ(make_run, interrupted, name, value):
    flag = name.replace("_", "-")
    with pytest.raises(UserError, match=f"--resume auto with --{flag} {value}, but the run there had"):
        make_run(interrupted, resume="auto", **{name: value})


def test_changed_flag_of_a_finished_run_is_not_passed_over(make_run, folder):
    with make_run(folder):
        pass
    with pytest.raises(UserError, match=r"--depths \[1\], but the run there had \[1, 2\]"):
        make_run(folder, resume="auto", depths=[1])


def test_flags_that_change_no_number_may_differ(make_run, interrupted, tmp_path):
    record = read(interrupted)
    del record["args"]["new_flag"]  # of a revision that did not have it yet
    (interrupted / "run.json").write_text(json.dumps(record))
    interrupted.rename(tmp_path / "moved")
    assert make_run(tmp_path / "moved", resume="auto", gpu=[0], row="full", num_workers=3, new_flag=1).resumed


def test_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(make_run, interrupted, capsys):
    damage(interrupted / "checkpoints/last.pt")
    capsys.readouterr()
    with make_run(interrupted, resume="auto") as run:
        state = run.load_last()
        assert (state["weights"][0], state["run"]["epoch"]) == (1.0, 1)
        assert (interrupted / "log.txt").read_text() == "epoch 0\nepoch 1\n"
        assert [entry["epoch"] for entry in run.history("train")] == [0, 1]
    (line,) = capsys.readouterr().out.splitlines()
    assert "last.pt: damaged" in line
    assert "falling back to the one before" in line


def test_foreign_checkpoint_is_not_taken_for_the_runs_own(make_run, interrupted):
    torch.save({**weights(7), "run": {}}, interrupted / "checkpoints/last.pt")
    with make_run(interrupted, resume="auto") as run:
        assert run.load_last()["weights"][0] == 1.0


def test_two_damaged_checkpoints_are_an_error(make_run, interrupted):
    for name in ("last.pt", "previous.pt"):
        damage(interrupted / "checkpoints" / name)
    message = "checkpoints: no intact checkpoint to resume from; start anew with --overwrite"
    with pytest.raises(UserError, match=message), make_run(interrupted, resume="auto") as run:
        run.load_last()
    assert read(interrupted)["state"] == "failed"


@pytest.mark.parametrize(("renaming", "epoch"), [(1, 0), (2, 0), (3, 0), (4, 1)])
def test_run_killed_while_it_saves_has_a_checkpoint(make_run, folder, killable, monkeypatch, renaming, epoch):
    """Renamed are run.json, last.pt to previous.pt, the new file to last.pt, then run.json of the next epoch."""
    run = make_run(folder).__enter__()
    run.save(0, weights(0))
    killable(renaming)
    with suppress(Interruption):
        run.save(1, weights(1))
        run.save(2, weights(2))
    monkeypatch.undo()
    with make_run(folder, resume="auto") as run:
        assert run.load_last()["weights"][0] == epoch


def test_full_disk_leaves_the_checkpoints_as_they_were(make_run, folder, monkeypatch):
    with make_run(folder) as run:
        for epoch in range(2):
            run.save(epoch, weights(epoch))
        before = read(folder)["checkpoints"]

        def write_half(_: object, file: object) -> None:
            file.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(torch, "save", write_half)
        with pytest.raises(OSError, match="No space left"):
            run.save(2, weights(2))
    assert {name: sha256_of(run.checkpoints.folder / name) for name in before} == before


@pytest.mark.parametrize("renaming", [1, 2])
def test_run_killed_in_its_first_save_after_falling_back_has_a_checkpoint(
    make_run, interrupted, killable, monkeypatch, renaming
):
    """Renamed are run.json and, with the damaged file out of the way, the new file to last.pt."""
    damage(interrupted / "checkpoints/last.pt")
    run = make_run(interrupted, resume="auto").__enter__()
    run.load_last()
    killable(renaming)
    with suppress(Interruption):
        run.save(2, weights(2))
    monkeypatch.undo()
    with make_run(interrupted, resume="auto") as run:
        assert run.load_last()["weights"][0] == 1.0


@pytest.mark.parametrize("renaming", [2, 3])
def test_save_after_a_kill_leaves_two_checkpoints_to_fall_back_on(make_run, folder, killable, monkeypatch, renaming):
    run = make_run(folder).__enter__()
    run.save(0, weights(0))
    killable(renaming)
    with suppress(Interruption):
        run.save(1, weights(1))
    monkeypatch.undo()
    with suppress(Interruption), make_run(folder, resume="auto") as run:
        run.load_last()
        run.save(1, weights(1))
        raise Interruption
    damage(folder / "checkpoints/last.pt")
    with make_run(folder, resume="auto") as run:
        assert run.load_last()["weights"][0] == 0.0


def test_save_after_falling_back_leaves_two_checkpoints_to_fall_back_on(make_run, interrupted):
    for _ in range(2):
        damage(interrupted / "checkpoints/last.pt")
        with suppress(Interruption), make_run(interrupted, resume="auto") as run:
            assert run.load_last()["weights"][0] == 1.0
            run.save(2, weights(2))
            raise Interruption


def test_checkpoints_without_a_record_are_an_error(make_run, interrupted):
    (interrupted / "run.json").unlink()
    for resume in ("", "auto"):
        with pytest.raises(UserError, match=r"run: holds checkpoints but no run.json; start anew with --overwrite"):
            make_run(interrupted, resume=resume)
    with make_run(interrupted, overwrite=True) as run:
        assert list(run.checkpoints.folder.iterdir()) == []


def test_overwrite_beside_resume_auto_starts_anew(make_run, interrupted):
    assert not make_run(interrupted, resume="auto", overwrite=True, lr=0.5).resumed


def test_metrics_that_a_power_cut_lost_are_not_filled_with_zeros(make_run, interrupted):
    (interrupted / "metrics.jsonl").write_text("")
    with make_run(interrupted, resume="auto") as run:
        run.load_last()
        assert run.history("train") == []
        train(run, [3])
    assert [json.loads(line)["epoch"] for line in (interrupted / "metrics.jsonl").read_text().splitlines()] == [3]


def test_quirk_that_spells_out_its_default_is_no_changed_flag(make_run, folder):
    with suppress(Interruption), make_run(folder, quirk=[], quirks={"skip": "official"}) as run:
        train(run, [0])
        raise Interruption
    assert make_run(folder, resume="auto", quirk=["skip=official"], quirks={"skip": "official"}).resumed
    with pytest.raises(UserError, match=r"'paper'.*but the run there had .*'official'"):
        make_run(folder, resume="auto", quirk=["skip=paper"], quirks={"skip": "paper"})


def test_other_data_than_before_is_refused(make_run, folder):
    def data(fingerprint: str) -> dict[str, object]:
        return {"dataset": {"name": "toy", "fingerprint": fingerprint}}

    with suppress(Interruption), make_run(folder, facts=data("aa")) as run:
        train(run, [0])
        raise Interruption
    with pytest.raises(UserError, match="on other data than before"):
        make_run(folder, facts=data("bb"), resume="auto")
    assert make_run(folder, facts=data("aa"), resume="auto").resumed


def test_revision_at_the_start_is_kept(make_run, interrupted, monkeypatch):
    before = read(interrupted)["git"]
    monkeypatch.setattr("common.provenance.git_state", lambda: {"revision": "another", "clean": True})
    with make_run(interrupted, resume="auto"):
        found = read(interrupted)
    assert found["git"]["revision"] == "another"
    assert found["git_at_start"] == before
