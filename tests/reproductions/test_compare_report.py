import json
import re

import pytest

from common.errors import UserError
from reproductions import compare
from reproductions.report import comparison, figures
from reproductions.report.reported import FOLDER, load

STANDIN_SCORE = 33.33


@pytest.fixture
def cen():
    return load(FOLDER / "cen.yaml")


@pytest.fixture
def write_cen(write_run, cen):
    """write_run for a row of CEN, with its published flags."""

    def write(name, row="cen_r101", **changes):
        changes.setdefault("args", dict(cen.row(row).protocol))
        data = {"dataset.name": "nyudv2", "dataset.samples": [795, 654], **changes.pop("inside", {})}
        folder = write_run(name, paper="cen", row=row, quirks={}, inside=data, **changes)
        text = (folder / "metrics.jsonl").read_text()
        (folder / "metrics.jsonl").write_text(text.replace('"acc"', '"miou"'))
        return folder

    return write


@pytest.fixture
def five_seeds(write_cen):
    for seed, score in zip(range(42, 47), (51.0, 51.1, 51.2, 51.1, 51.3), strict=True):
        write_cen(f"seed{seed}", official=score, clean=score - 1, seed=seed)


@pytest.fixture
def standins(write_cen):
    for seed in (42, 43):
        inside = {"dataset.standin": True, "git.clean": seed == 42}
        write_cen(f"standin{seed}", official=STANDIN_SCORE, clean=STANDIN_SCORE, seed=seed, inside=inside)


@pytest.fixture
def report(tmp_path, capsys):
    """Call it after the runs are written: (JSON content, Markdown, HTML, what was printed)."""

    def call(*flags):
        (tmp_path / "runs").mkdir(exist_ok=True)
        compare.main([str(tmp_path / "runs"), "--paper", "cen", "--output", str(tmp_path / "report"), *flags])
        texts = [(tmp_path / "report" / f"report.{ending}").read_text() for ending in ("json", "md", "html")]
        return json.loads(texts[0]), texts[1], texts[2], capsys.readouterr().out

    return call


def numbers(content, row, metric):
    """The entries of Table 2 or 1 of the JSON report with this row and metric on NYUDv2."""
    found = [(number["entry"], number) for number in content["papers"][0]["numbers"]]
    return [n for e, n in found if (e["row"], e["metric"], e["dataset"]) == (row, metric, "nyudv2")]


def markdown_tables(text):
    """[(header cells, [row cells])] of a Markdown text."""
    blocks = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    split = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block] for block in blocks]
    return [(block[0], block[2:]) for block in split]


def test_without_runs_every_number_is_shown_and_not_run(report, cen):
    content, markdown, _, printed = report()
    shown = content["papers"][0]["numbers"]
    assert len(shown) == len(cen.entries)
    assert all(n["verdict"] == "NOT RUN" and n["ours"] is None and n["difference"] is None for n in shown)
    printed_digits = sum(
        bool(re.fullmatch(r"\d+\.\d+†?", cell))
        for header, rows in markdown_tables(markdown)
        if "source" in header
        for row in rows
        for name, cell in zip(header, row, strict=True)
        if name != "margin"
    )
    assert printed_digits == len(cen.entries)
    assert f"cen: {len(cen.entries)} reported numbers: {len(cen.entries)} NOT RUN" in printed


def test_five_seeds_match_in_both_tables_that_the_row_stands_in(report, five_seeds):
    content, markdown, html, printed = report()
    (in_table_2,) = numbers(content, "CEN RefineNet-R101", "miou")
    (in_table_1,) = numbers(content, "shared conv, private BN, l1, exchange", "miou")
    assert in_table_2["verdict"] == in_table_1["verdict"] == "MATCH"
    assert in_table_2["seeds"] == [42, 43, 44, 45, 46]
    assert in_table_2["ours"]["mean"] == pytest.approx(51.14)
    assert in_table_2["difference"] == pytest.approx(0.04)
    assert in_table_2["clean"]["mean"] == pytest.approx(50.14)
    assert "51.14 ± 0.11 (5)" in markdown
    assert "51.14 ± 0.11 (5)" in html
    assert "2 MATCH" in printed


