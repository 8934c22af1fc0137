import json

import pytest

from common.errors import UserError
from reproductions.report.runs import find_runs


def refusal(folder):
    runs, refused = find_runs([folder])
    assert runs == []
    (only,) = refused
    assert only.folder == folder
    return only.reason


def test_finished_run_is_read_with_both_protocols(write_run):
    folder = write_run("a", 51.0, clean=50.0)
    ((run,), refused) = find_runs([folder.parent])
    assert refused == []
    assert run.finals == {"official": {"acc": 51.0}, "clean": {"acc": 50.0}}
    assert (run.row, run.seed, run.standin, run.committed) == ("full", 1, False, True)


def test_runs_are_found_at_any_depth_once(write_run):
    folder = write_run("paper/main/exp")
    runs, _ = find_runs([folder.parent.parent.parent, folder])
    assert [run.folder for run in runs] == [folder]


def test_damaged_last_line_of_an_interrupted_write_is_forgiven(write_run):
    folder = write_run("a")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 10, "spl')
    ((run,), _) = find_runs([folder])
    assert run.finals["official"] == {"acc": 51.0}


def test_only_a_damaged_line_is_no_final_line(write_run):
    folder = write_run("a")
    (folder / "metrics.jsonl").write_text('{"epoch": 10, "spl')
    assert refusal(folder) == "metrics.jsonl has no final test line"


def test_damage_in_the_middle_of_metrics_is_refused_with_its_line(write_run):
    folder = write_run("a")
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text("garbage\n" + text)
    assert "line 1 is no JSON" in refusal(folder)


def test_last_of_two_final_lines_of_a_protocol_counts(write_run):
    folder = write_run("a")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"split": "test", "final": True, "protocol": "official", "acc": 52.0}) + "\n")
    ((run,), _) = find_runs([folder])
    assert run.finals["official"] == {"acc": 52.0}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "running"}, "state is running"),
        ({"state": "failed", "why": "NaN loss"}, "state is failed: NaN loss"),
        ({"shortened": True}, "shortened"),
        ({"official": None}, "no final test line"),
        ({"official": float("nan")}, "final acc is nan"),
        ({"seed": None}, "seed is None"),
        ({"git": {"revision": "a"}}, "no git.clean"),
        ({"dataset": {"name": "toy"}}, "no dataset.folder, dataset.fingerprint, dataset.standin"),
    ],
)
def test_run_that_cannot_count_is_refused_with_its_reason(write_run, changes, reason):
    assert reason in refusal(write_run("a", **changes))


@pytest.mark.parametrize("key", ["row", "seed", "command", "wall_seconds", "weights"])
def test_incomplete_record_is_refused_by_the_missing_key(write_run, key):
    folder = write_run("a")
    info = json.loads((folder / "run.json").read_text())
    del info[key]
    (folder / "run.json").write_text(json.dumps(info))
    assert refusal(folder) == f"run.json is incomplete: no {key}"


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_damaged_record_is_refused(write_run, text):
    folder = write_run("a")
    (folder / "run.json").write_text(text)
    assert "run.json is damaged" in refusal(folder)


def test_scores_without_a_record_are_refused(write_run):
    folder = write_run("a")
    (folder / "run.json").unlink()
    assert refusal(folder) == "run.json is missing"


def test_record_without_scores_is_refused(write_run):
    folder = write_run("a")
    (folder / "metrics.jsonl").unlink()
    assert "metrics.jsonl cannot be read" in refusal(folder)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        find_runs([tmp_path / "nowhere"])
