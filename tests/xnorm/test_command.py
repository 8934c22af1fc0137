"""X-Norm's command as users call it: records, checkpoints, pictures, quirks, evaluation."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reproductions.report.runs import read_run
from tests.support.run_folders import checkpoint, facts, finals, metrics
from tests.support.xnorm_runs import command, log_lines, settings_of
from xnorm.main import main
from xnorm.models import METHODS, build_model

MAIN = Path(__file__).resolve().parents[2] / "xnorm" / "main.py"
NARROW_FLAGS = ("--narrow", "64", "--hidden_size", "8")
FUSIONS = tuple(METHODS)


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    """Run folders of all methods, with FOLDER/published as their --ckpt_path."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "published").mkdir()
    for fusion in FUSIONS:
        main(command(inputs, folder / fusion, fusion, "--ckpt_path", str(folder / "published")))
    return folder


@pytest.mark.parametrize("fusion", FUSIONS)
def test_record_is_whole_for_the_comparison_and_has_both_protocols(finished, fusion):
    record = read_run(finished / fusion)
    assert set(record.finals) == {"official", "clean"}
    assert record.standin
    for scores in record.finals.values():
        assert scores.keys() >= {"loss", "acc", "ua", "macro_f1", "majority", "rows", "recall_take"}
    dataset = facts(finished / fusion)["dataset"]
    assert (dataset["name"], dataset["samples"], dataset["standin"]) == ("epic_kitchens", [16, 8, 8], True)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_last_lines_are_those_that_the_docstring_shows(finished, fusion):
    text = MAIN.read_text()
    for line in log_lines(finished / fusion)[-2:]:
        shown = re.sub(r"(acc|macro_f1|loss) [\d.]+", r"\1 ..", line)
        shown = re.sub(r"\d+ of \d+", ".. of ..", re.sub(r"epoch \d+", "epoch ..", shown))
        assert f"\n    {shown}\n" in text
        assert f"\n    {shown}\n" in (MAIN.parent / "README.md").read_text()


def test_official_rows_are_whole_batches_and_clean_ones_all(finished):
    for fusion, rows in (("xnorm", 6), ("gb", 8)):
        scores = finals(finished / fusion)
        assert (scores["official"]["rows"], scores["clean"]["rows"]) == (rows, 8)


def test_weights_of_the_record_name_both_files(finished):
    both, one = (facts(finished / fusion)["weights"] for fusion in ("xnorm", "flow"))
    assert [Path(file).name for file in both["file"].split(", ")] == ["rgb_imagenet.pt", "flow_imagenet.pt"]
    assert one["file"].endswith("flow_imagenet.pt")
    assert all(len(digest) == 64 for digest in both["sha256"].split(", "))
    assert (both["published"], both["standin"]) == (False, True)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_checkpoints_hold_the_published_names_and_the_selected_epoch(finished, fusion):
    best = checkpoint(finished / fusion, "best.pt")
    settings = settings_of(fusion, *NARROW_FLAGS, "--batch_size", "6")
    assert list(best["model"]) == list(build_model(fusion, settings.sizes).state_dict())
    assert best["epoch"] == finals(finished / fusion)["official"]["epoch"]
    published = torch.load(finished / "published" / f"{settings.name}.pt", weights_only=True)
    assert set(published) == {"model"}
    assert all(torch.equal(published["model"][name], value) for name, value in best["model"].items())


@pytest.mark.parametrize("fusion", ["xnorm", "gb", "misa"])
def test_run_leaves_pictures(finished, fusion):
    found = {path.stem for path in (finished / fusion / "images").iterdir()}
    assert found == {"curves", "confusion", *(["exchange"] if fusion == "xnorm" else [])}
    for name in found:
        assert np.asarray(Image.open(finished / fusion / "images" / f"{name}.png")).std() > 5


def test_exchange_is_recorded_for_every_level_and_direction(finished):
    lines = metrics(finished / "xnorm", "exchange")
    assert [line["epoch"] for line in lines] == [1, 2]
    wanted = {
        f"{kind}_{stream}_l{level}" for kind in ("gamma", "beta") for stream in ("rgb", "flow") for level in (1, 2, 3)
    }
    for line in lines:
        assert line.keys() - {"epoch", "split"} == wanted
        assert all(line[name] > 0 for name in wanted)
    assert metrics(finished / "late", "exchange") == []


def test_terms_of_the_losses_are_recorded(finished):
    assert metrics(finished / "misa", "train")[0].keys() >= {"loss", "cross_entropy", "diff", "recon", "cmd", "lr"}
    blended = metrics(finished / "gb", "train")[0]
    weights = metrics(finished / "gb", "blending")[0]
    names = {"rgb": "cross_entropy_rgb", "flow": "cross_entropy_flow", "joint": "cross_entropy"}
    total = sum(weights[head] * blended[name] for head, name in names.items())
    assert blended["loss"] == pytest.approx(total, rel=1e-5)


