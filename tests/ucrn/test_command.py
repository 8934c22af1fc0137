"""The command of UCRN as users call it: what a run leaves, test mode, starting weights, ablations, quirks."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from common.pickles import load_arrays_pickle, save_arrays_pickle
from tests.support.run_folders import checkpoint, facts, finals, metrics
from tests.support.ucrn_runs import command, inputs_of, log_lines, published_classes, small_model
from ucrn import train
from ucrn.checkpoints import PUBLISHED_CLASSES, load_model
from ucrn.data import clips_of, open_splits
from ucrn.main import main

MOSEI = (300, 74, 35)
SHORT = ("--num_epochs", "1")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of two epochs, with its pictures and a progress line at every step."""
    folder = tmp_path_factory.mktemp("trained")
    main(command(data, folder, "--log_interval", "1"))
    return folder


@pytest.fixture(scope="module")
def short(trained, data, tmp_path_factory, no_pictures):
    """Runs the command over one epoch into a new folder, which is returned; `trained` has drawn its pictures before."""

    def run(*flags, active="lav", data=data):
        folder = tmp_path_factory.mktemp("short")
        main(command(data, folder, *SHORT, *flags, active=active))
        assert facts(folder)["state"] == "finished"
        return folder

    return run


@pytest.fixture(scope="module")
def plain(short):
    """One epoch with no further flag."""
    return short()


def test_run_leaves_log_metrics_checkpoints_pictures_and_events(trained):
    found = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    events = {name for name in found if name.startswith("events.")}
    assert len(events) == 1
    assert found - events == {
        *("run.json", "log.txt", "metrics.jsonl"),
        *(f"checkpoints/{name}.pt" for name in ("last", "previous", "best")),
        *(f"images/{name}.png" for name in ("curves", "divergence", "gates", "scatter")),
    }


def test_log_has_the_published_lines(trained):
    lines = log_lines(trained)
    assert lines[:5] == [
        "mosei_senti train: 24 clips",
        "mosei_senti valid: 12 clips, 2 values of -inf in the audio set to 0",
        "mosei_senti test: 24 clips",
        "unaligned: l 6 x 300, a 9 x 74, v 8 x 35; in use: l a v",
        "parameters: 161244",
    ]
    progress = [line for line in lines if "Batch" in line]
    assert len(progress) == 2 * 2  # behind each step but the first
    pattern = r"Epoch  1 \| Batch   1/  3 \| Time/Batch\(ms\) \.\. \| Train Loss \d+\.\d{4}"
    assert re.fullmatch(pattern, progress[0])
    rule = lines.index("-" * 50)
    assert re.fullmatch(r"Epoch  1 \| Time \.\. sec \| Valid Loss \d\.\d{4} \| Test Loss \d\.\d{4}", lines[rule + 1])
    assert lines[rule + 2 : rule + 4] == ["-" * 50, "Epoch 1: scores on train, valid, test"]
    blocks = [line for line in lines if line.startswith("Has0_acc_2:  ")]
    assert len(blocks) == 3 * 2
    assert "Saved model at RUN/checkpoints/best.pt" in lines


def test_printed_numbers_are_the_recorded_ones(trained):
    lines, valid, test = log_lines(trained), metrics(trained, "valid"), metrics(trained, "test")
    for epoch, (one, other) in enumerate(zip(valid, test, strict=True), start=1):
        ends = f"| Valid Loss {one['loss']:5.4f} | Test Loss {other['loss']:5.4f}"
        assert sum(line.startswith(f"Epoch {epoch:2d} | Time") and line.endswith(ends) for line in lines) == 1
    f1s = [line.removeprefix("Has0_F1_score:  ") for line in lines if line.startswith("Has0_F1_score")]
    recorded = [round(entry["has0_f1"] / 100, 4) for entry in (valid[0], test[0], valid[1], test[1])]
    assert [float(f1s[index]) for index in (1, 2, 4, 5)] == recorded


