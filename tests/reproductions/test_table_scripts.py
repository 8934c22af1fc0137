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


def commands(*options):
    """(row, its parsed flags) of every run that Table 2 would start."""
    done = script("table2_cen.sh", "--dry-run", *options)
    assert done.returncode == 0, done.stderr
    prefix = "+ python -m cen.semantic_segmentation.main "
    lines = [line.removeprefix(prefix) for line in done.stdout.splitlines() if line.startswith(prefix)]
    parsed = [resolve(parser().parse_args(shlex.split(line))) for line in lines]
    return [(args.row, args) for args in parsed]


def test_rows_have_the_flags_of_their_protocol():
    found = commands("--data", "/data/elsewhere")
    assert [row for row, _ in found] == ["refinenet_r101_rgb", "refinenet_r101_depth", "cen_r101", "cen_r152"]
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


def test_standin_keeps_what_makes_the_row_and_validates_the_last_epoch_of_each_stage():
    for row, args in commands("--standin"):
        protocol = CEN.rows[row].protocol
        for flag in ("input", "lamda", "bn_threshold"):
            assert same_value(vars(args)[flag], protocol[flag])
        assert args.train_dir == args.val_dir == "data/standins/nyudv2"
        assert all(epochs % args.val_every == 0 for epochs in args.num_epoch)


@pytest.mark.parametrize("options", [["--rows", "nothing"], ["--what"], ["--seeds"]])
def test_unknown_row_or_option_is_an_error(options):
    assert script("table2_cen.sh", "--dry-run", *options).returncode != 0
