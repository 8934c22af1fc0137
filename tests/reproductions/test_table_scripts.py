"""The table scripts run the commands that their rows declare, for every seed, and take up finished runs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from types import SimpleNamespace

import pytest

from reproductions.report.reported import load_all
from reproductions.report.rows import settings_of
from reproductions.report.selection import same_value

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
    found = []
    for line in done.stdout.splitlines():
        python, dash_m, module, *flags = shlex.split(line)
        assert (python, dash_m) == ("python", "-m")
        if module != "common.standins":
            args = SimpleNamespace(**settings_of(module, tuple(flags)))
            found.append((args.row, args))
    return found


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
        assert {flags[flag] for flag in ("ckpt", "name") if flags.get(flag)} <= {row}


def test_each_seed_has_a_folder_of_its_own():
    found = commands("table2_cen.sh", "--rows", "cen_r101", "--seeds", "3", "--runs", "somewhere", "--gpu", "0", "1")
    assert [args.random_seed for _, args in found] == [42, 43, 44]
    assert [str(args.run_dir) for _, args in found] == [f"somewhere/cen_r101/seed_{seed}" for seed in (42, 43, 44)]
    assert all(list(args.gpu) == [0, 1] for _, args in found)


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


QUESTIONS = [[table, option] for table in TABLES for option in ("--help", "--list", "--dry-run")] + [["list.sh"]]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_questions_are_answered_in_a_second_without_an_environment(arguments, bare):
    before = getrusage(RUSAGE_CHILDREN)
    done = bare(*arguments)
    after = getrusage(RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert done.returncode == 0
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    assert done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "cen_r101", "nothing"], "--rows nothing: this table has refinenet_r101_rgb "),
        (["--rows"], "--rows: expected at least one value"),
        (["--what"], "--what: no such option"),
        (["--standin", "cen_r101"], "cen_r101: what is it for? --standin takes no value"),
        (["cen_r101"], "cen_r101: no such option"),
        (["--seeds"], "--seeds : expected a whole number"),
        (["--seeds", "five"], "--seeds five: expected a whole number of at least 1"),
        (["--seeds", "1", "2"], "--seeds 1 2: expected a whole number"),
        (["--jobs", "0"], "--jobs 0: expected a whole number"),
        (["--gpu", "cpu"], "--gpu cpu: expected the number of a device"),
        (["--data"], "--data : expected one value"),
    ],
)
def test_wrong_option_or_row_is_an_error_before_anything_is_made(options, message, bare):
    for more in ([], ["--dry-run"], ["--standin"]):
        done = bare("table2_cen.sh", *options, *more)
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {message}"), done.stderr
        assert done.stdout == ""


@pytest.fixture
def bare(tmp_path):
    """Run a script where nothing may be installed and no Python be run: what it calls to do so fails the test."""
    for name in ("python", "python3", "uv", "pip", "curl"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 99\n")
        (tmp_path / name).chmod(0o755)

    def call(name, *options):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
        arguments = ["bash", str(ROOT / "reproductions" / name), *options]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd="/", check=False)
        assert not (tmp_path / "called").exists()
        return done

    return call


def test_list_names_every_script_and_row(bare):
    lines = bare("list.sh").stdout.splitlines()
    assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == sorted(TABLES)
    for table, rows in TABLES.items():
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{table}: "))
        found = [line.split(maxsplit=1) for line in lines[at + 1 : at + 1 + len(rows)]]
        assert found == [[row, rows_of(table)[row].declared.shows] for row in rows]


def test_help_names_rows_and_options(bare):
    text = bare("table1_cen.sh", "--help").stdout
    assert text.startswith("Table 1 of CEN, NYUDv2: shared convolutions")
    assert "Rows: ablation_private_bn ablation_l1 cen_r101\n" in text
    assert all(
        f"  {option} " in text for option in ("--standin", "--seeds N", "--jobs N", "--dry-run", "--rows ID ...")
    )


def test_dry_run_is_whole_commands_that_a_shell_runs_as_they_are(tmp_path):
    """Stand-ins first, then the runs; a folder with a space in its name stays one word."""
    runs = tmp_path / "with space"
    done = script("table1_dynmm.sh", "--standin", "--dry-run", "--runs", str(runs), "--rows", "lrtf")
    (tmp_path / "python").write_text(f'#!/bin/sh\nfor word; do echo "<$word>"; done > {tmp_path}/words\n')
    (tmp_path / "python").chmod(0o755)
    lines = done.stdout.splitlines()
    making = [line for line in lines if not line.startswith("python -m dynmm")]
    assert lines[: len(making)] == making
    assert all(line.startswith("python -m common.standins mm_imdb ") for line in making)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["bash", "-c", lines[-1]], env=environment, check=True)
    words = (tmp_path / "words").read_text().splitlines()
    assert f"<{runs}/lrtf/seed_0>" in words
    assert words[:2] == ["<-m>", "<dynmm.modality.imdb_mm>"]


def test_dry_run_says_beside_the_commands_what_must_come_first(bare):
    done = bare("table1_dynmm.sh", "--dry-run", "--seeds", "2")
    assert done.stderr == "note: the lines behind line 12 start from results of lines before it\n"
    lines = done.stdout.splitlines()
    assert all(("imdb_dyn" in line) == (i >= 12) for i, line in enumerate(lines))


def test_each_job_has_one_device_in_turn(bare):
    done = bare("main_xnorm.sh", "--dry-run", "--gpu", "0", "3", "--jobs", "2", "--rows", "rgb", "flow", "early")
    assert [line.split("--gpu ")[1].split(" --")[0] for line in done.stdout.splitlines()] == ["0", "3", "0"]
