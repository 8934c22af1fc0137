"""What each golden component of DynMM's modality-level scripts is in this repository: data, scores, early stopping."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import f1_score

from common.datasets.cmu_mosei.reader import SentimentSplit
from dynmm.modality.affect.data import pad, read_clips, z_norm
from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.batches import batches_in_order
from dynmm.modality.imdb.scores import GenreTask, genre_scores, predicted_genres
from dynmm.modality.train import PATIENCE, early_stopping
from tests.support.golden_cases import Case

MODALITIES = ("vision", "audio", "text")


def reader(case: Case) -> dict[str, Any]:
    c, arrays = case.config, case.inputs
    split = SentimentSplit("train", Path("case.pkl"), **arrays, ids=None, extra={})
    clips = read_clips(split, c["task"], c["data_type"], c["z_norm"])
    assert len(clips) == c["n_kept"]
    found = {}
    for number, indices in enumerate(batches_in_order(len(clips), c["batch_size"])):
        batch = clips.batch(indices, torch.device("cpu"))
        inputs = batch.inputs
        if c["max_pad"]:
            inputs = [pad(x[indices], c["max_seq_len"]) for x in clips.inputs]
        found |= {f"{name}_{number}": x for name, x in zip(MODALITIES, inputs, strict=True)}
        found |= {f"lengths_{number}": batch.lengths, f"labels_{number}": batch.labels}
        found[f"index_{number}"] = indices[:, None]
    return found


def z_norm_function(case: Case) -> dict[str, Any]:
    return {name: z_norm(case.inputs[name], case.config["max_seq_len"]) for name in MODALITIES}


def multilabel(case: Case) -> dict[str, Any]:
    logits, labels = case.tensors("logits", "labels")
    scores = genre_scores(logits, labels)
    per_class = f1_score(labels.numpy(), predicted_genres(logits), average=None, zero_division=0)
    found = {f"f1_{name}": value for name, value in scores.items()} | {"f1_per_class": per_class}
    task = GenreTask()
    metrics = task.metrics(logits, labels)
    assert task.test_line(metrics) == case.facts["outputs"]["f1_micro"]["printed"]
    return found | {"val_loss": task.loss(logits, labels.float())}


def posneg(case: Case) -> dict[str, Any]:
    pred, labels = case.tensors("pred", "labels")
    found = {}
    for name, summed in (("loss_mean", False), ("loss_sum", True)):
        task = SentimentTask(case.config["batch_size"], summed_loss=summed)
        metrics = task.metrics(pred, labels)
        found[name] = metrics["loss"]
        assert task.test_line(metrics) == case.facts["outputs"][name]["printed"]
    found |= {"accuracy": metrics["acc2"] / 100, "corr": metrics["corr"]}
    return found | {
        "eval_affect_nonzero": metrics["non0_acc2"] / 100,
        "eval_affect_all": metrics["above0_acc2"] / 100,
    }


def control(case: Case) -> dict[str, Any]:
    assert case.config["early_stop"]
    assert case.config["patience_limit"] == PATIENCE - 1  # theirs are borne, ours end the training
    task = GenreTask() if case.config["task"] == "multilabel" else SentimentTask(32)
    stopping, saved = early_stopping(task), []
    for epoch in range(case.config["total_epochs"]):
        if stopping.update(epoch, float(case.inputs["val"][epoch])):
            saved.append(epoch)
        if stopping.over:
            break
    return {"epochs_run": epoch + 1, "saved": np.array(saved)}


SCRIPTS = {
    "affect.reader": reader,
    "affect.z_norm": z_norm_function,
    "metric.multilabel": multilabel,
    "metric.posneg": posneg,
    "control": control,
}
ADAPTERS = {f"dynmm.modality.{name}": run for name, run in SCRIPTS.items()}
