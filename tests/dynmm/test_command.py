"""DynMM's six commands as users call them: records, files for the next stage, pictures, quirks, repetitions."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dynmm.modality.networks.checkpoints import MADE_BY
from reproductions.report.runs import read_run
from tests.support.dynmm_runs import SCRIPTS, final, log_lines, metrics, run
from tests.support.run_folders import facts

DYNAMIC = {"imdb_dyn": "imdb", "affect_dyn": "mosei"}


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    """Run folders of all six scripts, with their own log folder."""
    folder = tmp_path_factory.mktemp("finished")
    log = ["--log-dir", str(folder / "log")]
    for script in SCRIPTS:
        run(script, inputs, folder / script, *log, *(["--fuse", "1"] if script == "imdb_mm" else []))
    return folder


@pytest.mark.parametrize("script", SCRIPTS)
def test_record_is_whole_for_the_comparison_and_has_both_protocols(finished, script):
    record = read_run(finished / script)
    assert set(record.finals) == {"official", "clean"}
    assert record.standin
    wanted = {"madds", "madds_measured", "task_loss"} | ({"share_e2", "flops"} if script in DYNAMIC else set())
    wanted |= {"f1_micro", "f1_macro"} if script.startswith("imdb") else {"acc2", "mae", "loss"}
    for scores in record.finals.values():
        assert scores.keys() >= wanted


@pytest.mark.parametrize("script", SCRIPTS)
def test_run_leaves_log_metrics_checkpoints_and_pictures(finished, script):
    found = {path.relative_to(finished / script).as_posix() for path in (finished / script).rglob("*.*")}
    pictures = ["curves", *(["gate_weights", "gate_share"] if script in DYNAMIC else [])]
    files = ["run.json", "log.txt", "metrics.jsonl", "checkpoints/last.pt", "checkpoints/best.pt"]
    assert found >= {*files, *(f"images/{name}.png" for name in pictures)}
    for name in pictures:
        assert np.asarray(Image.open(finished / script / "images" / f"{name}.png")).std() > 5


@pytest.mark.parametrize("script", SCRIPTS)
def test_last_line_is_the_one_that_the_docstring_shows(finished, script):
    documentation = (Path(__file__).resolve().parents[2] / "dynmm" / "modality" / f"{script}.py").read_text()
    last = re.sub(r"\d+\.\d+|nan", "..", log_lines(finished / script)[-1])
    assert f"\n    {last}\n" in documentation


def test_files_for_the_next_stage_have_the_published_names_and_say_what_made_them(finished):
    names = {path.relative_to(finished / "log").as_posix() for path in (finished / "log").rglob("*.pt")}
    experts = {"imdb/encoder_text.pt", "imdb/head_text.pt", "imdb/best_lf.pt", "mosei/lf_tran.pt"}
    experts |= {f"mosei/reg_transformer_{part}_text.pt" for part in ("encoder", "head")}
    networks = {"imdb/DynMMNet_freezeFalse_reg_0.1.pt", "mosei/dyn_enc_transformer_reg_0.0freezeFalse.pt"}
    assert names == experts | networks
    for name in names:
        content = torch.load(finished / "log" / name, weights_only=True)
        assert content["made_by"] == MADE_BY
        assert content["config"]["standin"] is True


def test_files_hold_the_epoch_that_the_validation_set_selected(finished):
    best = torch.load(finished / "imdb_mm" / "checkpoints" / "best.pt", weights_only=True)
    kept = torch.load(finished / "log" / "imdb" / "best_lf.pt", weights_only=True)
    assert all(torch.equal(kept["state"][name], value) for name, value in best["model"].items())
    valid = [line["f1_macro"] for line in metrics(finished / "imdb_mm", "valid")]
    assert best["epoch"] == int(np.argmax(valid)) == final(finished / "imdb_mm")["epoch"]


@pytest.mark.parametrize("script", DYNAMIC)
def test_dynamic_run_records_the_experts_that_it_started_from(finished, script):
    weights = facts(finished / script)["weights"]
    assert len(weights["files"]) == 3
    assert all(len(entry["sha256"]) == 64 for entry in (weights, *weights["files"]))
    assert (weights["published"], weights["standin"]) == (False, True)
    assert facts(finished / script)["files"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_eval_only_finds_the_files_and_gives_the_scores_of_the_training(inputs, finished, tmp_path, script):
    more = ["--fuse", "1"] if script == "imdb_mm" else []
    run(script, inputs, tmp_path, *more, "--log-dir", str(finished / "log"), "--eval-only")
    again, before = final(tmp_path, "checkpoint"), final(finished / script)
    same = [name for name in before if name not in ("epoch", "protocol")]
    assert {name: again[name] for name in same} == {name: before[name] for name in same}
    record = facts(tmp_path)
    assert (record["evaluate"], record["checkpoint"]["ours"]) == (True, True)


@pytest.mark.parametrize("script", DYNAMIC)
def test_needs_of_the_stand_in_are_recorded(finished, script):
    scores = final(finished / script)
    assert 0 <= scores["share_e2_needs_text"] <= 1
    assert 0 <= scores["share_e2_needs_all"] <= 1


def test_quirk_gate_in_test_sets_a_hard_gate_on_a_softly_trained_network(inputs, finished, tmp_path):
    official, clean = (final(finished / "imdb_dyn", protocol) for protocol in ("official", "clean"))
    assert official["madds"] == pytest.approx(official["flops"])  # hard: one expert a film
    assert clean["madds"] > official["madds"]  # soft: both run
    assert clean["weight_e2"] != official["weight_e2"]
    run(
        "imdb_dyn",
        inputs,
        tmp_path,
        "--log-dir",
        str(finished / "log"),
        "--eval-only",
        "--quirk",
        "gate_in_test=trained",
    )
    assert final(tmp_path, "checkpoint")["weight_e2"] == clean["weight_e2"]


def test_affect_dyn_is_tested_with_the_gate_that_was_trained(inputs, finished, tmp_path):
    assert 0 < final(finished / "affect_dyn")["weight_e2"] < 1
    log = ["--log-dir", str(tmp_path / "log"), "--expert1", f"{inputs}/log/mosei/reg_transformer_encoder_text.pt"]
    log += ["--expert2", f"{inputs}/log/mosei/lf_tran.pt"]
    run("affect_dyn", inputs, tmp_path / "hard", *log, "--hard-gate", "--lr", "1e-6")
    hard = final(tmp_path / "hard")
    assert hard["weight_e2"] == pytest.approx(hard["share_e2"])
    run("affect_dyn", inputs, tmp_path / "eval", *log, "--eval-only")  # the file knows that the gate is hard
    assert final(tmp_path / "eval", "checkpoint")["mae"] == pytest.approx(hard["mae"])


def test_real_gating_changes_no_score_of_a_test(inputs, finished, tmp_path):
    flags = ["--log-dir", str(finished / "log"), "--eval-only"]
    for real_gating in ("inference", "never"):
        run("imdb_dyn", inputs, tmp_path / real_gating, *flags, "--real-gating", real_gating)
    routed, mixed = (final(tmp_path / name, "checkpoint") for name in ("inference", "never"))
    assert routed["f1_macro"] == pytest.approx(mixed["f1_macro"])
    assert routed["madds_measured"] < mixed["madds_measured"]


@pytest.mark.parametrize(("mode", "share"), [("1", 0.0), ("2", 1.0)])
def test_forced_expert_scores_what_that_expert_scores(inputs, finished, tmp_path, mode, share):
    flags = ["--eval-only", "--freeze", "--log-dir", str(tmp_path / "log")]
    experts = ["--expert1", f"{finished}/log/imdb/encoder_text.pt", "--expert2", f"{finished}/log/imdb/best_lf.pt"]
    run("imdb_dyn", inputs, tmp_path / "train", *flags[1:], *experts, "--lr", "0", "--quirk", "frozen_mode=eval")
    run("imdb_dyn", inputs, tmp_path / "forced", *flags, "--infer-mode", mode)
    alone = final(finished / ("imdb_uni" if mode == "1" else "imdb_mm"))
    forced = final(tmp_path / "forced", "checkpoint")
    assert forced["f1_macro"] == pytest.approx(alone["f1_macro"])
    assert forced["share_e2"] == share


def test_repetitions_have_seeds_and_folders_of_their_own_and_one_summary(inputs, tmp_path):
    run(
        "affect_uni",
        inputs,
        tmp_path,
        "--n-runs",
        "2",
        "--seed",
        "7",
        "--n-epochs",
        "1",
        "--log-dir",
        f"{tmp_path}/log",
    )
    folders = [tmp_path / "seed_7", tmp_path / "seed_8"]
    assert [facts(folder)["seed"] for folder in folders] == [7, 8]
    losses = [final(folder)["loss"] for folder in folders]
    assert losses[0] != losses[1]
    assert f"Loss {np.mean(losses):.4f} ± {np.std(losses):.2f}" in log_lines(folders[1])
    assert len([line for line in log_lines(folders[0]) if line.startswith("Test Accuracy")]) == 1


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("imdb_uni", ["--mod", "1", "--measure"]),
        ("imdb_mm", ["--fuse", "0"]),
        ("imdb_mm", ["--fuse", "2", "--quirk", "lrtf=official"]),
        ("imdb_mm", ["--fuse", "3", "--max-steps", "2"]),
        ("imdb_dyn", ["--no-pretrain", "--hard", "--real-gating", "always", "--infer-mode", "-1"]),
        ("affect_uni", ["--mod", "0", "--enc", "gru"]),
        ("affect_uni", ["--clf", "--quirk", "padding=masked"]),
        ("affect_mm", ["--fusion", "1"]),
        ("affect_mm", ["--fusion", "4"]),
        ("affect_mm", ["--fusion", "5", "--quirk", "corr=scores"]),
        ("affect_dyn", ["--temp", "0.5", "--infer-mode", "-1", "--measure", "--quirk", "loss_scale=official"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_flags_train_to_finite_scores(inputs, tmp_path, script, flags):
    log = [] if script == "affect_dyn" else ["--log-dir", str(tmp_path / "log")]
    run(script, inputs, tmp_path, *flags, *log, "--n-epochs", "1")
    record = facts(tmp_path)
    assert record["state"] == "finished"
    scores = final(tmp_path)
    assert all(np.isfinite(value) for value in scores.values() if isinstance(value, float))
    assert ("ms_per_sample" in scores) == ("--measure" in flags)
    assert record["shortened"] == ("--max-steps" in flags)


def test_experts_under_their_copied_names_are_found(own_inputs, tmp_path):
    folder = own_inputs / "log" / "mosei"
    for name, prefix in (
        ("reg_transformer_encoder_text", "b1_"),
        ("reg_transformer_head_text", "b1_"),
        ("lf_tran", "b2_"),
    ):
        (folder / f"{name}.pt").rename(folder / f"{prefix}{name}.pt")
    run("affect_dyn", own_inputs, tmp_path / "run", "--n-epochs", "1")
    assert "b2_lf_tran.pt" in facts(tmp_path / "run")["weights"]["file"]


@pytest.mark.gpu
@pytest.mark.parametrize("script", DYNAMIC)
def test_trains_on_a_gpu(inputs, tmp_path, script):
    run(script, inputs, tmp_path, "--gpu", "0", "--hard-gate", "--freeze", "--reg", "0.9")
    assert facts(tmp_path)["device"]["type"] == "cuda"
