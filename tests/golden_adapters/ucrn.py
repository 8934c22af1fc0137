"""What each golden component of UCRN is in this repository."""

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from common.backbones.bert import BertTextEncoder
from common.backbones.mult_transformer import (
    MultiheadAttention,
    SinusoidalPositions,
    TransformerEncoder,
    TransformerEncoderLayer,
    future_mask,
)
from common.metrics.sentiment import class_accuracy, weighted_accuracy
from common.training.selection import Best
from common.training.step import clip_and_step, grad_scaler
from tests.support.golden_cases import Case
from tests.support.run_folders import RememberedRun
from tests.support.ucrn_runs import settings_of
from ucrn.data import Clips, clips_of, open_splits, unseeded_pass
from ucrn.evaluate import evaluate
from ucrn.flags import Settings
from ucrn.losses import Objective
from ucrn.metrics import epoch_scores, final_scores
from ucrn.model import UCRN
from ucrn.refinement import SelfQualityImprovement, multimodal_divergence, unnormalised_divergence
from ucrn.train import backward, build_optimizer, build_schedule, selection_score, train_epoch

DROPOUTS = ("attn_dropout", "relu_dropout", "res_dropout", "embed_dropout")


def attention(case: Case) -> dict[str, Any]:
    c = case.config
    module = case.fill(MultiheadAttention(c["embed_dim"], c["num_heads"], c["attn_dropout"]))
    (x,) = case.tensors("x")
    return {"output": module(x, x, x, causal=True), "attn_weights": module.weights(x, x, causal=True)}


def encoder(case: Case) -> dict[str, Any]:
    c = case.config
    module = TransformerEncoder(
        c["embed_dim"], c["num_heads"], c["layers"], *(c[rate] for rate in DROPOUTS), c["attn_mask"]
    )
    if c["embed_positions"]:
        module.embed_positions = SinusoidalPositions(c["embed_dim"])
    module = case.fill(module)
    return {"output": module(*case.tensors(*(name for name in ("x", "x_k", "x_v") if name in case.inputs)))}


def encoder_layer(case: Case) -> dict[str, Any]:
    c = case.config
    module = case.fill(TransformerEncoderLayer(c["embed_dim"], c["num_heads"], 0.1, 0.1, 0.1, c["attn_mask"]))
    return {"output": module(*case.tensors("x"))}


def masks(case: Case) -> dict[str, Any]:
    return {f"mask_{q}_{k}": future_mask(q, k) for q, k in case.config["pairs"]}


def positions(case: Case) -> dict[str, Any]:
    found = {}
    for index, c in enumerate(case.config["configs"]):
        module = SinusoidalPositions(c["embedding_dim"], left_pad=bool(c["left_pad"]))
        found[f"output{index}"] = module(*case.tensors(f"tokens{index}"))
    return found


def quality(case: Case) -> dict[str, Any]:
    module = case.fill(SelfQualityImprovement(case.config["channel"], case.config["reduction"]))
    return {"output": module(*case.tensors("x"))}


def bert(case: Case) -> dict[str, Any]:
    module = BertTextEncoder(BertModel(BertConfig(**case.config["bert"])), finetune=case.config["use_finetune"])
    return {"output": case.fill(module)(*case.tensors("text"))}


def build(c: dict[str, Any]) -> UCRN:
    rates = {name: c[name] for name in ("attn_dropout", "attn_dropout_a", "attn_dropout_v", "relu_dropout")}
    rates |= {name: c[name] for name in ("res_dropout", "out_dropout", "embed_dropout")}
    return UCRN(
        [c["orig_d_l"], c["orig_d_a"], c["orig_d_v"]],
        [c["l_len"], c["a_len"], c["v_len"]],
        [modality for modality in "lav" if c[f"{modality}only"]],
        temp_proj=c["temp_proj"],
        num_heads=c["num_heads"],
        layers=c["layers"],
        attn_mask=c["attn_mask"],
        output_dim=c["output_dim"],
        **rates,
    )


def whole_model(case: Case) -> dict[str, Any]:
    model = case.fill(build(case.config))
    output = model(*case.tensors("text", "audio", "vision"))
    features = {f"h_{modality}": h for modality, h in zip(model.active, output.refined, strict=True)}
    return {"output": output.prediction, "last_h_fusion": output.fused, **features}