def test_every_split_is_recorded_after_every_epoch(trained):
    for split in ("train", "train_eval", "valid", "test"):
        assert [entry["epoch"] for entry in metrics(trained, split)] == [1, 2]
    for entry in metrics(trained, "valid"):
        assert entry["loss"] == pytest.approx(entry["l1"] + entry["mjsd"], rel=1e-5)
        assert entry["mae"] == pytest.approx(entry["l1"], rel=1e-5)
        assert all(0 < entry[f"gate_{modality}"] < 1 for modality in "lav")
    assert metrics(trained, "train")[1]["loss"] < metrics(trained, "train")[0]["loss"]


def test_run_ends_with_the_block_and_both_protocols(trained):
    lines, scores = log_lines(trained)[-9:], finals(trained)
    assert [line.split(":")[0] for line in lines[:6]] == [
        *("MAE", "Correlation Coefficient", "mult_acc_7", "mult_acc_5", "F1 score", "Accuracy")
    ]
    assert float(lines[4].split()[-1]) == pytest.approx(scores["official"]["f1_swapped"] / 100)
    assert float(lines[0].split()[-1]) == pytest.approx(scores["official"]["mae"])
    for line, name, rule in (
        (lines[7], "official", "highest F1 on the test set"),
        (lines[8], "clean", "lowest validation loss"),
    ):
        s = scores[name]
        assert line == (
            f"test  {name:<8s}  mae {s['mae']:.4f}  corr {s['corr']:.4f}  acc7 {s['acc7']:.2f}  "
            f"acc2 {s['non0_acc2']:.2f}  f1 {s['non0_f1']:.2f}  (epoch {s['epoch_selected']}: {rule})"
        )


def test_both_protocols_name_the_epoch_that_their_rule_selects(trained):
    f1s = [entry["has0_f1"] for entry in metrics(trained, "test")]
    losses = [entry["loss"] for entry in metrics(trained, "valid")]
    scores = finals(trained)
    assert scores["official"]["epoch_selected"] == 1 + f1s.index(max(f1s))
    assert scores["clean"]["epoch_selected"] == 1 + losses.index(min(losses))
    for protocol in ("official", "clean"):
        epoch = metrics(trained, "test")[scores[protocol]["epoch_selected"] - 1]
        assert scores[protocol]["mae"] == epoch["mae"]


def test_record_tells_data_network_and_quirks(trained):
    record = facts(trained)
    assert (record["paper"], record["script"], record["name"], record["state"]) == ("ucrn", "main", "UCRN", "finished")
    assert record["dataset"]["name"] == "cmu_mosei"
    assert record["dataset"]["standin"] is True
    assert record["dataset"]["samples"] == [24, 12, 24]
    assert record["quirks"]["select_on"] == "test_f1"
    assert record["command"].startswith("python -m ucrn.main --lonly")


def test_best_checkpoint_is_the_network_that_the_official_protocol_tested(trained, data):
    best = checkpoint(trained, "best.pt")
    assert best["epoch"] == finals(trained)["official"]["epoch_selected"]
    assert best["score"] == round(max(entry["has0_f1"] for entry in metrics(trained, "test")) / 100, 4)
    model = small_model(widths=MOSEI)
    load_model(model, trained / "checkpoints" / "best.pt", said_to_be_published=False)
    clips = clips_of(open_splits(data, "mosei_senti", aligned=False)["test"])
    with torch.inference_mode():
        mae = (model.eval()(*inputs_of(clips)).prediction - clips.labels).abs().mean().item()
    assert mae == pytest.approx(finals(trained)["official"]["mae"], rel=1e-5)


def visualized(data, folder, model, *flags):
    """Test mode; returns the run folder and the folder of its arrays."""
    argv = command(data, folder / "run", "--visualize", "--resume", str(model), "--name", "shown", *flags)
    main([*argv, "--vis_dir", str(folder / "arrays")])
    return folder / "run", folder / "arrays" / "shown"


