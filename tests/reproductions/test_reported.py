import pytest

from common.errors import UserError
from reproductions.report.reported import FOLDER, load, load_all


@pytest.fixture(scope="module")
def cen():
    return load(FOLDER / "cen.yaml")


def value(paper, row, metric, dataset, table="Table 2"):
    (found,) = [e for e in paper.entries if (e.table, e.row, e.metric, e.dataset) == (table, row, metric, dataset)]
    return found


@pytest.mark.parametrize(
    ("row", "scores"), [("CEN RefineNet-R101", (76.2, 62.8, 51.1)), ("CEN RefineNet-R152", (77.0, 64.4, 51.6))]
)
def test_cen_readme_scores_are_those_of_the_readme(cen, row, scores):
    entries = [value(cen, row, metric, "nyudv2") for metric in ("pixel_acc", "mean_acc", "miou")]
    assert tuple(entry.value for entry in entries) == scores
    assert all(entry.status == "read" and entry.source == "C1" for entry in entries)


@pytest.mark.parametrize(
    ("table", "row", "metric", "dataset", "expected", "status"),
    [
        ("Table 2", "CEN RefineNet-R152, multi-scale", "miou", "nyudv2", 52.2, "recalled"),
        ("Table 2", "RefineNet-R101 RGB, our setting", "miou", "nyudv2", 46.4, "recalled"),
        ("Table 2", "CEN RefineNet-R101", "miou", "sunrgbd", 49.6, "recalled"),
        ("Table 1", "shared conv, private BN, l1, exchange", "miou_depth", "nyudv2", 45.1, "recalled"),
        ("Table 1", "shared conv, private BN", "miou", "nyudv2", 48.0, "recalled"),
        ("Table 2, as re-printed by TokenFusion (Table 2)", "CEN", "miou", "nyudv2", 52.5, "read"),
        (
            "Table 3, as re-printed by TokenFusion (Table 1)",
            "CEN, shade + texture → RGB",
            "fid",
            "taskonomy",
            62.63,
            "read",
        ),
        (
            "Table 3, as re-printed by TokenFusion (Table 1)",
            "CEN, RGB + edge → depth",
            "mse",
            "taskonomy",
            0.66,
            "read",
        ),
        ("Table 3", "Self-Att (early), shade + texture → RGB", "kid", "taskonomy", 3.38, "recalled"),
    ],
)
def test_cen_numbers_have_the_value_and_status_of_their_source(cen, table, row, metric, dataset, expected, status):
    entry = value(cen, row, metric, dataset, table)
    assert (entry.value, entry.status) == (expected, status)


def test_cen_rows_that_are_run_have_the_published_flags(cen):
    r101, r152 = cen.rows["cen_r101"], cen.rows["cen_r152"]
    assert r152.protocol == {**r101.protocol, "enc": "152", "num_epoch": [150, 150, 150]}
    assert (r101.protocol["lamda"], r101.protocol["bn_threshold"], r101.protocol["wd_enc"]) == (2e-4, 2e-2, 1e-5)
    assert cen.row("ablation_full") is r101
    assert cen.rows["ablation_l1"].protocol == {**r101.protocol, "bn_threshold": 0}
    assert cen.rows["ablation_private_bn"].protocol == {**r101.protocol, "bn_threshold": 0, "lamda": 0}
    assert cen.rows["refinenet_r101_rgb"].protocol == {**r101.protocol, "input": ["rgb"], "lamda": 0}


def test_every_file_of_reported_numbers_loads():
    assert "cen" in [paper.name for paper in load_all()]


def test_folder_without_reported_numbers_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}: no reported numbers"):
        load_all(tmp_path)


def test_half_a_printed_digit(write_paper, entry):
    loaded = load(write_paper(entry, {**entry, "metric": "fid", "value": 62.63, "printed": "62.63"}))
    assert [one.half_digit for one in loaded.entries] == [0.05, 0.005]


