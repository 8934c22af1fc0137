"""What a run leaves behind: run.json, log.txt, metrics.jsonl, TensorBoard; and what the folder is protected from."""

import json
from contextlib import suppress

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.errors import UserError
from common.processes import Processes


def read(folder):
    return json.loads((folder / "run.json").read_text())


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def events(folder):
    board = EventAccumulator(str(folder))
    board.Reload()
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}


class Interruption(Exception):
    """Something outside of the run ends it."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def test_nothing_is_written_before_the_work_begins(make_run, folder):
    run = make_run(folder)
    run.note("to the screen")
    assert not folder.exists()
    with run:
        assert {path.name for path in folder.iterdir()} == {
            "run.json",
            "log.txt",
            "metrics.jsonl",
            "images",
            "checkpoints",
        }


def test_state_is_running_inside_and_finished_behind(make_run, folder):
    with make_run(folder):
        inside = read(folder)
    after = read(folder)
    assert (inside["state"], inside["ended"], inside["why"]) == ("running", None, None)
    assert (after["state"], after["why"], after["started"]) == ("finished", None, inside["started"])
    assert after["ended"] >= after["started"]
    assert after["wall_seconds"] >= inside["wall_seconds"] >= 0


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (UserError("step 3: the loss is nan"), "UserError: step 3: the loss is nan"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
    ],
)
def test_failed_run_says_why_and_the_error_goes_on(make_run, folder, error, why):
    with pytest.raises(type(error)), make_run(folder):
        raise error
    assert (read(folder)["state"], read(folder)["why"]) == ("failed", why)
    assert read(folder)["ended"] is not None


def test_record_holds_what_stands_behind_the_numbers(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    facts = {"seed": 7, "quirks": {"skip": "paper"}, "dataset": {"name": "toy"}}
    paths = [tmp_path / "data/toy", "as given"]
    with make_run(tmp_path / "out", facts=facts, row="full", max_steps=3, precision="bf16", depths=(3, 4), paths=paths):
        pass
    found = read(tmp_path / "out")
    assert found.items() >= facts.items()
    assert [found[key] for key in ("paper", "script", "name", "row")] == ["duet", "main", "exp", "full"]
    assert (found["precision"], found["shortened"]) == ("bf16", True)
    assert found["command"] == "python -m duet.main --lr 0.1"
    assert found["args"]["run_dir"] == "out"
    assert found["args"]["paths"] == ["data/toy", "as given"]
    assert (found["args"]["depths"], found["args"]["lr"]) == ([3, 4], 0.1)
    assert found["device"]["type"] == "cpu"
    assert found["packages"]["torch"] == torch.__version__.split("+")[0]
    assert found["peak_memory_bytes"] > 2**20


def test_unshortened_run_says_so(make_run, folder):
    with make_run(folder):
        pass
    assert read(folder)["shortened"] is False


def test_default_folder_is_named_for_paper_script_and_name(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with make_run(None):
        pass
    assert read(tmp_path / "runs/duet/main/exp")["state"] == "finished"


def test_print_goes_to_screen_and_log_and_note_to_the_screen_alone(make_run, folder, capsys):
    with make_run(folder) as run:
        run.print("first")
        run.note("aside")
        run.print()
        assert (folder / "log.txt").read_text() == "first\n\n"
    assert capsys.readouterr().out == "first\naside\n\n"


def test_metrics_are_one_object_a_line_with_tensors_read(make_run, folder):
    with make_run(folder) as run:
        run.record(0, "train", loss=torch.tensor(0.5, requires_grad=True), lr=1e-3)
        run.record(4, "test", final=True, protocol="clean", acc=51)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 0, "split": "train", "loss": 0.5, "lr": 1e-3},
        {"epoch": 4, "split": "test", "protocol": "clean", "acc": 51, "final": True},
    ]


def test_history_is_that_of_one_split_in_order(make_run, folder):
    with make_run(folder) as run:
        for epoch in range(3):
            run.record(epoch, "train", loss=1.0)
            run.record(epoch, "valid", acc=10 * epoch)
        assert [entry["acc"] for entry in run.history("valid")] == [0, 10, 20]
        assert run.history("test") == []


def test_numbers_go_to_tensorboard_and_words_do_not(make_run, folder):
    with make_run(folder) as run:
        run.record(1, "valid", acc=torch.tensor(0.25), protocol="clean")
        run.record(2, "valid", acc=1)
    assert events(folder) == {"valid/acc": [(1, 0.25), (2, 1.0)]}


def test_tensorboard_is_not_opened_without_numbers(make_run, folder):
    with make_run(folder) as run:
        run.record(1, "valid", protocol="clean")
    assert list(folder.glob("events.*")) == []


def test_progress_passes_the_batches_on_and_is_quiet_without_a_terminal(make_run, folder, capsys):
    with make_run(folder) as run:
        assert list(run.progress(iter("abc"), "epoch 0")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_throughput_is_samples_over_training_seconds(make_run, folder):
    with make_run(folder) as run:
        assert read(folder)["samples_per_second"] is None
        run.trained(0, 30, 2.0)
        run.trained(1, 10, 3.0)
    assert read(folder)["samples_per_second"] == 8.0
    assert events(folder) == {"train/samples_per_second": [(0, 15.0), (1, pytest.approx(10 / 3))]}


def test_second_process_writes_and_prints_nothing(make_run, folder, monkeypatch, capsys):
    monkeypatch.setattr(Processes, "wait", lambda procs: None)
    with make_run(folder, Processes(rank=1, world=2)) as run:
        run.print("line")
        run.note("line")
        run.record(0, "train", loss=1.0)
        run.save(0, {"weights": torch.ones(1)}, {"weights": torch.ones(1)})
        run.trained(0, 3, 1.0)
        assert list(run.progress([1, 2], "epoch 0")) == [1, 2]
    assert not folder.exists()
    assert capsys.readouterr() == ("", "")


def test_all_processes_have_looked_before_the_first_one_writes(make_run, folder, monkeypatch):
    seen = []
    monkeypatch.setattr(Processes, "wait", lambda procs: seen.append(folder.exists()))
    with make_run(folder, Processes(rank=0, world=2)):
        assert seen == [False]
    assert read(folder)["device"]["processes"] == 2


def test_finished_run_is_not_touched(make_run, folder):
    with make_run(folder) as run:
        run.print("the result")
    before = snapshot(folder)
    with pytest.raises(UserError, match=r"run: holds a finished run; .*--resume auto.*--overwrite.*--run-dir"):
        make_run(folder)
    assert snapshot(folder) == before


def test_interrupted_run_is_not_touched(make_run, folder):
    with suppress(Interruption), make_run(folder) as run:
        run.save(0, {"weights": torch.ones(1)})
        raise Interruption
    before = snapshot(folder)
    with pytest.raises(UserError, match="run: holds an interrupted run; continue it with --resume auto"):
        make_run(folder, resume="other.pt")
    assert snapshot(folder) == before


def test_run_that_failed_before_its_first_checkpoint_stands_in_nobodys_way(make_run, folder):
    with suppress(Interruption), make_run(folder) as run:
        run.print("old")
        raise Interruption
    with make_run(folder) as run:
        run.print("new")
    assert (folder / "log.txt").read_text() == "new\n"
    assert read(folder)["state"] == "finished"


def test_overwrite_starts_anew_and_leaves_nothing_of_the_old_record(make_run, folder):
    with make_run(folder) as run:
        run.print("old")
        run.record(5, "valid", acc=99.0)
        run.save(5, {"weights": torch.ones(1)}, {"weights": torch.ones(1)})
        run.save(6, {"weights": torch.ones(1)})
    with make_run(folder, overwrite=True, lr=0.5) as run:
        assert list(run.checkpoints.folder.iterdir()) == []
        run.record(0, "valid", acc=1.0)
    assert (folder / "log.txt").read_text() == ""
    assert events(folder) == {"valid/acc": [(0, 1.0)]}
    found = read(folder)
    assert (found["args"]["lr"], found["checkpoints"], found["resumed"]) == (0.5, {}, [])


def test_damaged_record_is_named(make_run, folder):
    folder.mkdir()
    (folder / "run.json").write_text('{"state": "fin')
    with pytest.raises(UserError, match=r"run.json: damaged: .*--overwrite"):
        make_run(folder)


def test_damaged_record_can_be_overwritten_as_its_error_says(make_run, folder):
    folder.mkdir()
    (folder / "run.json").write_text('{"state": "fin')
    with make_run(folder, overwrite=True):
        assert read(folder)["state"] == "running"


def test_run_folder_that_is_a_file_is_named(make_run, folder):
    folder.write_text("a file")
    with pytest.raises(UserError, match="run"):
        make_run(folder)


def test_overwrite_leaves_no_picture_of_the_old_run(make_run, folder):
    with make_run(folder) as run:
        (run.images / "validate_99.png").write_bytes(b"old")
    with make_run(folder, overwrite=True) as run:
        assert list(run.images.iterdir()) == []


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(3)])
def test_numpy_scalars_are_recorded_like_tensors(make_run, folder, value):
    with make_run(folder) as run:
        run.record(0, "valid", acc=value)
        assert run.history("valid")[0]["acc"] == value