def test_frozen_encoders_keep_their_weights_and_follow_the_statistics_unless_told(inputs, finished, tmp_path):
    main(command(inputs, tmp_path / "eval", "mult", "--quirk", "frozen_bn=eval"))
    start = torch.load(inputs / "i3d" / "rgb_imagenet.pt", weights_only=True)
    for folder, follows in ((finished / "mult", True), (tmp_path / "eval", False)):
        state = checkpoint(folder)["model"]
        same = {name: torch.equal(state[f"rgb_enc.{name}"], value) for name, value in start.items()}
        assert all(same[name] for name in same if "running" not in name and "tracked" not in name)
        moved = {name for name in same if not same[name]}
        assert ("Mixed_5c.b0.bn.running_mean" in moved) == follows


@pytest.mark.parametrize("quirk", ["mult_readout=last", "crop=shared", "flip_u=fixed"])
def test_quirk_changes_the_training(inputs, finished, tmp_path, quirk, no_pictures):
    main(command(inputs, tmp_path / "run", "mult", "--quirk", quirk))
    assert facts(tmp_path / "run")["quirks"][quirk.split("=")[0]] == quirk.split("=")[1]
    losses = [metrics(folder, "train")[-1]["loss"] for folder in (finished / "mult", tmp_path / "run")]
    assert losses[0] != losses[1]


def test_quirk_eval_last_keeps_the_last_rows_of_the_validation_too(inputs, finished, tmp_path, no_pictures):
    main(command(inputs, tmp_path / "run", "mult", "--quirk", "eval_last=kept"))
    scores = finals(tmp_path / "run")
    assert scores["official"]["rows"] == scores["clean"]["rows"] == 8
    valid = [metrics(folder, "valid")[0]["loss"] for folder in (finished / "mult", tmp_path / "run")]
    assert valid[0] != valid[1]
    assert metrics(finished / "mult", "train")[0] == metrics(tmp_path / "run", "train")[0]


@pytest.mark.parametrize("source", ["best.pt", "published"])
def test_evaluation_of_a_checkpoint_gives_the_scores_of_its_run(inputs, finished, tmp_path, source, no_pictures):
    best = finished / "mult" / "checkpoints" / "best.pt"
    path = best if source == "best.pt" else finished / "published" / "mult.pt"
    main(command(inputs, tmp_path / "run", "mult", "--evaluate", "--resume", str(path)))
    again, before = finals(tmp_path / "run")["checkpoint"], finals(finished / "mult")["official"]
    assert {**again, "epoch": None} == {**before, "epoch": None}
    record = facts(tmp_path / "run")
    assert (record["evaluate"], record["checkpoint"]["ours"]) == (True, source == "best.pt")
    assert record["dataset"]["samples"] == [8]


def test_equal_seeds_give_equal_runs_and_others_do_not(inputs, finished, tmp_path, no_pictures):
    main(command(inputs, tmp_path / "same", "mult"))
    assert (tmp_path / "same" / "metrics.jsonl").read_text() == (finished / "mult" / "metrics.jsonl").read_text()
    main(command(inputs, tmp_path / "other", "mult", "--seed", "1"))
    assert metrics(tmp_path / "other", "train")[0]["loss"] != metrics(finished / "mult", "train")[0]["loss"]


def test_cache_changes_no_number(inputs, finished, tmp_path, no_pictures):
    main(command(inputs, tmp_path / "run", "mult", "--cache", str(tmp_path / "cache")))
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == (finished / "mult" / "metrics.jsonl").read_text()
    assert any((tmp_path / "cache").rglob("*.npy"))


def test_compiled_training_gives_the_same_numbers(inputs, finished, tmp_path, no_pictures, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # traced, not made into C++
    main(command(inputs, tmp_path / "run", "rgb", "--compile"))
    losses = [metrics(folder, "train")[-1]["loss"] for folder in (finished / "rgb", tmp_path / "run")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_other_ways_to_run(inputs, tmp_path, no_pictures):
    flags = ["--max-steps", "1", "--pretrained", "false", "--channels-last", "--num_epochs", "1"]
    main(command(inputs, tmp_path / "run", "mult", *flags, "--num_frames", "17"))
    record = facts(tmp_path / "run")
    assert (record["state"], record["shortened"], record["weights"]) == ("finished", True, None)


def test_early_stopping_ends_the_run(inputs, tmp_path, no_pictures):
    flags = ["--learning_rate", "0", "--num_epochs", "20", "--patience", "2", "--quirk", "frozen_bn=eval"]
    main(command(inputs, tmp_path / "run", "mult", *flags))
    assert len(metrics(tmp_path / "run", "valid")) == 3


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("fusion", "precision"), [("xnorm", "fp32"), ("xnorm", "bf16"), ("misa", "bf16"), ("gb", "fp32")]
)
def test_trains_on_a_gpu(inputs, tmp_path, fusion, precision, no_pictures):
    main(command(inputs, tmp_path / "run", fusion, "--gpu", "0", "--precision", precision))
    assert facts(tmp_path / "run")["device"]["type"] == "cuda"