def test_markdown_says_what_json_says(report, five_seeds, standins):
    content, markdown, html, _ = report()
    tables = [(header, rows) for header, rows in markdown_tables(markdown) if "ours, clean" in header]
    lines = [dict(zip(header, row, strict=True)) for header, rows in tables for row in rows]
    ran = [number for number in content["papers"][0]["numbers"] if number["entry"]["row_id"]]
    assert len(lines) == len(ran)
    for line, number in zip(lines, ran, strict=True):
        assert line["reported"].rstrip("†") == number["entry"]["printed"]
        assert ("†" in line["reported"]) == (number["entry"]["status"] == "recalled")
        assert line["verdict"].startswith(number["verdict_text"])
        mean = line["ours, mean ± sd (n)"].split(" ")[0]
        assert mean == ("–" if number["ours"] is None else f"{number['ours']['mean']:.2f}")
        assert number["verdict_text"] in html


def test_metric_that_the_runs_lack_stays_blank(report, five_seeds):
    content, _, _, _ = report()
    (number,) = numbers(content, "CEN RefineNet-R101", "pixel_acc")
    assert (number["ours"], number["verdict_text"]) == (None, "NOT RUN (the runs have no final pixel_acc)")


def test_standin_scores_never_stand_beside_reported_numbers(report, five_seeds, standins):
    content, markdown, html, _ = report()
    shown = f"{STANDIN_SCORE:.2f}"
    assert shown not in json.dumps(content["papers"][0]["numbers"])
    with_score = [header for header, rows in markdown_tables(markdown) if shown in str(rows)]
    assert len(with_score) == 1
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        assert ("<th>reported</th>" in table) + ("<th>source</th>" in table) + (shown in table) <= 2
        assert not (shown in table and ("<th>reported</th>" in table or "<th>source</th>" in table))
    before, after = markdown.split("NOT the paper's results")
    assert shown not in before
    assert shown in after


def test_standin_section_shows_both_protocols_seeds_and_what_differs(report, write_cen):
    for seed, score in ((1, 30.0), (2, 32.0)):
        args = {"enc": "50", "num_epoch": [1, 1, 1]}
        inside = {"dataset.standin": True, "git.clean": False}
        write_cen(f"s{seed}", official=score, clean=score - 2, seed=seed, args=args, inside=inside)
    content, markdown, _, _ = report()
    ((scores, settings),) = [
        tables for tables in [[t for t in markdown_tables(markdown) if t[0][0] == "run of the command of"]] if tables
    ]
    assert scores[0] == ["run of the command of", "protocol", "mIoU (%)", "seeds"]
    assert scores[1] == [
        ["cen_r101 ‡", "official", "31.00 ± 1.41 (2)", "1 2"],
        ["cen_r101 ‡", "clean", "29.00 ± 1.41 (2)", "1 2"],
    ]
    assert "enc 50, not 101; num_epoch 1 1 1, not 100 100 100" in settings[1][0][2]
    (number,) = numbers(content, "CEN RefineNet-R101", "miou")
    assert number["verdict_text"] == "NOT RUN (no run on real data, stand-ins only)"


def test_rows_without_a_reported_number_still_show_our_runs(report, write_cen):
    """Depth alone is a row of ours, which the paper does not print."""
    write_cen("depth", row="refinenet_r101_depth", official=42.5, seed=42)
    content, markdown, page, _ = report()
    section = markdown.split("Our runs of rows that no source at hand prints")[1].split("\n#")[0]
    assert "| refinenet_r101_depth | official | 42.50 (1) | 42 |" in section
    assert "42.50 (1)" in page
    assert [group["row"] for group in content["papers"][0]["unprinted"]] == ["refinenet_r101_depth"]


def test_metrics_of_few_groups_stand_in_a_second_table(report, write_cen):
    for seed, row in enumerate(("cen_r101", "cen_r152", "refinenet_r101_rgb")):
        folder = write_cen(f"s{seed}", row=row, official=30.0, inside={"dataset.standin": True})
        if row == "cen_r101":
            file = folder / "metrics.jsonl"
            file.write_text(file.read_text().replace('"miou": 30.0', '"miou": 30.0, "kid": 1.0'))
    _, markdown, _, _ = report()
    tables = [t for t in markdown_tables(markdown) if t[0][:2] == ["run of the command of", "protocol"]]
    assert [(header[2:-1], [line[0] for line in lines]) for header, lines in tables] == [
        (["mIoU (%)"], ["cen_r101", "cen_r152", "refinenet_r101_rgb"]),
        (["KID (× 10⁻²)"], ["cen_r101"]),
    ]


