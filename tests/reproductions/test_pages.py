import json
import re
from collections import Counter

import pytest

from common.errors import UserError
from reproductions import record
from reproductions.report.layout_text import STANDIN_HEADING, STANDIN_WARNING
from reproductions.report.records import line_of, put
from reproductions.report.reported import FOLDER, load, load_all
from reproductions.report.runs import read_run


@pytest.fixture
def root(tmp_path):
    """A repository with two READMEs that have empty tables."""
    (tmp_path / "README.md").write_text("# Top\n\n<!-- table:summary -->\n<!-- /table -->\n\nthe end\n")
    (tmp_path / "cen").mkdir()
    (tmp_path / "cen" / "README.md").write_text("# CEN\n\n<!-- table:cen -->\n<!-- /table -->\n\nthe end\n")
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


def results(root, paper="cen"):
    """(what stands before the heading of the stand-ins, what stands behind it) of a paper's results page."""
    before, after = (root / "reproductions" / "results" / f"{paper}.md").read_text().split(f"## {STANDIN_HEADING}")
    return before, after


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
    assert cen.count("<!-- table:") == cen.count("<!-- /table -->") == 1
    headline = "| Table 2 | CEN RefineNet-R101 | nyudv2 | mIoU (%) | 51.1 | – | – | NOT RUN (no run found) |"
    assert headline in cen
    assert "(../reproductions/results/cen.md)" in cen


def test_results_hold_every_reported_number_of_every_paper(root):
    run(root)
    for paper in load_all():
        before, _ = results(root, paper.name)
        shown = [
            cell.strip().rstrip("†") for line in before.splitlines() if line[:1] == "|" for cell in line.split("|")
        ]
        missing = Counter(entry.printed for entry in paper.entries) - Counter(shown)
        assert not missing


def test_results_name_the_command_that_writes_them_and_a_changed_digit_is_found(root, capsys):
    run(root)
    file = root / "reproductions" / "results" / "cen.md"
    assert "Written by `python -m reproductions.record`" in file.read_text()
    file.write_text(file.read_text().replace("| 51.1 |", "| 51.2 |", 1))
    error = check_fails(root, capsys)
    assert error == "reproductions/results/cen.md: differs from the records; run python -m reproductions.record\n"


@pytest.mark.parametrize("paper", [paper.name for paper in load_all()])
def test_no_sentence_stands_twice_in_a_table_of_results(paper):
    text = "\n".join(results(record.ROOT, paper))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [line.strip("|\n").split("|")[2:] for line in table.splitlines()[2:]]
        sentences = [cell.strip() for row in rows for cell in row if len(cell.split()) > 5 and "±" not in cell]
        assert max(Counter(sentences).values(), default=0) <= 1


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
    reported, standins = results(root)
    assert "| cen_r101 | official | 33.33 (1) | 1 |" in standins
    assert "| cen_r101 | clean | 32.32 (1) | 1 |" in standins
    assert "33.33" not in reported
    assert "33.33" not in (root / "README.md").read_text()
    assert "33.33" not in (root / "cen" / "README.md").read_text()
    assert "| cen_r101 | reproductions/records/table2_cen_standin/cen_r101.jsonl (1) |" in standins
    assert str(root) not in reported + standins


def test_paper_without_printed_numbers_shows_its_scores_on_standins_behind_the_warning(root, write_run):
    row = load(FOLDER / "ucrn.yaml").rows["mosei_unaligned"]
    inside = {"dataset.standin": True, "dataset.name": "cmu_mosei"}
    folder = write_run("u", 0.5, paper="ucrn", row=row.id, args=row.protocol, quirks={}, inside=inside)
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().replace('"acc"', '"mae"'))
    put(
        root / "reproductions" / "records" / "main_ucrn_standin" / f"{row.id}.jsonl",
        [line_of(read_run(folder), folder)],
    )
    (root / "ucrn").mkdir()
    (root / "ucrn" / "README.md").write_text("<!-- table:ucrn -->\n<!-- /table -->\n")
    run(root)
    text = (root / "ucrn" / "README.md").read_text()
    assert text.index(STANDIN_WARNING) < text.index("| mosei_unaligned | cmu_mosei | MAE | 0.5000 (1) | – | 1 |")
    assert "reported |" not in text


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