def test_test_mode_gives_the_scores_of_training(trained, data, tmp_path, no_pictures):
    run_dir, _ = visualized(data, tmp_path, trained / "checkpoints" / "best.pt")
    (shown,) = finals(run_dir).values()
    official = finals(trained)["official"]
    assert {key: official[key] for key in shown if key in official and key != "epoch"} == {
        key: value for key, value in shown.items() if key in official and key != "epoch"
    }
    assert log_lines(run_dir)[-8:-1] == log_lines(trained)[-9:-2]
    assert facts(run_dir)["evaluate"] is True
    assert facts(run_dir)["checkpoint"]["ours"] is True
    assert facts(run_dir)["dataset"]["samples"] == [24]
    assert not list((run_dir / "checkpoints").iterdir())


def test_test_mode_writes_features_predictions_and_names(mosi, short, tmp_path):
    flags = ("--dataset", "mosi", "--temp_proj", "2")
    run_dir = short(*flags, data=mosi)
    _, arrays = visualized(mosi, tmp_path, run_dir / "checkpoints" / "best.pt", *flags)
    fused, predictions = load_arrays_pickle(arrays / "last_proj_arr.pkl")
    features = load_arrays_pickle(arrays / "uni_feat_arr.pkl")

    model = small_model(widths=(300, 5, 20), temp_proj=2)
    load_model(model, run_dir / "checkpoints" / "best.pt", said_to_be_published=False)
    clips = clips_of(open_splits(mosi, "mosi", aligned=False)["test"])
    with torch.inference_mode():
        output = model.eval()(*inputs_of(clips))
    np.testing.assert_allclose(fused, output.fused.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictions, output.prediction.numpy(), rtol=1e-5, atol=1e-6)
    assert predictions.shape == (24, 1)
    assert list(features) == ["l", "a", "v"]
    for feature, refined in zip(features.values(), output.refined, strict=True):
        np.testing.assert_allclose(feature, refined.transpose(0, 1).reshape(48, 30).numpy(), rtol=1e-5, atol=1e-6)

    with open(arrays / "predictions.csv") as file:
        head, *rows = csv.reader(file)
    assert head == ["video", "start", "end", "truth", "prediction"]
    assert [tuple(row[:3]) for row in rows] == clips.meta
    assert [float(row[3]) for row in rows] == pytest.approx(clips.labels[:, 0].tolist())
    assert [float(row[4]) for row in rows] == pytest.approx(predictions[:, 0].tolist(), rel=1e-6)


