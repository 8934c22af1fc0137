"""The table scripts run the commands that reported/*.yaml states, for every seed, and take up finished runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reproductions.report.reported import load_all
from reproductions.report.selection import same_value
from row_flags import parsed

ROOT = Path(__file__).resolve().parent.parent.parent
PAPERS = {paper.name: paper for paper in load_all()}

TABLES = {
    "table1_cen.sh": ["ablation_private_bn", "ablation_l1", "cen_r101"],
    "table2_cen.sh": ["refinenet_r101_rgb", "refinenet_r101_depth", "cen_r101", "cen_r152"],
    "main_ucrn.sh": ["mosei_unaligned", "mosei_aligned", "mosi_unaligned", "mosi_aligned"],
    "ablation_ucrn.sh": [
        *("mosei_unaligned", "without_urm", "without_mjs", "without_sqil", "without_crm", "true_js"),
        *("language", "audio", "vision", "language_audio", "language_vision", "audio_vision"),
    ],
    "robustness_ucrn.sh": ["robust", "robust_without_mjs", "robust_true_js"],
    "main_xnorm.sh": ["rgb", "flow", "early", "late", "misa", "mult", "gb", "xnorm"],
    "emotion_xnorm.sh": [f"emotion_{fusion}" for fusion in ("text", "audio", "early", "late", "mult", "xnorm")],
    "table1_dynmm.sh": [
        *("image_network", "text_network", "early_fusion_imdb", "late_fusion", "lrtf", "mi_matrix"),
        *(f"dynmm_imdb_reg_{reg}" for reg in ("0.01", "0.1", "0.3", "1")),
        "dynmm_imdb_soft",
    ],
    "table2_dynmm.sh": [
        *("video_network", "audio_network", "text_network_mosei", "early_fusion", "late_fusion_mosei"),
        *(f"dynmm_mosei_reg_{reg}" for reg in ("0.01", "0.1", "0.3", "1")),
    ],
}


def script(name, *options):
    """Run a script in the environment of these tests."""
    environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    arguments = ["bash", str(ROOT / "reproductions" / name), *options]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd="/", check=False)


def commands(table, *options):
    """(row, its parsed flags) of every run that the table would start."""
    done = script(table, "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("+ ") for line in done.stdout.splitlines() if "--run-dir" in line]
    return [(args.row, args) for args in map(parsed, lines)]


def rows_of(table):
    return PAPERS[table.removesuffix(".sh").split("_")[1]].rows


@pytest.mark.parametrize("table", TABLES)
def test_rows_have_the_flags_of_their_protocol(table):
    found = commands(table, "--data", "/data/elsewhere")
    assert [row for row, _ in found] == TABLES[table]
    for row, args in found:
        flags, protocol = vars(args), rows_of(table)[row].protocol
        assert {flag: flags[flag] for flag in protocol if not same_value(flags[flag], protocol[flag])} == {}
        assert any(str(value).startswith("/data/elsewhere") for value in flags.values())
        assert args.resume == "auto"


def test_each_seed_has_a_folder_of_its_own():
    found = commands("table2_cen.sh", "--rows", "cen_r101", "--seeds", "3", "--runs", "somewhere", "--gpu", "0", "1")
    assert [args.random_seed for _, args in found] == [42, 43, 44]
    assert [str(args.run_dir) for _, args in found] == [f"somewhere/cen_r101/seed_{seed}" for seed in (42, 43, 44)]
    assert all(args.gpu == [0, 1] for _, args in found)


def test_seeds_start_with_the_published_one():
    found = commands("main_ucrn.sh", "--rows", "mosi_aligned", "--seeds", "2")
    assert [(args.seed, args.name) for _, args in found] == [(1234, "mosi_aligned"), (1235, "mosi_aligned")]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_row_of_a_paper_that_a_command_runs_is_in_a_table(paper):
    tables = [rows for table, rows in TABLES.items() if table.endswith(f"_{paper}.sh")]
    assert {row for rows in tables for row in rows} == set(PAPERS[paper].rows)


@pytest.mark.parametrize("table", [table for table in TABLES if table.endswith("_cen.sh")])
def test_standin_of_cen_keeps_what_makes_the_row_and_validates_the_last_epoch_of_each_stage(table):
    for row, args in commands(table, "--standin"):
        protocol = rows_of(table)[row].protocol
        for flag in ("input", "bn_threshold"):
            assert same_value(vars(args)[flag], protocol[flag])
        assert (args.lamda == 0) == (protocol["lamda"] == 0)
        assert args.train_dir == args.val_dir == "data/standins/nyudv2"
        assert all(epochs % args.val_every == 0 for epochs in args.num_epoch)


@pytest.mark.parametrize("table", [table for table in TABLES if table.endswith("_ucrn.sh")])
def test_standin_of_ucrn_keeps_what_makes_the_row(table):
    smaller = {"nlevels", "num_epochs", "when"}
    for row, args in commands(table, "--standin"):
        flags, protocol = vars(args), rows_of(table)[row].protocol
        assert {flag for flag in protocol if not same_value(flags[flag], protocol[flag])} == smaller
        assert str(args.data_path) == f"data/standins/ucrn/{rows_of(table)[row].dataset}"


@pytest.mark.parametrize("table", [table for table in TABLES if table.endswith("_dynmm.sh")])
def test_standin_of_dynmm_keeps_what_makes_the_row(table):
    smaller = {"narrow", "n_epochs", "lr"}
    for row, args in commands(table, "--standin"):
        flags, protocol = vars(args), rows_of(table)[row].protocol
        assert {flag for flag in protocol if not same_value(flags[flag], protocol[flag])} <= smaller


def test_dynamic_rows_find_the_experts_of_their_own_seed():
    found = commands("table1_dynmm.sh", "--rows", "late_fusion", "dynmm_imdb_reg_0.1", "--seeds", "2", "--runs", "r")
    assert [(row, args.seed, str(args.log_dir)) for row, args in found] == [
        *(("late_fusion", seed, f"r/log/seed_{seed}") for seed in (0, 1)),
        *(("dynmm_imdb_reg_0.1", seed, f"r/log/seed_{seed}") for seed in (0, 1)),
    ]


@pytest.mark.parametrize(
    ("table", "smaller"),
    [
        (
            "main_xnorm.sh",
            "d_1 d_2 num_frames num_epochs batch_size learning_rate patience num_gb_epochs narrow crop_size",
        ),
        ("emotion_xnorm.sh", "width layers exchange learning_rate num_epochs patience"),
    ],
)
def test_standin_of_xnorm_keeps_what_makes_the_row(table, smaller):
    for row, args in commands(table, "--standin"):
        flags, protocol = vars(args), rows_of(table)[row].protocol
        assert {flag for flag in protocol if not same_value(flags[flag], protocol[flag])} == set(smaller.split())
        assert "data/standins" in str(flags.get("data", flags.get("data_root")))


@pytest.mark.parametrize("options", [["--rows", "nothing"], ["--what"], ["--seeds"]])
def test_unknown_row_or_option_is_an_error(options):
    assert script("table2_cen.sh", "--dry-run", *options).returncode != 0