def test_margin_is_the_metrics_unless_the_entry_has_its_own(write_paper, entry):
    loaded = load(write_paper(entry, {**entry, "row": "other", "margin": 0.1}))
    assert [one.margin for one in loaded.entries] == [0.5, 0.1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "seen"}, r"entry 1 \(Table 1, Duet, toy, acc\): unknown status 'seen'"),
        ({"statistic": "median"}, "unknown statistic 'median'"),
        ({"metric": "auc"}, "unknown metric 'auc'"),
        ({"source": "X"}, "unknown source 'X'"),
        ({"row_id": "nothing"}, "unknown row_id 'nothing'"),
        ({"row_id": None}, "needs either row_id"),
        ({"not_run": "why"}, "needs either row_id"),
        ({"dataset": "other"}, "dataset differs from that of row full"),
        ({"printed": "51.2"}, "value 51.1 and printed '51.2' disagree"),
        ({"printed": "abc"}, "disagree"),
        ({"printed": 51.1}, "disagree"),
        ({"n": 0}, "n is 0"),
        ({"margin": -1}, "margin -1"),
        ({"marginn": 1}, "unknown marginn"),
        ({"command": "python"}, "expected it in rows"),
    ],
)
def test_wrong_entry_is_named(write_paper, entry, changes, message):
    with pytest.raises(UserError, match=message) as raised:
        load(write_paper({**entry, **changes}))
    assert "duet.yaml: entry" in str(raised.value)


@pytest.mark.parametrize("key", ["table", "row", "dataset", "metric", "value", "printed", "statistic", "n", "source"])
def test_missing_key_of_an_entry_is_named(write_paper, entry, key):
    second = {**entry, "row": "second"}
    del second[key]
    with pytest.raises(UserError, match=f"entry 2: missing {key}"):
        load(write_paper(entry, second))


def test_number_that_stands_twice_is_named(write_paper, entry):
    with pytest.raises(UserError, match="stands twice"):
        load(write_paper(entry, {**entry, "value": 3.0, "printed": "3.0"}))


@pytest.mark.parametrize(
    ("head_change", "message"),
    [
        ({"rows": {"full": {"samples": [1]}}}, "row full: missing dataset"),
        ({"rows": {"full": {"dataset": "toy", "command": "x"}}}, "row full: unknown command"),
        ({"rows": {"other": {"dataset": "toy"}}}, "row other: tables/duet.rows has no such row"),
        ({"rows": {}}, "no row full, which tables/duet.rows has"),
        ({"rows": {"full": {"dataset": "toy"}, "b": {"same_as": "other"}}}, "unknown row in same_as 'other'"),
        ({"held_to": {"solo.main": ["depth"]}}, "row full: unknown script in held_to 'duet.main'"),
        ({"row_defaults": {"solo.main": {"dataset": "toy"}}}, "row_defaults: unknown script in held_to 'solo.main'"),
        ({"row_defaults": {"duet.main": {"samples": [1]}}, "rows": {}}, "row full: missing dataset"),
        ({"metrics": {"acc": {"label": "acc"}}}, "metric acc: missing unit"),
    ],
)
def test_wrong_head_is_named(write_paper, head_change, message):
    with pytest.raises(UserError, match=message):
        load(write_paper(**head_change))


def test_row_has_its_flags_and_published_defaults(write_paper):
    row = load(write_paper()).rows["full"]
    assert row.command == "python -m duet.main --depth 3 --row full"
    assert row.protocol == {"depth": 3, "rates": [0.1, 0.2], "flip": True}


def test_row_may_be_held_to_more_flags_than_its_script(write_paper):
    full = {"dataset": "toy", "held_to": ["gpu"]}
    assert load(write_paper(rows={"full": full})).rows["full"].protocol["gpu"] == [0]


def test_row_that_has_nothing_of_its_own_needs_no_entry(write_paper):
    shared = {"duet.main": {"dataset": "toy", "samples": [100, 20]}}
    row = load(write_paper(row_defaults=shared, rows={})).rows["full"]
    assert (row.dataset, row.samples, row.headline) == ("toy", (100, 20), None)


def test_row_has_the_defaults_of_its_script_beside_its_own(write_paper):
    shared = {"duet.main": {"dataset": "toy", "samples": [100, 20]}}
    row = load(write_paper(row_defaults=shared, rows={"full": {"samples": [7], "headline": "acc"}})).rows["full"]
    assert (row.dataset, row.samples, row.headline) == ("toy", (7,), "acc")


def test_file_that_is_no_yaml_is_named(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("paper: [")
    with pytest.raises(UserError, match=r"bad\.yaml: cannot be read as YAML"):
        load(file)


def test_head_without_numbers_is_named(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("paper: duet")
    with pytest.raises(UserError, match=r"bad\.yaml: missing title, citation"):
        load(file)
