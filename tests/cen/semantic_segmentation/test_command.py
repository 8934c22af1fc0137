"""The command of CEN's segmentation as users call it: one and three streams, precisions, lists, pictures, records."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from cen.semantic_segmentation.main import main
from reproductions.report.reported import FOLDER, load
from reproductions.report.runs import read_run
from tests.support.run_folders import facts
from tests.support.segmentation_runs import command, log_lines

ROOT = Path(__file__).resolve().parents[3]
SHORT = ["--num-epoch", "1", "--lr-enc", "1e-3", "--lr-dec", "1e-3"]


def metrics(run_dir, split):
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]


def test_run_leaves_log_metrics_checkpoints_pictures_and_events(inputs, tmp_path):
    main(command(inputs, tmp_path, *SHORT))
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("events.")}
    pictures = {"exchange_channels.png", "exchange_share.png", "validation_epoch_0000.png"}
    assert found - events == {
        *("run.json", "log.txt", "metrics.jsonl", "checkpoints/last.pt", "checkpoints/best.pt"),
        *(f"images/{name}" for name in pictures),
    }
    assert len(events) == 1
    assert np.asarray(Image.open(tmp_path / "images" / "validation_epoch_0000.png")).std() > 20


def test_record_is_whole_for_the_comparison_and_ends_with_both_protocols(inputs, tmp_path):
    main(command(inputs, tmp_path, *SHORT, "--row", "cen_r101"))
    run = read_run(tmp_path)
    assert set(run.finals) == {"official", "clean"}
    assert run.standin
    assert set(load(FOLDER / "cen.yaml").metrics) >= {"pixel_acc", "mean_acc", "miou", "miou_rgb", "miou_depth"}
    assert run.finals["clean"].keys() >= {"pixel_acc", "mean_acc", "miou", "miou_rgb", "miou_depth"}


def test_last_lines_are_those_of_the_readme(inputs, tmp_path):
    main(command(inputs, tmp_path, *SHORT))
    lines = [re.sub(r"\d+(\.\d+)?", "..", line) for line in log_lines(tmp_path)[-2:]]
    readme = (ROOT / "cen" / "README.md").read_text()
    assert all(f"    {line}\n" in readme for line in lines), lines


@pytest.mark.parametrize("names", [["rgb"], ["depth"], ["rgb", "depth", "rgb"]], ids="-".join)
def test_one_and_three_streams_train_and_evaluate(inputs, tmp_path, names):
    main(command(inputs, tmp_path / "train", *SHORT, "-i", *names))
    best = tmp_path / "train" / "checkpoints" / "best.pt"
    main(command(inputs, tmp_path / "eval", "-i", *names, "--evaluate", "--resume", str(best), "--save-img", "1"))
    trained, evaluated = metrics(tmp_path / "train", "valid")[-1], metrics(tmp_path / "eval", "valid")[-1]
    assert trained == evaluated
    assert sum(key.startswith("weight_") for key in trained) == len(names)
    assert facts(tmp_path / "eval")["checkpoint"]["ours"] is True
    panel = Image.open(tmp_path / "eval" / "images" / "validate_0.png")
    assert panel.size == ((len(names) + 2) * 64, 48)
    assert len(list((tmp_path / "eval" / "images").iterdir())) == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--precision", "bf16"],
        ["--channels-last"],
        ["--freeze-bn", "false"],
        ["--enc-pretrained", "false"],
        ["--input-size", "40"],
        ["--val-batch-size", "3"],
        ["--quirk", "penalty=paper", "rcu_skip=paper", "depth_padding=fixed"],
        ["--bn-threshold", "0", "--lamda", "0"],
    ],
    ids=lambda flags: flags[0],
)
def test_flags_train_to_finite_scores(inputs, tmp_path, flags):
    main(command(inputs, tmp_path, *SHORT, *flags))
    assert facts(tmp_path)["state"] == "finished"
    assert all(np.isfinite(line["miou"]) for line in metrics(tmp_path, "test"))


def test_norm_statistics_move_only_when_they_are_not_frozen(inputs, tmp_path):
    moved = {}
    for frozen in ("true", "false"):
        main(command(inputs, tmp_path / frozen, *SHORT, "--freeze-bn", frozen))
        state = torch.load(tmp_path / frozen / "checkpoints" / "last.pt", weights_only=True)["segmenter"]
        moved[frozen] = int(state["module.bn1.bn_0.num_batches_tracked"])
    assert moved == {"true": 0, "false": 2}


def test_batched_validation_gives_the_printed_scores(inputs, tmp_path):
    main(command(inputs, tmp_path / "one", *SHORT))
    last = str(tmp_path / "one" / "checkpoints" / "last.pt")
    main(command(inputs, tmp_path / "four", "--evaluate", "--resume", last, "--val-batch-size", "4"))
    alone = [line for line in log_lines(tmp_path / "one") if "glob_acc" in line]
    assert [line for line in log_lines(tmp_path / "four") if "glob_acc" in line] == alone


def test_official_split_file_serves_as_list(inputs, tmp_path):
    splits = tmp_path / "splits.mat"
    scipy.io.savemat(splits, {"trainNdxs": np.arange(1, 9)[:, None], "testNdxs": np.arange(9, 13)[:, None]})
    main(command(inputs, tmp_path / "run", *SHORT, "--train-list", str(splits), "--val-list", str(splits)))
    assert facts(tmp_path / "run")["dataset"]["samples"] == [8, 4]


def test_shortened_run_says_so(inputs, tmp_path):
    main(command(inputs, tmp_path, *SHORT, "--max-steps", "1"))
    assert facts(tmp_path)["shortened"] is True


def test_printed_network_and_losses(inputs, tmp_path, capsys):
    main(command(inputs, tmp_path, *SHORT, "--print-network", "--print-loss"))
    printed = capsys.readouterr().out
    assert "Enc. conv1.module.weight" in printed
    assert "Dec. alpha" in printed
    assert re.search(r"^step: 1  : loss=\d+\.\d\d$", printed, re.MULTILINE)
    assert "step:" not in (tmp_path / "log.txt").read_text()


@pytest.mark.real
def test_two_real_images_train_and_evaluate(real_nyudv2, inputs, tmp_path):
    flags = ["-d", str(real_nyudv2), "--val-dir", str(real_nyudv2), "--batch-size", "1", "--crop-size", "160"]
    main(command(inputs, tmp_path / "train", *SHORT, *flags, "--shorter-side", "120", "--high-scale", "0.5"))
    assert facts(tmp_path / "train")["dataset"]["standin"] is False
    last = str(tmp_path / "train" / "checkpoints" / "last.pt")
    main(command(inputs, tmp_path / "eval", *flags, "--evaluate", "--resume", last))
    assert Image.open(tmp_path / "eval" / "images" / "validate_0.png").size == (4 * 640, 480)


@pytest.fixture
def real_nyudv2(tmp_path):
    """The two real images, laid out officially: one to train, one to evaluate."""
    source, folder = Path(os.environ["REAL_DATA_DIR"]) / "nyuv2", tmp_path / "real"
    for given, official in (("rgb", "rgb"), ("depth", "depth"), ("label40", "masks")):
        shutil.copytree(source / given, folder / official)
    for name, number in (("train", "000433"), ("val", "000464")):
        (folder / f"{name}.txt").write_text(f"rgb/{number}.png\tmasks/{number}.png\tdepth/{number}.png\n")
    return folder


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_trains_on_a_gpu(inputs, tmp_path, precision):
    main([*command(inputs, tmp_path, *SHORT, "--precision", precision), "--gpu", "0"])
    assert facts(tmp_path)["device"]["type"] == "cuda"
    assert all(np.isfinite(line["miou"]) for line in metrics(tmp_path, "test"))
