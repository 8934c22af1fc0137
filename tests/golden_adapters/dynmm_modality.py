"""What each golden component of DynMM's modality level is in this repository: gate, networks, training steps."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.training.step import clipped_step, grad_scaler
from dynmm.gate import diff_softmax, mix, resource_loss
from dynmm.modality.affect import networks as affect_networks
from dynmm.modality.imdb import networks as imdb_networks
from dynmm.modality.networks.blocks import MaxoutMLP
from dynmm.modality.networks.fusion import LowRankTensorFusion, MultiplicativeInteraction
from dynmm.modality.networks.madds import PathMadds, path_madds
from dynmm.modality.train import CLIP
from tests.support.golden_cases import Case

AFFECT = ("vision", "audio", "text")
TASK_LOSSES = {"BCEWithLogitsLoss": F.binary_cross_entropy_with_logits, "L1Loss": F.l1_loss}
DROPOUTS = ("p", "dropout", "attn_dropout", "relu_dropout", "res_dropout", "embed_dropout", "output_dropout")


def gate(case: Case) -> dict[str, Any]:
    found = {}
    for place, tau in enumerate(case.config["taus"]):
        for kind in ("hard", "soft"):
            logits, upstream = case.tensors("logits", "upstream")
            weights = diff_softmax(logits.requires_grad_(), tau, kind == "hard")
            (weights * upstream).sum().backward()
            found |= {f"y_{kind}{place}": weights, f"grad_{kind}{place}": logits.grad}
    return found


def loss(case: Case) -> dict[str, Any]:
    c = case.config
    logits, *branches = (x.requires_grad_() for x in case.tensors("gate_logits", "branch0", "branch1"))
    weights = diff_softmax(logits, c["temp"], c["hard_gate"])
    output, aux = mix(weights, branches), resource_loss(weights, (0, 1))
    task = F.binary_cross_entropy_with_logits if c["task"] == "multilabel" else F.l1_loss
    task_loss = task(output, case.tensors("labels")[0].float())
    total = task_loss + c["reg"] * aux
    total.backward()
    gradients = {f"grad_branch{k}": branch.grad for k, branch in enumerate(branches)}
    found = {"output": output, "task_loss": task_loss, "aux": aux, "total": total}
    return found | gradients | {"grad_gate_logits": logits.grad}


def flops(case: Case) -> dict[str, Any]:
    weights = diff_softmax(case.tensors("weight_logits")[0], hard=case.config["hard"])
    shares = weights.double().mean(dim=0).tolist()
    branches = {name: case.config[name] for name in ("imdb_mflops", "mosei_mflops")}
    found = {
        name: PathMadds(0, tuple(round(branch * 1e6) for branch in constants)).accounted(shares)
        for name, constants in branches.items()
    }
    return found | {"ratio": resource_loss(weights, (0, 1))}


def without_dropout(model: nn.Module) -> nn.Module:
    for part in model.modules():
        for name in DROPOUTS:
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)
    return model


@torch.no_grad()
def maxout_mlp(case: Case) -> dict[str, Any]:
    c = case.config
    assert c["linear_layer"]
    model = MaxoutMLP(c["number_input_feats"], c["first_hidden"], c["second_hidden"], c["num_outputs"], c["dropout"])
    x = case.tensors("x")[0]
    found = {"out": case.fill(model)(x)}
    return found | {"out_eval_after": model.eval()(x)} | dict(model.state_dict())


def interaction(case: Case) -> dict[str, Any]:
    assert case.config["output"] == "matrix"
    fusion = case.fill(MultiplicativeInteraction(case.config["input_dims"], case.config["output_dim"]))
    return {"out": fusion(case.tensors("m1", "m2"))}


def imdb_batch(case: Case, suffix: str = "") -> tuple[list[Tensor], None]:
    names = [name for name in ("text", "image") if name + suffix in case.inputs]
    inputs = dict(zip(names, case.tensors(*(name + suffix for name in names)), strict=True))
    if "text" in inputs:
        inputs["text"] = inputs["text"] * case.config.get("input_scale", 1.0)
    return list(inputs.values()), None


def affect_batch(case: Case, suffix: str = "") -> tuple[list[Tensor], Tensor]:
    lengths = case.tensors(f"lengths{suffix}")[0]
    inputs = case.tensors(*(name + suffix for name in AFFECT if name + suffix in case.inputs))
    padded = torch.arange(inputs[0].shape[1]) >= lengths[:, None]
    return [x.masked_fill(padded[:, :, None], 0.0) for x in inputs], lengths


class OfOne(nn.Module):
    """A single-modality expert, called like the networks of many: with the list of its one input."""

    def __init__(self, expert: nn.Module) -> None:
        super().__init__()
        self.expert = expert

    def forward(self, inputs: list[Tensor], lengths: Tensor | None = None) -> Tensor:
        return self.expert(inputs[0], lengths)


def imdb_expert(case: Case) -> nn.Module:
    mod = case.config.get("mod", 0 if any(name.startswith("text") for name in case.inputs) else 1)
    return OfOne(case.fill(imdb_networks.unimodal_expert(mod)))


def affect_expert(case: Case) -> nn.Module:
    return OfOne(case.fill(affect_networks.unimodal_expert(case.config["mod"], case.config["enc"])))


def imdb_fusion(case: Case) -> nn.Module:
    return fill_fusion(case, imdb_networks.fusion_network(case.config["fuse"], lrtf="official"))


def affect_fusion(case: Case) -> nn.Module:
    return fill_fusion(case, affect_networks.fusion_network(case.config["fusion"], lrtf="official"))


def fill_fusion(case: Case, network: nn.Module) -> nn.Module:
    case.fill(network)
    if isinstance(network.fuse, LowRankTensorFusion):
        for name, buffer in network.fuse.named_buffers():
            buffer.copy_(case.tensors(name.replace("factor", "factors."))[0])
    return network


def imdb_dynmm(case: Case) -> nn.Module:
    return case.fill(imdb_networks.DynMMNet(temperature=case.config["temp"], hard=case.config["hard_gate"]))


def affect_dynmm(case: Case) -> nn.Module:
    return case.fill(affect_networks.DynMMNetV2(temperature=case.config["temp"], hard=case.config["hard_gate"]))


@torch.no_grad()
def expert_forward(case: Case, network: nn.Module, inputs: list[Tensor], lengths: Tensor | None) -> dict[str, Any]:
    output = network(inputs, lengths)
    found = {"features": network.expert[0](inputs[0], lengths), "pred": output, "logits": output}
    if "pred_sample1_unpadded" in case.facts["outputs"]:
        cut = inputs[0][1:2, : lengths[1]]
        found["pred_sample1_unpadded"] = network([cut], lengths[1:2])
    return found


@torch.no_grad()
def fusion_forward(case: Case, network: nn.Module, inputs: list[Tensor], lengths: Tensor | None) -> dict[str, Any]:
    parts, output = network.encode(inputs, lengths), network(inputs, lengths)
    found = {"fused": network.fuse(parts, lengths), "logits": output, "pred": output}
    return found | {f"rep{k}": part for k, part in enumerate(parts)}


@torch.no_grad()
def dynmm_forward(case: Case, network: nn.Module, inputs: list[Tensor], lengths: Tensor | None) -> dict[str, Any]:
    gated = network(inputs, lengths)
    shares = gated.weights.double().mean(dim=0).tolist()
    found = {"logits": gated.prediction, "pred": gated.prediction, "aux": gated.cost, "weight": gated.weights}
    found |= {"gate_logits": gated.logits, "ratio": shares[1], "mflops": path_madds(network).accounted(shares)}
    for mode, names in {1: ("1", "_1"), 2: ("2", "_2"), -1: ("_minus1", "_minus1")}.items():
        network.infer_mode = mode
        forced = network(inputs, lengths)
        found |= {f"infer_mode{name}": forced.prediction for name in names}
        found[f"aux_infer_mode{names[1]}"] = forced.cost
    if "image_branch" in case.facts["outputs"]:
        found["image_branch"] = network.image_branch(inputs[1])
    return found


@torch.no_grad()
def dynmm3(case: Case) -> dict[str, Any]:
    c, (inputs, lengths) = case.config, affect_batch(case)
    network = case.fill(affect_networks.UnimodalDynMMNet(temperature=c["temp"], hard=c["hard_gate"]))
    gated = network(inputs, lengths)
    found = {"pred": gated.prediction, "aux": gated.cost, "weight": gated.weights}
    return found | {f"branch{k}": network.run_expert(k + 1, inputs, lengths) for k in range(3)}


def norm(gradients: Iterable[Tensor | None]) -> Tensor:
    return torch.stack([value.double().square().sum() for value in gradients if value is not None]).sum().sqrt()


def train_steps(case: Case, network: nn.Module, batch: Callable[..., Any]) -> dict[str, Any]:
    """Three steps of the loop; the first gradient is looked at before it is clipped."""
    c, bare = case.config, network.expert if isinstance(network, OfOne) else network
    without_dropout(network)
    if c.get("freeze"):
        network.freeze_experts()
    named = [(name, value) for name, value in bare.named_parameters() if value.requires_grad]
    parameters = [value for _, value in named]
    optimizer, found = torch.optim.AdamW(parameters, lr=c["lr"], weight_decay=c["weight_decay"]), {}
    assert c["clip_val"] == CLIP
    for step in range(3):
        inputs, lengths = batch(case, str(step))
        output = network(inputs, lengths)
        output, aux = output[:2] if isinstance(output, tuple) else (output, torch.zeros(()))
        task_loss = TASK_LOSSES[c["objective"]](output, case.tensors(f"labels{step}")[0].float())
        total = task_loss + c["reg"] * aux
        if step == 0:
            found = {"pred": output, "logits": output, "loss": task_loss, "aux": aux, "total": total}
            gradients = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
            found["grad_norm"] = norm(gradients)
            found |= {f"g/{name}": value for (name, _), value in zip(named, gradients, strict=True)}
        clipped_step(total, optimizer, grad_scaler("fp32"), CLIP)
        if step != 1:
            found |= {f"p{step + 1}/{name}": value.clone() for name, value in bare.state_dict().items()}
    return found


def adapter(build: Callable[..., Any], batch: Callable[..., Any], forward: Callable[..., Any]) -> Callable[..., Any]:
    """A component that has forward and train-step cases."""

    def run(case: Case) -> dict[str, Any]:
        network = build(case)
        if case.facts["kind"] == "train_step":
            return train_steps(case, network, batch)
        return forward(case, network, *batch(case))

    return run


MODALITY = {
    "gate.diff_softmax": gate,
    "loss": loss,
    "metric.flops": flops,
    "maxout_mlp": maxout_mlp,
    "fusion.mim_matrix": interaction,
    "imdb.expert": adapter(imdb_expert, imdb_batch, expert_forward),
    "imdb.fusion": adapter(imdb_fusion, imdb_batch, fusion_forward),
    "imdb.dynmm": adapter(imdb_dynmm, imdb_batch, dynmm_forward),
    "affect.expert": adapter(affect_expert, affect_batch, expert_forward),
    "affect.fusion": adapter(affect_fusion, affect_batch, fusion_forward),
    "affect.dynmm": adapter(affect_dynmm, affect_batch, dynmm_forward),
    "affect.dynmm3": dynmm3,
}
ADAPTERS = {f"dynmm.modality.{name}": run for name, run in MODALITY.items()}
