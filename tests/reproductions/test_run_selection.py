import pytest

from reproductions.report.comparison import compare
from reproductions.report.runs import find_runs
from reproductions.report.selection import select, shown


@pytest.fixture
def selected(paper, tmp_path):
    """Call it after write_run: the runs of row `full`, and {folder name: reason} of those left out."""

    def call():
        runs, refused = find_runs([tmp_path / "runs"])
        assert refused == []
        rows, left_out = select(paper, runs)
        return rows["full"], {item.folder.name: item.reason for item in left_out}

    return call


def test_run_with_the_published_flags_counts(write_run, selected):
    write_run("a", seed=2)
    write_run("b", seed=1)
    rows, left_out = selected()
    assert [run.seed for run in rows.trained] == [1, 2]
    assert left_out == {}


def test_run_that_names_an_alias_counts_for_the_row(write_run, selected):
    write_run("a", row="again")
    assert len(selected()[0].trained) == 1


def test_newest_run_of_a_seed_counts_once(write_run, selected):
    write_run("old", 40.0, started="2030-01-01T00:00:00+00:00")
    write_run("new", 51.0, started="2030-02-01T00:00:00+00:00")
    rows, left_out = selected()
    assert [run.folder.name for run in rows.trained] == ["new"]
    assert left_out == {"old": "a newer run has seed 1"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"row": None}, "names no row (--row)"),
        ({"row": "other"}, "names no row of duet: --row other"),
        ({"git": None}, "no git revision"),
        ({"inside": {"git.clean": False}}, "uncommitted changes"),
        ({"git_at_start": {"revision": "before", "clean": True}}, "went on under another revision"),
        ({"inside": {"weights.published": False}}, "starts from weights that are not the published ones"),
        ({"inside": {"dataset.name": "toy2"}}, "protocol differs: dataset toy2, not toy"),
        ({"inside": {"dataset.samples": [50, 20]}}, "protocol differs: samples 50 20, not 100 20"),
        (
            {"checkpoint": {"file": "a", "sha256": "b", "ours": False}},
            "continues a checkpoint of another run (--resume PATH)",
        ),
        ({"inside": {"quirks.picture": "paper"}}, "protocol differs: quirk picture paper, not official or fixed"),
        ({"inside": {"args.depth": 4}}, "protocol differs: depth 4, not 3"),
        ({"inside": {"args.rates": [0.1]}}, "protocol differs: rates 0.1, not 0.1 0.2"),
        ({"inside": {"args.flip": 1}}, "protocol differs: flip 1, not true"),
        ({"args": {"rates": [0.1, 0.2], "flip": True}}, "protocol differs: not recorded: depth"),
        ({"inside": {"quirks.skip": "paper"}}, "protocol differs: quirk skip paper, not official"),
        ({"official": None, "clean": 50.0}, "no final line of protocol official"),
        (
            {"evaluate": True, "checkpoint": {"file": "a", "sha256": "b", "ours": True}},
            "evaluation of a checkpoint of ours: the run that trained it counts",
        ),
    ],
)
def test_run_that_does_not_count_says_why(write_run, selected, changes, reason):
    write_run("a", **changes)
    rows, left_out = selected()
    assert rows.trained == []
    assert left_out == {"a": reason}
    assert rows.real_data == (changes.get("row", "full") == "full")


PUBLISHED = {"evaluate": True, "checkpoint": {"file": "cen.pth", "sha256": "b", "ours": False}, "weights": None}


def test_evaluation_of_published_weights_is_held_to_the_evaluation_flags_alone(write_run, selected):
    write_run(
        "other_training_flag", **PUBLISHED, inside={"args.flip": False, "dataset.samples": [20]}, started="2030-01-02"
    )
    write_run("fewer", **PUBLISHED, inside={"dataset.samples": [19]}, started="2030-01-04")
    write_run("other_depth", **PUBLISHED, inside={"args.depth": 4}, started="2030-01-03")
    rows, left_out = selected()
    assert rows.checkpoint.folder.name == "other_training_flag"
    assert left_out == {
        "other_depth": "protocol differs: depth 4, not 3",
        "fewer": "protocol differs: samples 19, not 20",
    }