def test_standin_settings_are_not_averaged_together(report, write_cen, cen):
    standin = {"dataset.standin": True}
    write_cen("a", official=30.0, seed=1, inside=standin)
    write_cen("b", official=40.0, seed=2, inside=standin, args={**cen.rows["cen_r101"].protocol, "batch_size": 2})
    content, markdown, _, _ = report()
    assert [group["scores"]["miou"]["official"]["n"] for group in content["papers"][0]["standins"]] == [1, 1]
    assert "cen_r101 (a)" in markdown
    assert "cen_r101 (b)" in markdown


def test_published_weights_are_verified(report, write_cen):
    checkpoint = {"file": "cen.pth.tar", "sha256": "abcdef", "ours": False}
    write_cen("eval", official=51.12, evaluate=True, checkpoint=checkpoint, weights=None)
    content, markdown, _, _ = report()
    (number,) = numbers(content, "CEN RefineNet-R101", "miou")
    assert (number["verdict"], number["checkpoint"], number["ours"]) == ("CHECKPOINT VERIFIED", 51.12, None)
    assert "published weights 51.12" in markdown


def test_component_parity_needs_the_record_and_no_real_run(report, write_cen, cen, tmp_path):
    results = [
        {"paper": "cen", "component": component, "case": component, "outcome": "passed"}
        for component in cen.rows["cen_r101"].components
    ]
    record = tmp_path / "golden.json"
    record.write_text(json.dumps({"revision": "abc", "results": results}))
    flags = ("--golden-record", str(record))
    (number,) = numbers(report(*flags)[0], "CEN RefineNet-R101", "miou")
    assert number["verdict"] == "COMPONENT PARITY ONLY"
    write_cen("deviating", args={})
    (number,) = numbers(report(*flags)[0], "CEN RefineNet-R101", "miou")
    assert number["verdict_text"].startswith("NOT RUN (protocol differs: not recorded: enc, num_epoch")


def test_refused_and_uncounted_runs_are_listed_with_reasons(report, write_cen, write_run):
    write_cen("dirty", inside={"git.clean": False})
    write_cen("broken", state="failed", why="NaN loss")
    write_run("stranger")
    content, markdown, _, printed = report()
    assert "refused: " in printed
    assert [item["reason"] for item in content["refused"]] == [
        "state is failed: NaN loss",
        "no reported numbers of paper duet",
    ]
    assert [item["reason"] for item in content["papers"][0]["left_out"]] == ["uncommitted changes"]
    for reason in ("state is failed: NaN loss", "no reported numbers of paper duet", "uncommitted changes"):
        assert f"| {reason} |" in markdown


def test_provenance_names_what_stands_behind_a_run(report, five_seeds):
    content, markdown, _, _ = report()
    (line, *_) = content["papers"][0]["provenance"]
    assert (line["role"], line["seed"], line["revision"]) == ("trained", 42, "0123456789ab")
    for text in ("fp32, deterministic", "nyudv2 feedbeef", "Some GPU, 16 cores", "1 h 0 min", "python -m duet.main"):
        assert text in markdown


def test_page_is_self_contained_with_figures(report, five_seeds, standins):
    _, _, html, _ = report()
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in html
    assert "not the paper's results" in html.lower().replace("&#x27;", "'")


def test_unknown_paper_and_missing_folder_are_errors(tmp_path):
    with pytest.raises(UserError, match="--paper nobody: unknown, expected one of cen"):
        compare.main(["--paper", "nobody"])
    with pytest.raises(UserError, match="no such folder"):
        compare.main([str(tmp_path / "nowhere")])


def test_tradeoff_draws_each_data_set_with_its_own_numbers(monkeypatch):
    """DynMM-a stands in both of its paper's tables, with other costs."""
    drawn = {}
    monkeypatch.setattr(figures, "_png", lambda figure: figure)
    one = comparison.compare(load(FOLDER / "dynmm.yaml"), [])
    for metric in ("f1_macro", "acc2"):
        figure = figures.draw_tradeoff(one.numbers, (), one.metrics["madds"], one.metrics[metric], "title")
        drawn[metric] = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines]
    assert [1.6, 48.84] in drawn["f1_macro"]
    assert [165.5, 79.07] in drawn["acc2"]
    assert (len(drawn["f1_macro"]), len(drawn["acc2"])) == (9, 8)


def test_tradeoff_without_a_point_is_no_figure():
    one = comparison.compare(load(FOLDER / "dynmm.yaml"), [])
    assert figures.draw_tradeoff((), (), one.metrics["madds"], one.metrics["acc2"], "title") is None