def test_predictions_of_clips_with_a_name_alone_stand_in_their_columns(own_data, tmp_path, trained, no_pictures):
    path = own_data / "mosei_senti_data_noalign.pkl"
    content = load_arrays_pickle(path)
    for split in content.values():
        split["id"] = split["id"][:, 0]
    save_arrays_pickle(content, path)
    _, arrays = visualized(own_data, tmp_path, trained / "checkpoints" / "best.pt")
    with open(arrays / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    labels = content["test"]["labels"].ravel()
    assert [float(row["truth"]) for row in rows] == pytest.approx(labels.tolist())
    assert all(row["prediction"] for row in rows)


def test_published_whole_module_can_be_tested(trained, data, tmp_path, no_pictures, monkeypatch):
    model = small_model(widths=MOSEI)
    load_model(model, trained / "checkpoints" / "best.pt", said_to_be_published=False)
    monkeypatch.chdir(tmp_path)
    Path("pre_trained_models").mkdir()
    with published_classes(model) as module:
        torch.save(torch.nn.DataParallel(module), "pre_trained_models/shown_UCRN.pt")
    assert len(set(PUBLISHED_CLASSES)) == 5
    main([*command(data, tmp_path / "run", "--name", "shown", "--vis_dir", "arrays"), "--visualize"])
    (shown,) = finals(tmp_path / "run").values()
    assert shown["mae"] == finals(trained)["official"]["mae"]
    assert facts(tmp_path / "run")["checkpoint"]["ours"] is False


def weights(run_dir, name="last.pt"):
    return checkpoint(run_dir, name)["model"]


def moved(one, other):
    return {name for name in one if not torch.equal(one[name], other[name])}


def test_pretrained_weights_are_loaded_and_then_trained(plain, short, data):
    start = weights(plain)
    given = ("--pretrain", str(plain / "checkpoints" / "last.pt"), "--seed", "7")
    still = short(*given, "--lr", "0")
    assert moved(start, weights(still)) == set()
    trained_on = short(*given)
    frozen = {
        "cross_modal_fusion.layers.0.self_attn.in_proj_bias",
        "cross_modal_fusion.layers.0.self_attn.in_proj_weight",
    }
    parameters = {name for name, _ in small_model().named_parameters()}
    dead = {name for name in parameters if "quality" in name}  # a gate whose hidden unit is off
    assert moved(start, weights(trained_on)) >= parameters - frozen - dead
    assert facts(trained_on)["checkpoint"]["sha256"] == facts(plain)["checkpoints"]["last.pt"]


def test_starting_weights_are_published_by_the_users_word_and_ours_never(plain, short, tmp_path):
    bare = tmp_path / "bare.pt"
    torch.save(weights(plain), bare)
    ours = plain / "checkpoints" / "last.pt"
    for path, word, expected in (
        (bare, [], (False, None)),
        (bare, ["--weights-are-published"], (True, "user")),
        (ours, ["--weights-are-published"], (False, None)),
    ):
        told = facts(short("--pretrain", str(path), "--max-steps", "1", *word))["checkpoint"]
        assert (told["published"], told["published_by"], told["ours"]) == (*expected, path == ours)


def test_pretrained_weights_are_found_by_their_published_name(plain, short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pre_trained_models").mkdir()
    torch.save({f"module.{name}": value for name, value in weights(plain).items()}, "pre_trained_models/old_UCRN.pt")
    for name in ("old", "old_UCRN", "old_UCRN.pt"):
        assert moved(weights(plain), weights(short("--pretrain", name, "--lr", "0"))) == set()


def test_pretrained_weights_are_loaded_in_a_run_that_may_be_resumed(plain, short):
    given = ("--pretrain", str(plain / "checkpoints" / "last.pt"), "--lr", "0", "--seed", "7")
    assert moved(weights(plain), weights(short(*given, "--resume", "auto"))) == set()


@pytest.mark.parametrize("active", ["l", "a", "v", "la", "av"])
def test_one_and_two_modalities_train(short, active):
    run_dir = short(active=active)
    valid = metrics(run_dir, "valid")[-1]
    assert valid["mjsd"] == 0  # of one modality, and officially of two at a single step
    assert {m for m in "lav" if f"gate_{m}" in valid} == set(active)
    assert log_lines(run_dir)[3].endswith(f"in use: {' '.join(active)}")


@pytest.mark.parametrize(
    "flags",
    [
        ["--temp_proj", "0"],
        ["--temp_proj", "3"],
        ["--schedule", "warmup", "--warm_epoch", "2"],
        ["--schedule", "CyclicLR"],
        ["--without", "urm"],
        ["--without", "sqil"],
        ["--without", "crm"],
        ["--without", "urm", "sqil", "crm"],
        ["--positions"],
        ["--attn_mask"],
        ["--official_order"],
        ["--batch_chunk", "3"],
        ["--aligned"],
        ["--optim", "SGD", "--lr", "1e-4"],
    ],
    ids=" ".join,
)
def test_flags_train_to_other_finite_scores(plain, short, flags):
    run_dir = short(*flags)
    scores = finals(run_dir)["official"]
    assert np.isfinite(scores["mae"])
    assert scores["mae"] != finals(plain)["official"]["mae"]


def test_warmup_rate_is_that_of_its_epochs(data, tmp_path, no_pictures):
    flags = ("--schedule", "warmup", "--warm_epoch", "2", "--stepper_size", "1", "--num_epochs", "4")
    main(command(data, tmp_path, *flags, "--max-steps", "1"))
    assert [entry["lr"] for entry in metrics(tmp_path, "train")] == pytest.approx([5e-4, 1e-3, 1e-3, 1e-4])
    assert facts(tmp_path)["shortened"] is True


def test_divergence_is_part_of_the_loss_with_jsd_alone(plain, short, data, tmp_path):
    main([flag for flag in command(data, tmp_path, *SHORT) if flag != "--jsd"])
    alone = metrics(tmp_path, "valid")[-1]
    assert alone["loss"] == alone["l1"]
    assert alone["mjsd"] > metrics(plain, "valid")[-1]["mjsd"]  # nothing draws the modalities together


def test_classification_prints_the_final_scores_after_each_epoch(short):
    run_dir = short("--train_mode", "classification")
    lines = log_lines(run_dir)
    assert not any("Has0" in line for line in lines)
    assert sum(line.startswith("Correlation Coefficient:  ") for line in lines) == 3 + 1
    f1 = metrics(run_dir, "test")[0]["f1_swapped"] / 100
    assert checkpoint(run_dir, "best.pt")["score"] == pytest.approx(f1)


def test_robustness_tests_missing_modalities_and_noise(short, plain):
    scores = finals(short("--robustness"))["official"]
    kinds = [*(f"no_{m}" for m in "lav"), *(f"noise_{level}" for level in ("0.5", "1", "2"))]
    assert set(scores) - set(finals(plain)["official"]) == {f"{s}_{k}" for s in ("mae", "non0_acc2") for k in kinds}
    maes = [scores[f"mae_{kind}"] for kind in kinds]
    assert len({scores["mae"], *maes}) == 7
    assert {key for key in finals(short("--robustness", active="v"))["clean"] if "_no_" in key} == set()


def last_epoch(run_dir):
    return metrics(run_dir, "valid")[-1]


def test_quirk_mjsd_is_another_loss(plain, short):
    assert last_epoch(short("--quirk", "mjsd=jsd"))["mjsd"] < 0.7 < last_epoch(plain)["mjsd"]
    assert last_epoch(short("--quirk", "mjsd=jsd", active="la"))["mjsd"] > 0


def test_quirk_select_on_decides_which_epoch_is_the_best_checkpoint(data, tmp_path, monkeypatch, no_pictures):
    f1s = iter([0.9, 0.2] * 2)  # the test set likes the first epoch, the validation loss falls
    monkeypatch.setattr(train, "selection_score", lambda tested, train_mode: next(f1s))
    for choice, epoch in (("test_f1", 1), ("valid_loss", 2)):
        main(command(data, tmp_path / choice, "--quirk", f"select_on={choice}"))
        best = checkpoint(tmp_path / choice, "best.pt")
        assert best["epoch"] == epoch
        expected = 0.9 if choice == "test_f1" else metrics(tmp_path / choice, "valid")[1]["loss"]
        assert best["score"] == expected


def test_quirk_final_f1_puts_truth_and_prediction_in_place(plain, short):
    fixed = short("--quirk", "final_f1=fixed")
    scores = finals(fixed)["official"]
    assert scores == finals(plain)["official"]
    assert scores["f1_swapped"] != pytest.approx(scores["non0_f1"])
    for run_dir, name in ((plain, "f1_swapped"), (fixed, "non0_f1")):
        (line,) = (line for line in log_lines(run_dir) if line.startswith("F1 score:"))
        assert float(line.split()[-1]) == pytest.approx(scores[name] / 100)


def test_quirk_causal_lets_refinement_see_all_as_the_flag_does(plain, short):
    free = short("--quirk", "causal=paper")
    assert last_epoch(free)["loss"] != last_epoch(plain)["loss"]
    assert last_epoch(free) == last_epoch(short("--attn_mask"))


def test_quirk_schedule_step_counts_epochs(short):
    flags = ("--schedule", "CyclicLR", "--step_up", "10", "--num_epochs", "2")
    official, counted = (short(*flags, "--quirk", f"schedule_step={choice}") for choice in ("official", "epoch"))
    fed = metrics(official, "valid")[0]["loss"]  # what the schedule takes for the iteration
    assert metrics(official, "train")[1]["lr"] == pytest.approx(1e-4 + 9.9e-3 * fed / 10)
    assert metrics(counted, "train")[1]["lr"] == pytest.approx(1e-4 + 9.9e-3 / 10)


def test_bf16_trains_to_finite_scores(short):
    assert np.isfinite(finals(short("--precision", "bf16"))["official"]["mae"])


def test_metrics_are_one_object_a_line(trained):
    lines = (trained / "metrics.jsonl").read_text().splitlines()
    assert all(set(json.loads(line)) >= {"epoch", "split"} for line in lines)