def test_newest_evaluation_counts(write_run, selected):
    write_run("old", **PUBLISHED, started="2030-01-01")
    write_run("new", **PUBLISHED, started="2030-01-02")
    rows, left_out = selected()
    assert rows.checkpoint.folder.name == "new"
    assert left_out == {"old": "a newer evaluation of published weights counts"}


@pytest.mark.parametrize("part", ["dataset.standin", "weights.standin"])
def test_standin_run_never_counts_for_the_row(write_run, selected, part):
    write_run("a", inside={part: True})
    rows, left_out = selected()
    assert (rows.trained, rows.real_data, left_out) == ([], False, {})
    assert len(rows.standins) == 1


def test_standin_runs_may_have_other_flags_and_uncommitted_changes(write_run, selected):
    write_run("a", inside={"dataset.standin": True, "args.depth": 1, "git.clean": False})
    assert len(selected()[0].standins) == 1


def test_standin_seed_counts_once_in_each_setting(write_run, selected):
    write_run("old", inside={"dataset.standin": True}, started="2030-01-01")
    write_run("new", inside={"dataset.standin": True}, started="2030-01-02")
    write_run("other", inside={"dataset.standin": True, "args.depth": 1})
    write_run("weights", inside={"dataset.standin": True, "weights.sha256": "def"})
    rows, left_out = selected()
    assert {run.folder.name for run in rows.standins} == {"new", "other", "weights"}
    assert left_out == {"old": "a newer run has seed 1"}


def test_evaluation_on_standins_is_left_to_the_run_that_trained(write_run, selected):
    write_run("a", evaluate=True, inside={"dataset.standin": True})
    rows, left_out = selected()
    assert rows.standins == []
    assert "evaluation of a checkpoint on stand-ins" in left_out["a"]


def test_standin_run_that_continues_a_checkpoint_is_left_out(write_run, selected):
    write_run("a", checkpoint={"file": "a", "sha256": "b", "ours": True}, inside={"dataset.standin": True})
    rows, left_out = selected()
    assert rows.standins == []
    assert "continues a checkpoint" in left_out["a"]


def experts(seed, sha256="abc", standin=False, **config):
    """What run.json says of networks that a first stage of ours has trained."""
    file = {"file": "log/e.pt", "published": False, "config": {"seed": seed, "shortened": False, **config}}
    return {"file": "log/e.pt", "sha256": sha256, "published": False, "standin": standin, "files": [file, file]}


def test_run_from_experts_of_its_own_seed_counts(write_run, selected):
    write_run("a", seed=1, weights=experts(1))
    write_run("other_seed", seed=2, weights=experts(1))
    write_run("short", seed=3, weights=experts(3, shortened=True))
    rows, left_out = selected()
    assert [run.folder.name for run in rows.trained] == ["a"]
    reason = "starts from weights that are not the published ones"
    assert left_out == {"other_seed": reason, "short": reason}


def test_standin_runs_from_experts_of_their_own_seeds_are_averaged(write_run, paper, tmp_path):
    for seed in (1, 2):
        write_run(f"s{seed}", seed=seed, weights=experts(seed, sha256=f"file {seed}", standin=True))
    write_run("others", seed=3, weights=experts(1, standin=True))
    runs, _ = find_runs([tmp_path / "runs"])
    groups = compare(paper, runs).standins
    assert sorted(group.seeds for group in groups) == [(1, 2), (3,)]


def test_flag_values_are_shown_as_typed():
    assert [shown(value) for value in ([100, 100], None, True, 2e-4)] == ["100 100", "none", "true", "0.0002"]
