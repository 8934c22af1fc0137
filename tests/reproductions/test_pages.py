import json
import re

import pytest

from common.errors import UserError
from reproductions import record
from reproductions.report.records import line_of, put
from reproductions.report.reported import FOLDER, load
from reproductions.report.runs import read_run


@pytest.fixture
def root(tmp_path):
    """A repository with two READMEs that have empty tables."""
    (tmp_path / "README.md").write_text("# Top\n\n<!-- table:summary -->\n<!-- /table -->\n\nthe end\n")
    (tmp_path / "cen").mkdir()
    marks = "".join(f"<!-- table:{name} -->\n<!-- /table -->\n\n" for name in ("cen", "cen-standin"))
    (tmp_path / "cen" / "README.md").write_text(f"# CEN\n\n{marks}the end\n")
    return tmp_path


@pytest.fixture
def committed(root, write_run):
    """A committed record of a CEN run on stand-ins."""
    protocol = load(FOLDER / "cen.yaml").rows["cen_r101"].protocol
    inside = {"dataset.standin": True, "dataset.name": "nyudv2"}
    folder = write_run("a", 33.33, clean=32.32, paper="cen", row="cen_r101", args=protocol, quirks={}, inside=inside)
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().replace('"acc"', '"miou"'))
    target = root / "reproductions" / "records" / "table2_cen_standin" / "cen_r101.jsonl"
    put(target, [line_of(read_run(folder), folder)])
    return target


def run(root, *flags):
    record.main(["--root", str(root), *flags])


def check_fails(root, capsys):
    with pytest.raises(SystemExit) as raised:
        run(root, "--check")
    assert raised.value.code == 1
    return capsys.readouterr().err


def test_empty_tables_are_stale_then_filled_then_up_to_date(root, capsys):
    assert "README.md, cen/README.md: differs" in check_fails(root, capsys)
    run(root)
    run(root, "--check")
    assert "up to date" in capsys.readouterr().out
    top, cen = (root / "README.md").read_text(), (root / "cen" / "README.md").read_text()
    assert top.startswith("# Top\n")
    assert top.endswith("<!-- /table -->\n\nthe end\n")
    assert "| cen | CEN RefineNet-R101 | mIoU (%) | 51.1 | – | – | NOT RUN (no run found) |" in top
    assert cen.count("<!-- table:") == cen.count("<!-- /table -->") == 2


def test_changed_digit_is_found_and_the_file_named(root, capsys):
    run(root)
    file = root / "cen" / "README.md"
    file.write_text(file.read_text().replace("| 51.1 |", "| 51.2 |", 1))
    assert check_fails(root, capsys).startswith("cen/README.md: differs")


def test_check_changes_nothing(root, capsys):
    before = (root / "README.md").read_text()
    check_fails(root, capsys)
    assert (root / "README.md").read_text() == before


def test_committed_record_appears_in_the_standin_table_alone(root, committed):
    run(root)
    text = (root / "cen" / "README.md").read_text()
    reported, standins = re.findall(r"<!-- table:\S+ -->(.*?)<!-- /table -->", text, re.DOTALL)
    assert "| cen_r101 | official | 33.33 (1) | 1 |" in standins
    assert "| cen_r101 | clean | 32.32 (1) | 1 |" in standins
    assert "33.33" not in reported
    assert "33.33" not in (root / "README.md").read_text()
    assert "| cen_r101 | reproductions/records/table2_cen_standin/cen_r101.jsonl (1) |" in standins
    assert str(root) not in text


def test_record_that_is_not_whole_is_an_error(root, committed):
    committed.write_text(json.dumps({**json.loads(committed.read_text()), "finals": {}}) + "\n")
    with pytest.raises(UserError, match=r"cen_r101\.jsonl: line 1: record has no folder or no finals"):
        run(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table:nobody -->\n<!-- /table -->", "unknown table 'nobody', expected one of summary, cen"),
        ("<!-- table:cen -->\n", "without its other half"),
        ("<!-- table:cen -->\n<!-- table:summary -->\n<!-- /table -->", "without its other half"),
        ("<!-- /table -->", "without its other half"),
    ],
)
def test_wrong_marks_are_named(root, text, message):
    (root / "README.md").write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        run(root)
    assert "README.md" in str(raised.value)


def test_readmes_of_this_repository_are_up_to_date():
    run(record.ROOT, "--check")