def divergence(case: Case) -> dict[str, Any]:
    h = [tensor.requires_grad_() for tensor in case.tensors(*case.inputs)]
    if case.config.get("get_softmax"):
        stacked = torch.stack(h).softmax(dim=1)
        return {"loss": unnormalised_divergence(stacked), "loss_single": multimodal_divergence(h[:1])}
    loss = multimodal_divergence(h)
    loss.backward()
    gradients = {f"grad_{name}": tensor.grad for name, tensor in zip(case.inputs, h, strict=True)}
    return {"loss": loss, "loss_one_step": multimodal_divergence([x[:1] for x in h]), **gradients}


def settings_from(c: dict[str, Any], **more: Any) -> Settings:
    active = [modality for modality in "lav" if c[f"{modality}only"]]
    given = {key: c[key] for key in ("optim", "lr", "clip", "jsd", "when", "batch_size", "train_mode") if key in c}
    return settings_of(active=active, **given, **more)


def clips_from(case: Case, prefix: str = "") -> Clips:
    names = [f"{prefix}{name}" for name in ("text", "audio", "vision", "labels")]
    text, audio, vision, labels = case.tensors(*names)
    return Clips(text, audio, vision, labels.reshape(-1, 1), [(0, 0, 0)] * len(labels))


def train_step(case: Case) -> dict[str, Any]:
    c = case.config
    model = case.fill(build(c))
    if "optim" not in c:
        return attention_gradients(case, model)
    settings, run, clips = settings_from(c), RememberedRun(), clips_from(case)
    optimizer, scaler = build_optimizer(model, settings.optim, settings.lr), grad_scaler("fp32")
    objective = Objective(settings.jsd, settings.true_js)
    parameters = dict(model.named_parameters())
    found: dict[str, Any] = {"loss_raw": [], "loss_jsd": [], "grad_norm": []}
    for step in range(3):
        optimizer.zero_grad()
        l1, total = backward(model, clips, np.arange(len(clips)), len(clips), scaler, objective, 1, run)
        if step == 0:
            found |= {f"grad1.{name}": p.grad.clone() for name, p in parameters.items() if p.grad is not None}
            assert [n for n, p in parameters.items() if p.grad is None] == c["parameters_without_gradient"]
        norm = clip_and_step(optimizer, scaler, settings.clip)
        for name, value in (("loss_raw", l1), ("loss_jsd", total - l1), ("grad_norm", norm)):
            found[name].append(value.item())
        found |= {f"after{step + 1}.{name}": p.detach().clone() for name, p in parameters.items()}
    return found


def attention_gradients(case: Case, model: UCRN) -> dict[str, Any]:
    text, audio, vision, labels = case.tensors("text", "audio", "vision", "labels")
    Objective(case.config["jsd"])(model(text, audio, vision), labels).total.backward()
    found = {}
    for name in ("l_refine", "a_refine", "v_refine", "cross_modal_fusion"):
        attended = getattr(model, name).layers[0].self_attn
        for kind in ("weight", "bias"):
            thirds = getattr(attended, f"in_proj_{kind}").grad.chunk(3)
            found[f"{name}.{kind}"] = torch.stack([third.abs().sum() for third in thirds])
    return found


def train_loop(case: Case) -> dict[str, Any]:
    c = case.config
    model, settings, run = case.fill(build(c)), settings_from(c, schedule=c["schedule"]), RememberedRun()
    data = {split: clips_from(case, f"{split}_") for split in ("train", "valid", "test")}
    optimizer, scaler = build_optimizer(model, settings.optim, settings.lr), grad_scaler("fp32")
    objective, best = Objective(settings.jsd, settings.true_js), Best(higher=True)
    schedule = build_schedule(settings, optimizer)
    batches = [
        np.arange(len(data["train"]))[i : i + c["batch_size"]] for i in range(0, len(data["train"]), c["batch_size"])
    ]
    losses, rates, scores, saved = [], [], [], []
    for epoch in range(1, c["num_epochs"] + 1):
        train_loss = train_epoch(model, data["train"], batches, optimizer, scaler, objective, settings, run, epoch)
        valid, test = (evaluate(model, data[split], objective, run) for split in ("valid", "test"))
        schedule.step(valid.loss)
        scores.append(selection_score(test, settings.train_mode))
        saved += [epoch] if best.update(epoch, scores[-1], model) else []
        losses.append([train_loss, valid.loss, test.loss])
        rates.append(schedule.lr)
    best.restore(model)
    prediction = evaluate(model, data["test"], objective, run).prediction[:, None]
    return {"loss": losses, "lr": rates, "has0_f1": scores, "saved": saved, "final_pred": prediction}


def initial(case: Case) -> dict[str, Any]:
    torch.manual_seed(case.config["torch_manual_seed"])
    state = build(case.config).state_dict()
    assert list(state) == case.config["entries_in_order"]
    return {**state, "abs_sum_of_every_entry": [value.abs().double().sum() for value in state.values()]}


