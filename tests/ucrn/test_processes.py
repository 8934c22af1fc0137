"""UCRN in two processes on the CPU (gloo): they train and score what one process trains and scores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common.datasets.cmu_mosei.standin import write_cmu_mosei
from common.pickles import load_arrays_pickle, save_arrays_pickle
from tests.support.run_folders import checkpoint, facts, finals, metrics
from tests.support.ucrn_runs import LENGTHS, command, log_lines
from ucrn.main import main

HERE = Path(__file__).parent
RATES = ("attn_dropout", "relu_dropout", "embed_dropout", "res_dropout", "out_dropout")
STILL = [word for rate in RATES for word in (f"--{rate}", "0")]  # every process drops out on its own
RUNS = {
    "even": [*STILL],
    "uneven": [*STILL, "--batch_size", "9", "--jsd", "--temp_proj", "2", "--robustness"],
    "two modalities": ["--quirk", "select_on=valid_loss", "--log_interval", "1"],
    "bad flag": ["--num_heads", "4"],
    "lone last clip": ["--batch_size", "23", "--num_epochs", "1"],
}


@pytest.fixture(scope="module")
def together(data, tmp_path_factory):
    """The folder of all RUNS, and of runs on other data, by two processes; and their exit statuses."""
    folder = tmp_path_factory.mktemp("processes")
    lines = {
        name: command(data, folder / name, *flags, active="la" if name == "two modalities" else "lav")
        for name, flags in RUNS.items()
    }
    write_cmu_mosei(folder / "few", samples=2, lengths=LENGTHS)  # one clip to validate
    lines["few clips"] = command(folder / "few", folder / "few clips", "--num_epochs", "1", "--batch_size", "2")
    narrow = folder / "narrow"
    narrow.mkdir()
    content = load_arrays_pickle(data / "mosei_senti_data_noalign.pkl")
    for split in content.values():
        split["text"] = split["text"][:, :, :30].copy()
    save_arrays_pickle(content, narrow / "mosei_senti_data_noalign.pkl")
    lines["own width"] = command(narrow, folder / "own width", "--num_epochs", "1")
    best = folder / "even" / "checkpoints" / "best.pt"
    shown = ["--visualize", "--resume", str(best), "--vis_dir", str(folder / "arrays")]
    lines["test mode"] = command(data, folder / "test mode", *shown)
    (folder / "runs.json").write_text(json.dumps(list(lines.values())))
    paths = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ucrn_two_processes", str(folder / "runs.json")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses = dict(zip(lines, map(json.loads, done.stdout.splitlines()), strict=True))
    return folder, statuses, done.stderr


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory, no_pictures):
    """Runs one of RUNS in this process; returns its folder."""

    def run(name):
        folder = tmp_path_factory.mktemp("alone")
        main(command(data, folder, *RUNS[name]))
        return folder

    return run


def numbers(entry):
    return {key: value for key, value in entry.items() if not isinstance(value, str)}


@pytest.mark.parametrize("name", ["even", "uneven", "two modalities", "test mode"])
def test_two_processes_write_one_finished_run(together, name):
    folder, statuses, errors = together
    assert statuses[name] == [0, 0], errors
    assert facts(folder / name)["state"] == "finished"
    assert facts(folder / name)["device"]["processes"] == 2
    assert sum(line.startswith("parameters:") for line in log_lines(folder / name)) == 1


@pytest.mark.parametrize("name", ["even", "uneven"])
def test_two_processes_train_and_score_like_one(together, alone, name):
    one, two = alone(name), together[0] / name
    for split in ("train", "train_eval", "valid", "test"):
        for mine, theirs in zip(metrics(one, split), metrics(two, split), strict=True):
            assert numbers(mine) == pytest.approx(numbers(theirs), rel=1e-3, abs=1e-3, nan_ok=True)
    ours, others = finals(one), finals(two)
    for protocol in ("official", "clean"):
        assert numbers(ours[protocol]) == pytest.approx(numbers(others[protocol]), rel=1e-3, abs=1e-3)
    for key, value in checkpoint(one)["model"].items():
        if "in_proj_bias" not in key:  # key biases have no gradient but rounding, which Adam enlarges
            torch.testing.assert_close(value, checkpoint(two)["model"][key], rtol=0, atol=2e-3)


def test_every_clip_is_scored_once_and_in_the_files_order(together, data, tmp_path, no_pictures):
    folder = together[0]
    best = folder / "even" / "checkpoints" / "best.pt"
    argv = command(data, tmp_path / "run", "--visualize", "--resume", str(best), "--vis_dir", str(tmp_path / "arrays"))
    main(argv)
    lines, others = (
        (path / "UCRN" / "predictions.csv").read_text().splitlines()
        for path in (tmp_path / "arrays", folder / "arrays")
    )
    assert len(lines) == len(others) == 1 + 24
    for one, other in zip(lines[1:], others[1:], strict=True):
        assert one.split(",")[:4] == other.split(",")[:4]
        assert float(one.split(",")[4]) == pytest.approx(float(other.split(",")[4]), abs=1e-5)
    (mine,), (theirs,) = (finals(path).values() for path in (tmp_path / "run", folder / "test mode"))
    assert numbers(mine) == pytest.approx(numbers(theirs), rel=1e-5)


def test_both_selections_are_made_of_the_whole_sets_scores(together):
    folder = together[0] / "two modalities"
    scores, losses = (
        [entry[key] for entry in metrics(folder, split)] for split, key in (("test", "has0_f1"), ("valid", "loss"))
    )
    assert finals(folder)["official"]["epoch_selected"] == 1 + scores.index(max(scores))
    assert finals(folder)["clean"]["epoch_selected"] == 1 + losses.index(min(losses))
    assert checkpoint(folder, "best.pt")["epoch"] == finals(folder)["clean"]["epoch_selected"]


def test_random_states_of_both_processes_are_kept_and_differ(together):
    first, second = checkpoint(together[0] / "even")["ours"]["random"]
    assert not torch.equal(first["cpu"], second["cpu"])


def test_last_batch_too_small_to_share_is_left_out(together):
    folder, statuses, errors = together
    assert statuses["lone last clip"] == [0, 0], errors
    assert len(metrics(folder / "lone last clip", "train")) == 1


def test_bad_flag_is_one_line_of_the_first_process(together):
    folder, statuses, errors = together
    assert statuses["bad flag"] == [2, 2]
    assert errors.count("error: --num_heads 4: expected a divisor of 30") == 1
    assert not (folder / "bad flag").exists()


def test_split_of_fewer_clips_than_processes_is_scored(together):
    _, statuses, errors = together
    assert statuses["few clips"] == [0, 0], errors


def test_features_of_the_networks_own_width_train(together):
    _, statuses, errors = together
    assert statuses["own width"] == [0, 0], errors
