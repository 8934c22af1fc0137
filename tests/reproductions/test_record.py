"""python -m reproductions.record: finished runs into records, which count like the folders that they came from."""

import json

import pytest

from common.errors import UserError
from reproductions import record
from reproductions.report.reported import FOLDER, load
from reproductions.report.runs import find_runs


@pytest.fixture
def root(tmp_path):
    """A repository with one table script and no README."""
    (tmp_path / "repository" / "reproductions").mkdir(parents=True)
    (tmp_path / "repository" / "reproductions" / "table2_cen.sh").touch()
    return tmp_path / "repository"


@pytest.fixture
def write_cen(write_run):
    """write_run for row cen_r101 of CEN, in the folder that the table script gives it."""

    def write(seed=42, folder="table2_cen/cen_r101/seed_{}", **changes):
        changes = {"paper": "cen", "row": "cen_r101", "seed": seed, **changes}
        changes.setdefault("args", dict(load(FOLDER / "cen.yaml").rows["cen_r101"].protocol))
        return write_run(folder.format(seed), quirks={}, **changes)

    return write


@pytest.fixture
def run(root, tmp_path):
    def call(*arguments):
        record.main([*map(str, arguments), "--root", str(root)])

    return call


def lines(root, table="table2_cen", row="cen_r101"):
    text = (root / "reproductions" / "records" / table / f"{row}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_record_is_read_like_the_folder_it_came_from(root, tmp_path, write_cen, run):
    for seed in (43, 42):
        write_cen(seed, official=51.0 + seed, clean=1 / 3)
    run(tmp_path / "runs")
    from_folders, _ = find_runs([tmp_path / "runs"])
    from_records, refused = find_runs([root / "reproductions" / "records"])
    assert refused == []
    assert [(r.info, r.finals) for r in from_records] == [(r.info, r.finals) for r in from_folders]
    assert [r.folder for r in from_records] == [r.folder for r in from_folders]
    assert {r.record.name for r in from_records} == {"cen_r101.jsonl"}


def test_lines_are_sorted_by_seed_and_the_first_one_has_the_curves(root, write_cen, run):
    for seed in (44, 42, 43):
        run(write_cen(seed))
    found = lines(root)
    assert [line["seed"] for line in found] == [42, 43, 44]
    assert [line.get("curves") for line in found] == [
        {"train": {"epoch": [0], "loss": [1.0]}, "valid": {"epoch": [0], "acc": [12.34]}},
        None,
        None,
    ]


def test_curves_leave_out_parts_and_round(root, write_cen, run):
    folder = write_cen()
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"epoch": 1, "split": "train", "loss": 1 / 3, "layer1.0/rgb": 0.1, "recall_cut": 2.0}))
    run(folder)
    assert lines(root)[0]["curves"]["train"] == {"epoch": [0, 1], "loss": [1.0, 0.333333]}


def test_recording_a_run_again_replaces_its_line(root, write_cen, run):
    folder = write_cen(43)
    run(write_cen(42), folder)
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text.replace('"acc": 51.0', '"acc": 52.0'))
    run(folder)
    assert [(line["seed"], line["finals"]["official"]["acc"]) for line in lines(root)] == [(42, 51.0), (43, 52.0)]


def test_later_run_of_a_seed_stands_beside_the_earlier_one(root, write_cen, run):
    folder = write_cen(42)
    run(folder)
    info = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**info, "started": "2031-01-01T00:00:00+00:00"}))
    run(folder)
    assert [line["started"][:4] for line in lines(root)] == ["2030", "2031"]


def test_standin_run_goes_to_a_table_of_its_own(root, write_cen, run):
    run(write_cen(inside={"dataset.standin": True}))
    assert len(lines(root, "table2_cen_standin")) == 1


def test_folder_inside_the_repository_is_recorded_without_its_path(root, write_cen, run, tmp_path):
    write_cen()
    (tmp_path / "runs").rename(root / "runs")
    run(root / "runs")
    assert lines(root)[0]["folder"] == "runs/table2_cen/cen_r101/seed_42"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "running"}, "state is running"),
        ({"state": "failed", "why": "NaN loss"}, "state is failed: NaN loss"),
        ({"shortened": True}, "shortened (--max-steps)"),
        ({"official": None}, "metrics.jsonl has no final test line"),
        ({"row": None}, "names no row of cen: --row None"),
        ({"row": "nothing"}, "names no row of cen: --row nothing"),
        ({"paper": "duet"}, "names no row of duet: --row cen_r101"),
    ],
)
def test_run_that_cannot_count_is_refused_with_one_line_and_the_others_are_taken(
    root, tmp_path, write_cen, run, capsys, changes, reason
):
    bad = write_cen(42, **changes)
    write_cen(43)
    with pytest.raises(SystemExit) as raised:
        run(tmp_path / "runs")
    assert raised.value.code == 1
    assert capsys.readouterr().err == f"refused: {bad}: {reason}\n"
    assert [line["seed"] for line in lines(root)] == [43]


def test_run_elsewhere_needs_the_name_of_its_table(root, write_cen, run):
    folder = write_cen(folder="cen/main/exp{}")
    with pytest.raises(UserError, match=r"cannot tell its table, expected .*one of table2_cen; give --table NAME"):
        run(folder)
    run(folder, "--table", "mine")
    assert len(lines(root, "mine")) == 1


def test_damaged_record_is_named_and_left_alone(root, write_cen, run):
    run(write_cen(42))
    file = root / "reproductions" / "records" / "table2_cen" / "cen_r101.jsonl"
    file.write_text(file.read_text() + "garbage\n")
    with pytest.raises(UserError, match=r"cen_r101\.jsonl: line 2 is no record of a run"):
        run(write_cen(43))
    assert file.read_text().endswith("garbage\n")
    assert list(file.parent.iterdir()) == [file]


def test_record_with_a_line_that_is_not_whole_is_refused_by_its_number(root, write_cen, run):
    run(write_cen(42), write_cen(43))
    file = root / "reproductions" / "records" / "table2_cen" / "cen_r101.jsonl"
    first, second = file.read_text().splitlines()
    file.write_text(first + "\n" + json.dumps({**json.loads(second), "finals": {}}) + "\n")
    runs, refused = find_runs([root])
    assert [r.seed for r in runs] == [42]
    assert [(item.folder, item.reason) for item in refused] == [(file, "line 2: record has no folder or no finals")]


def test_check_takes_no_runs(run, tmp_path):
    with pytest.raises(UserError, match="--check writes nothing"):
        run(tmp_path, "--check")


def test_missing_folder_is_an_error(run, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        run(tmp_path / "nowhere")