def dataset(case: Case) -> dict[str, Any]:
    c = case.config
    split = dict(case.inputs)
    split["id"] = np.array([[b"vid%d" % i, b"1.5", b"2.5"] for i in range(len(split["text"]))])
    with tempfile.TemporaryDirectory() as folder:
        name = f"{c['dataset']}_data{'' if c['if_align'] else '_noalign'}.pkl"
        Path(folder, name).write_bytes(pickle.dumps(dict.fromkeys(("train", "valid", "test"), split)))
        splits = open_splits(Path(folder), c["dataset"], c["if_align"])
    clips = clips_of(splits[c["split"]])
    assert list(clips.meta[1]) == c["item1_meta"]
    found = {"text": clips.text, "audio": clips.audio, "vision": clips.vision, "labels": clips.labels[:, None]}
    item = clips.batch(np.array([1]), torch.device("cpu"))
    return {**found, "lens": clips.lengths, "dims": clips.widths, "item1_index": 1, "item1_label": item[3]}


def loader_order(case: Case) -> dict[str, Any]:
    c = case.config
    assert c["shuffle"]
    return {"order": [unseeded_pass(c["n"], number) for number in range(1, c["passes"] + 1)]}


def scheduled(case: Case) -> dict[str, Any]:
    c = case.config
    settings = settings_of(
        **{key: c[key] for key in ("schedule", "lr", "when", "base_lr", "max_lr", "step_up", "optim") if key in c}
    )
    optimizer = build_optimizer(torch.nn.Linear(1, 1), settings.optim, settings.lr)
    schedule = build_schedule(settings, optimizer)

    def momentum() -> float:
        return optimizer.param_groups[0].get("momentum", float("nan"))

    found: dict[str, Any] = {"lr0": schedule.lr, "momentum0": momentum(), "lr": [], "momentum": []}
    for loss in case.inputs["val_loss"]:
        optimizer.step()
        schedule.step(float(loss))
        found["lr"].append(schedule.lr)
        found["momentum"].append(momentum())
    return found


def regression_scores(case: Case) -> dict[str, Any]:
    scores = epoch_scores(case.inputs["pred"], case.inputs["truth"])
    order = ("has0_acc2", "has0_f1", "non0_acc2", "non0_f1", "acc5", "acc7", "mae", "corr")
    return {"values": [scores[name] for name in order[: case.facts["outputs"]["values"]["shape"][0]]]}


def last_scores(case: Case) -> dict[str, Any]:
    found = {}
    for name, exclude in (("without_zero", True), ("with_zero", False)):
        scores = final_scores(case.inputs["pred"], case.inputs["truth"], exclude_zero=exclude)
        found[name] = [scores[key] for key in ("f1_swapped", "acc2", "mae", "corr")]
        found[f"{name}_acc7_acc5"] = [scores["acc7"], scores["acc5"]]
    return found


def helper_scores(case: Case) -> dict[str, Any]:
    pred, truth = (case.inputs[name].ravel() for name in ("pred", "truth"))
    return {"multiclass_acc": class_accuracy(pred, truth), "weighted_accuracy": weighted_accuracy(pred, truth)}


ADAPTERS: dict[str, Callable[[Case], dict[str, Tensor | Any]]] = {
    "ucrn.ucrn.multihead_attention": attention,
    "ucrn.ucrn.transformer_encoder": encoder,
    "ucrn.ucrn.transformer_encoder_layer": encoder_layer,
    "ucrn.ucrn.future_mask": masks,
    "ucrn.ucrn.position_embedding": positions,
    "ucrn.ucrn.sq_layer": quality,
    "ucrn.ucrn.bert_text_encoder": bert,
    "ucrn.ucrn.model": whole_model,
    "ucrn.ucrn.mjsd": divergence,
    "ucrn.ucrn.train_step": train_step,
    "ucrn.ucrn.train_loop": train_loop,
    "ucrn.ucrn.init": initial,
    "ucrn.ucrn.dataset": dataset,
    "ucrn.ucrn.loader_order": loader_order,
    "ucrn.ucrn.schedule.plateau": scheduled,
    "ucrn.ucrn.schedule.calr": scheduled,
    "ucrn.ucrn.schedule.cyclic": scheduled,
    "ucrn.ucrn.metrics.regression": regression_scores,
    "ucrn.ucrn.metrics.final": last_scores,
    "ucrn.ucrn.metrics.helpers": helper_scores,
}
