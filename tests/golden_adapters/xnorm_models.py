"""What each golden component of X-Norm's networks and losses is in this repository."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.backbones.i3d import I3D, STAGES, Inception, SamePool3d, Unit3D, widths
from common.backbones.mult_transformer import MultiheadAttention, SinusoidalPositions, TransformerEncoder
from common.training.step import clipped_step, grad_scaler
from tests.support.golden_cases import Case
from xnorm.losses import LossWeights, logits_of
from xnorm.methods.classifier import Classifier
from xnorm.methods.exchange_network import POINTS
from xnorm.methods.gradient_blending import Blended, blending_weights, official_weight
from xnorm.methods.method import Sizes
from xnorm.methods.misa import MisaHead, MisaOutput, misa_objective
from xnorm.methods.mult import MultHead
from xnorm.models import METHODS, build_model
from xnorm.norm_exchange import exchange, norm_encoder, parameters
from xnorm.recipe import build_optimizer

PAIRS = ("orig", "private", "shared", "recon")


def repeated(case: Case, *names: str) -> list[Tensor]:
    """Inputs whose elements are repeated along T, H and W, where the case says so."""
    clips = case.tensors(*names)
    for axis, times in enumerate(case.config.get("input_repeat", []), start=2):
        clips = [clip.repeat_interleave(times, dim=axis) for clip in clips]
    return clips


@torch.no_grad()
def i3d(case: Case) -> dict[str, Any]:
    c = case.config
    model = case.fill(I3D(c["in_channels"], c["num_classes"], c["dropout_rate"]))
    (x,), found, before = repeated(case, "x"), {}, None
    for stage in STAGES:
        x = found[stage] = model.run(x, before, stage)
        before = stage
    return found | {"avg_pool": model.pool(x), "logits": model.head(x)}


def unit(case: Case) -> dict[str, Any]:
    c = case.config
    head = c["use_bias"]
    assert head == (not c["use_batch_norm"]) == (c["activation"] is None)
    sizes = tuple(c["kernel_shape"]), tuple(c["stride"])
    return {"y": case.fill(Unit3D(c["in_channels"], c["output_channels"], *sizes, head=head))(*case.tensors("x"))}


def inception(case: Case) -> dict[str, Any]:
    return {"y": case.fill(Inception(case.config["in_channels"], case.config["out_channels"]))(*case.tensors("x"))}


def pool(case: Case) -> dict[str, Any]:
    module = SamePool3d(tuple(case.config["kernel_size"]), tuple(case.config["stride"]))
    return {"y": module(*case.tensors("x"))}


def classifier(case: Case) -> dict[str, Any]:
    c = case.config
    module = Classifier(c["in_size"], c["hidden_size"], c["dropout"], c["num_classes"])
    return {"y": case.fill(module)(*case.tensors("x"))}


def norm_exchange(case: Case) -> dict[str, Any]:
    point = case.config["endpoint"]
    level, width = POINTS.index(point) + 1, widths()[point]
    encoders = nn.Module()
    for direction in ("rgb2flow", "flow2rgb"):
        encoders.add_module(f"{direction}_l{level}", norm_encoder(width, width))
    case.fill(encoders)
    x1, x2 = (x.requires_grad_() for x in case.tensors("x1", "x2"))
    to_rgb = parameters(getattr(encoders, f"rgb2flow_l{level}"), x2)
    to_flow = parameters(getattr(encoders, f"flow2rgb_l{level}"), x1)
    y1, y2 = exchange(x1, x2, to_rgb, to_flow)
    g1, g2 = case.tensors("g1", "g2")
    ((y1 * g1).sum() + (y2 * g2).sum()).backward()
    gradients = {f"grad/{name}": parameter.grad for name, parameter in encoders.named_parameters()}
    return {"y1": y1, "y2": y2, "grad_x1": x1.grad, "grad_x2": x2.grad, **gradients}


def sizes(c: dict[str, Any]) -> Sizes:
    fields = {"num_classes": "num_classes", "hidden_size": "hidden", "dropout": "dropout", "weight": "weight"}
    return Sizes(**{field: c[name] for name, field in fields.items() if name in c})


def loss_weights(c: dict[str, Any]) -> LossWeights:
    fields = {"diff_weight": "diff", "sim_weight": "sim", "recon_weight": "recon", "gb_weights": "heads"}
    return LossWeights(**{field: c[name] for name, field in fields.items() if c.get(name) is not None})


@torch.no_grad()
def whole_model(case: Case) -> dict[str, Any]:
    model = case.fill(build_model(case.config["fusion"], sizes(case.config)))
    clips, found = repeated(case, "rgb_frames", "flow_frames"), {}
    if case.config["fusion"] == "xnorm":
        for level, point in enumerate(POINTS, start=1):
            clips = model.advance(level, *clips)
            found |= {f"rgb_after_{point}": clips[0], f"flow_after_{point}": clips[1]}
        r, f = model.features(*clips)
        return found | {"rgb_features": r, "flow_features": f, "logits": model.classify(r, f)}
    return outputs_of(model(*clips))


def outputs_of(output: Any) -> dict[str, Any]:
    if isinstance(output, Blended):
        return {"rgb": output.rgb, "flow": output.flow, "fused": output.joint}
    if isinstance(output, MisaOutput):
        parts = {f"x_{m}_{name}": getattr(output, name)[m - 1] for name in PAIRS for m in (1, 2)}
        return {"logits": output.logits, **parts}
    return {"logits": output}


def misa_head(case: Case) -> dict[str, Any]:
    c = case.config
    head = case.fill(MisaHead(c["num_classes"], c["hidden_size"], c["dropout"], c["d_1"], c["d_2"]))
    return outputs_of(head(*case.tensors("x_1", "x_2")))


def misa_losses(case: Case) -> dict[str, Any]:
    c, names = case.config, [f"x_{m}_{name}" for name in PAIRS for m in (1, 2)]
    inputs = {name: x.requires_grad_() for name, x in zip(names, case.tensors(*names), strict=True)}
    pred, labels = case.tensors("pred", "labels")
    pairs = [tuple(inputs[f"x_{m}_{name}"] for m in (1, 2)) for name in PAIRS]
    output = MisaOutput(pred.requires_grad_(), *pairs)
    losses = misa_objective(output, labels, loss_weights(c))
    losses.total.backward()
    gradients = {f"grad/{name}": x.grad for name, x in {**inputs, "pred": pred}.items()}
    return {"cls": losses.parts["cross_entropy"], "total": losses.total, **losses.parts, **gradients}


def misa_mse(case: Case) -> dict[str, Any]:
    pred, real = case.tensors("pred", "real")
    difference = real - pred
    return {"mse": nn.functional.mse_loss(pred, real), "simse": (difference.sum() / difference.numel()).square()}


def mult_attention(case: Case) -> dict[str, Any]:
    c = case.config
    module = case.fill(MultiheadAttention(c["embed_dim"], c["num_heads"]))
    query, key = case.tensors("query", "key" if "key" in case.inputs else "query")
    return {"y": module(query, key, key, c["mask"]), "weights": module.weights(query, key, c["mask"])}


def mult_transformer(case: Case) -> dict[str, Any]:
    c = case.config
    module = TransformerEncoder(c["embed_dim"], c["num_heads"], c["layers"], attn_mask=c["attn_mask"], positions=True)
    (x,), source = case.tensors("x"), case.tensors(*({"source"} & set(case.inputs)))
    return {"y": case.fill(module)(x, *source, *source)}


def mult_positions(case: Case) -> dict[str, Any]:
    return {"y": SinusoidalPositions(case.config["embedding_dim"])(*case.tensors("x"))}


def mult_head(case: Case) -> dict[str, Any]:
    """The sequences as they are without the short cut, the logits with it."""
    c = case.config
    head = case.fill(MultHead(c["num_classes"], c["d_1"], c["d_2"]))
    x_1, x_2 = (x.requires_grad_() for x in case.tensors("x_1", "x_2"))
    z_1, z_2 = head.project(x_1.flatten(2), x_2.flatten(2))
    h_1, h_2 = head.trans_1_with_2(z_1, z_2, z_2), head.trans_2_with_1(z_2, z_1, z_1)
    logits = head(x_1, x_2)
    logits.sum().backward()
    return {
        "trans_1_with_2": h_1,
        "trans_1_mem": head.trans_1_mem(h_1),
        "trans_2_with_1": h_2,
        "trans_2_mem": head.trans_2_mem(h_2),
        "logits": logits,
        "reach_1": (x_1.grad != 0).any(dim=1).flatten(1),
        "reach_2": (x_2.grad != 0).any(dim=1).flatten(1),
    }


def gb_weights(case: Case) -> dict[str, Any]:
    pairs = [(float(t), float(v)) for t, v in zip(case.inputs["train_loss"], case.inputs["val_loss"], strict=True)]
    groups = [pairs[start : start + 3] for start in range(0, len(pairs), 3)]
    return {"raw": [official_weight(*pair) for pair in pairs], "weights": [blending_weights(group) for group in groups]}


def without_dropout(model: nn.Module) -> nn.Module:
    """Every dropout probability 0, those too that no argument reaches."""
    for module in model.modules():
        for name in ("p", "dropout", "relu_dropout", "res_dropout", "embed_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


def train_step(case: Case) -> dict[str, Any]:
    """Three steps as the training loop does them."""
    c = case.config
    model = without_dropout(case.fill(build_model(c["fusion"], sizes(c))))
    optimizer, scaler = build_optimizer(model, c["learning_rate"], c["weight_decay"]), grad_scaler("fp32")
    rgb, flow, labels = case.tensors("rgb_frames", "flow_frames", "labels")
    named = dict(model.named_parameters())
    start = {
        name: value.detach().clone() for name, value in named.items() if f"update1/{name}" in case.facts["outputs"]
    }
    found: dict[str, Any] = {}
    steps: dict[str, list[Any]] = {"grad_norm": [], "cross_entropy": []}
    for step in (1, 2, 3):
        losses = METHODS[c["fusion"]].objective(model(rgb, flow), labels, loss_weights(c))
        steps["grad_norm"].append(clipped_step(losses.total, optimizer, scaler, c["clip"]).item())
        heads = [value.item() for name, value in losses.parts.items() if name.startswith("cross_entropy")]
        steps["cross_entropy"].append(heads)
        for name in {"diff", "recon", "cmd"} & set(losses.parts):
            steps.setdefault(name, []).append(losses.parts[name].item())
        if step == 1:
            found |= gradients_of(case, named)
        if step != 2:
            updates = {name: (named[name].detach() - value) / c["learning_rate"] for name, value in start.items()}
            found |= {f"update{step}/{name}": value for name, value in updates.items()}
    found |= {f"buffer3/{name}": value.clone() for name, value in model.named_buffers()}
    with torch.no_grad():
        logits = logits_of(model.eval()(rgb, flow))
    return found | {name: np.array(values) for name, values in steps.items()} | {"logits_after_3": logits}


def gradients_of(case: Case, named: dict[str, nn.Parameter]) -> dict[str, Any]:
    """The largest value of each gradient that the case wants, the gradient over it, and how many are zero or none."""
    found: dict[str, Any] = {}
    for name, parameter in named.items():
        if f"gradmax1/{name}" in case.facts["outputs"]:
            found[f"gradmax1/{name}"] = parameter.grad.abs().max()
            found[f"grad1/{name}"] = parameter.grad / found[f"gradmax1/{name}"]
    zero = [name for name, parameter in named.items() if parameter.grad is None or not parameter.grad.any()]
    return found | {"zero_grad_params": len(zero)}


COMPONENTS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "i3d": i3d,
    "i3d.unit3d": unit,
    "i3d.inception": inception,
    "i3d.maxpool": pool,
    "classifier": classifier,
    "norm_exchange": norm_exchange,
    "model": whole_model,
    "misa.head": misa_head,
    "misa.losses": misa_losses,
    "misa.mse": misa_mse,
    "mult.attention": mult_attention,
    "mult.transformer": mult_transformer,
    "mult.position_embedding": mult_positions,
    "mult.head": mult_head,
    "gb.weights": gb_weights,
    "train_step": train_step,
}
ADAPTERS = {f"xnorm.xnorm.{name}": adapter for name, adapter in COMPONENTS.items()}
