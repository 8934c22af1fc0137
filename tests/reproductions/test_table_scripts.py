"""The table scripts run the commands that reported/*.yaml states, for every seed, and take up finished runs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cen.semantic_segmentation.flags import parser, resolve
from reproductions.reported import FOLDER, load
from reproductions.selection import same_value

ROOT = Path(__file__).resolve().parent.parent.parent
CEN = load(FOLDER / "cen.yaml")


def script(name, *options):
    """Run a script in the environment of these tests."""
    environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    arguments = ["bash", str(ROOT / "reproductions" / name), *options]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd="/", check=False)


def commands(*options, table="table2_cen.sh"):
    """(row, its parsed flags) of every run that the table would start."""
    done = script(table, "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    prefix = "+ python -m cen.semantic_segmentation.main "
    lines = [line.removeprefix(prefix) for line in done.stdout.splitlines() if line.startswith(prefix)]
    parsed = [resolve(parser().parse_args(shlex.split(line))) for line in lines]
    return [(args.row, args) for args in parsed]


ROWS = {
    "table1_cen.sh": ["ablation_private_bn", "ablation_l1", "cen_r101"],
    "table2_cen.sh": ["refinenet_r101_rgb", "refinenet_r101_depth", "cen_r101", "cen_r152"],
}


@pytest.mark.parametrize("table", ROWS)
def test_rows_have_the_flags_of_their_protocol(table):
    found = commands("--data", "/data/elsewhere", table=table)
    assert [row for row, _ in found] == ROWS[table]
    for row, args in found:
        flags, protocol = vars(args), CEN.rows[row].protocol
        assert {flag: flags[flag] for flag in protocol if not same_value(flags[flag], protocol[flag])} == {}
        assert args.train_dir == args.val_dir == "/data/elsewhere"
        assert args.resume == "auto"


def test_each_seed_has_a_folder_of_its_own():
    found = commands("--rows", "cen_r101", "--seeds", "3", "--runs", "somewhere", "--gpu", "0", "1")
    assert [args.random_seed for _, args in found] == [42, 43, 44]
    assert [str(args.run_dir) for _, args in found] == [f"somewhere/cen_r101/seed_{seed}" for seed in (42, 43, 44)]
    assert all(args.gpu == [0, 1] for _, args in found)


def test_every_row_of_the_paper_that_a_command_runs_is_in_a_table():
    assert {row for rows in ROWS.values() for row in rows} == set(CEN.rows)


@pytest.mark.parametrize("table", ROWS)
def test_standin_keeps_what_makes_the_row_and_validates_the_last_epoch_of_each_stage(table):
    for row, args in commands("--standin", table=table):
        protocol = CEN.rows[row].protocol
        for flag in ("input", "bn_threshold"):
            assert same_value(vars(args)[flag], protocol[flag])
        assert (args.lamda == 0) == (protocol["lamda"] == 0)
        assert args.train_dir == args.val_dir == "data/standins/nyudv2"
        assert all(epochs % args.val_every == 0 for epochs in args.num_epoch)


@pytest.mark.parametrize("options", [["--rows", "nothing"], ["--what"], ["--seeds"]])
def test_unknown_row_or_option_is_an_error(options):
    assert script("table2_cen.sh", "--dry-run", *options).returncode != 0
