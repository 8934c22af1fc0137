"""What each golden component of CEN's segmentation is in this repository."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cen.exchange import exchange_channels, penalised_slices, scale_penalty
from cen.semantic_segmentation import transforms as T
from cen.semantic_segmentation.datasets import NYUDV2
from cen.semantic_segmentation.evaluate import enlarge, evaluate
from cen.semantic_segmentation.losses import segmentation_loss
from cen.semantic_segmentation.model import Bottleneck, CRPBlock, RCUBlock, RefineNet
from cen.semantic_segmentation.optimizers import parameter_groups, stage_optimizers
from cen.semantic_segmentation.optimizers import step as optimizer_step
from cen.semantic_segmentation.pictures import Look, draw_panel
from cen.semantic_segmentation.pretrained import start_from_imagenet
from cen.semantic_segmentation.scales import slimming_figures
from cen.semantic_segmentation.schedule import epoch_plans
from cen.semantic_segmentation.selection import Selection
from cen.semantic_segmentation.train import freeze_norms
from common.datasets.images import read_colour, read_depth, read_mask
from common.metrics.segmentation import ConfusionMatrix, segmentation_scores
from tests.support.golden_cases import Case
from tests.support.run_folders import RememberedRun


def streams_of(prefix: str, tensors: list[Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{index}": tensor for index, tensor in enumerate(tensors)}


def exchange(case: Case) -> dict[str, Any]:
    x = [tensor.requires_grad_() for tensor in case.numbered("x")]
    y = exchange_channels(x, case.numbered("gamma"), case.config["threshold"])
    sum((out * g).sum() for out, g in zip(y, case.numbered("g"), strict=True)).backward()
    return streams_of("y", y) | streams_of("dx", [tensor.grad for tensor in x])


def bottleneck(case: Case) -> dict[str, Any]:
    c = case.config
    block = case.fill(
        Bottleneck(c["inplanes"], c["planes"], c["stride"], c["downsample"], c["num_parallel"], c["bn_threshold"])
    )
    x = [tensor.requires_grad_() for tensor in case.numbered("x")]
    y = block(torch.cat(x)).chunk(len(x))
    sum((out * g).sum() for out, g in zip(y, case.numbered("g"), strict=True)).backward()
    gradients = {f"grad/{name}": parameter.grad for name, parameter in block.named_parameters()}
    return streams_of("y", y) | streams_of("dx", [tensor.grad for tensor in x]) | gradients


def stacked(block: nn.Module, case: Case) -> dict[str, Any]:
    x = case.numbered("x")
    return streams_of("y", block(torch.cat(x)).chunk(len(x)))


def rcu_block(case: Case) -> dict[str, Any]:
    assert case.config["num_stages"] == 2
    return stacked(case.fill(RCUBlock(case.config["planes"], case.config["num_blocks"])), case)


def crp_block(case: Case) -> dict[str, Any]:
    return stacked(case.fill(CRPBlock(case.config["planes"], case.config["num_stages"])), case)


def network(config: dict[str, Any], dropout: float = 0.5) -> RefineNet:
    return RefineNet(
        config["num_layers"],
        config["num_classes"],
        config["num_parallel"],
        config["bn_threshold"],
        dropout=config.get("dropout", dropout),
    )


@torch.no_grad()
def refinenet(case: Case) -> dict[str, Any]:
    *streams, ensemble = (outputs := case.fill(network(case.config))(case.tensors(*case.config["inputs"])))[0]
    return streams_of("stream", streams) | {"ensemble": ensemble, "alpha_soft": outputs[1]}


def imagenet_init(case: Case) -> dict[str, Any]:
    model = case.fill(network(case.config))
    changed = set(start_from_imagenet(model, case.state("state_source"), Path("source")))
    state = model.state_dict()
    after = {f"after/{name}": state[name] for name in case.config["watch"]}
    return after | {"changed": np.array([name in changed for name in state])}


def param_groups(case: Case) -> dict[str, Any]:
    streams = len(case.config["inputs"])
    model = RefineNet(case.config["num_layers"], 40, streams, 0.02)
    names = [name for name, _ in model.named_parameters()]
    assert names == list(case.facts["state"]["params"])
    encoder, _ = parameter_groups(model)
    ids = {id(parameter) for parameter in encoder}
    slices = penalised_slices(model.named_parameters(), "bn2")
    return {
        "group": np.array([1 if id(parameter) in ids else 2 for parameter in model.parameters()]),
        "slim": np.array([[names.index(part.name), part.start, part.stop] for part in slices]),
    }


def loss(case: Case) -> dict[str, Any]:
    logits = [tensor.requires_grad_() for tensor in case.numbered("logits")]
    gammas = [nn.Parameter(tensor) for tensor in case.numbered("gamma")]
    scales = {f"bn2.{index}.weight": gamma for index, gamma in enumerate(gammas)}
    penalty = scale_penalty(scales, penalised_slices(scales.items(), "bn2"))
    target = case.tensors("mask")[0].long()
    value = segmentation_loss(logits, target, penalty, case.config["lamda"], case.config["ignore_label"])
    value.backward()
    gradients = streams_of("dlogits", [tensor.grad for tensor in logits])
    return {"loss": value} | gradients | streams_of("dgamma", [gamma.grad for gamma in gammas])


def train_step(case: Case) -> dict[str, Any]:
    c = case.config
    model = case.fill(network(c))
    rates, momenta, decays = ((c[f"{name}_enc"], c[f"{name}_dec"]) for name in ("lr", "mom", "wd"))
    optimizers = stage_optimizers(model, rates, momenta, decays, c["optim_dec"])
    if c["freeze_bn"]:
        freeze_norms(model)
    slices = penalised_slices(model.named_parameters(), "bn2")
    parameters = dict(model.named_parameters())
    inputs, target = case.tensors(*c["inputs"]), case.tensors("mask")[0].long()
    scaler, found, losses = torch.amp.GradScaler(enabled=False), {}, []
    for step in (1, 2, 3):
        outputs, _ = model(inputs)
        value = segmentation_loss(outputs, target, scale_penalty(parameters, slices), c["lamda"], c["ignore_label"])
        losses.append(value.item())
        optimizer_step(value, optimizers, scaler)
        if step == 1:
            found |= {f"grad1/{name}": parameters[name].grad.clone() for name in c["watch_grad"]}
        state = model.state_dict()
        found |= {f"param{step}/{name}": state[name].clone() for name in c["watch"]}
    penalised = torch.cat([parameters[part.name].detach()[part.start : part.stop] for part in slices])
    return found | {"losses": np.array(losses), "log3": np.array(slimming_figures(penalised, c["bn_threshold"]))}


def schedule(case: Case) -> dict[str, Any]:
    c = case.config
    resume = c.get("resume", {"epoch_start": 0, "best_val": 0.0})
    selection, scores = Selection(resume["best_val"]), iter(case.inputs["scores"])
    trained, validated, saves = [], [], []
    for plan in epoch_plans(c["num_epoch"], c["lr_enc"], c["lr_dec"], c["val_every"], resume["epoch_start"]):
        trained.append([plan.epoch, plan.lr_enc, plan.lr_dec])
        if plan.validates:
            score = float(next(scores))
            validated.append([plan.epoch, score])
            saves.append([selection.update(plan.epoch, score), plan.epoch, selection.stored])
    return {"trained": np.array(trained), "validated": np.array(validated), "saves": np.array(saves)}


def saver(case: Case) -> dict[str, Any]:
    selection, rows = Selection(case.config["best_val"]), []
    for epoch, value in enumerate(case.inputs["values"]):
        rows.append([selection.update(epoch, float(value)), selection.best.score, selection.stored])
    return {"rows": np.array(rows)}


def scores(case: Case) -> dict[str, Any]:
    confusion = ConfusionMatrix(case.config["num_classes"])
    confusion.update(*case.tensors("gt", "pred"))
    empty = ConfusionMatrix(case.config["num_classes"])
    return {
        "confusion": confusion.counts,
        "scores": as_row(segmentation_scores(confusion.counts)),
        "scores_of_empty": as_row(segmentation_scores(empty.counts)),
    }


def as_row(found: Any) -> np.ndarray:
    return np.array([found.pixel_acc, found.mean_acc, found.miou])


class Answers(nn.Module):
    """Stands for a network: the i-th call answers the i-th image's logits."""

    def __init__(self, logits: list[Tensor]) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(len(logits) - 1))
        self.answers = iter(zip(*(tensor.split(1) for tensor in logits), strict=True))

    def forward(self, _: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        return list(next(self.answers)), self.alpha.softmax(0)


def validation(case: Case) -> dict[str, Any]:
    logits, masks = case.numbered("logits"), case.tensors("masks")[0]
    names = ["rgb"] * (len(logits) - 1)
    batches = [{"mask": mask[None].long(), "rgb": mask} for mask in masks]
    confusions: list[Tensor] = []

    def see(batch: dict[str, Tensor], maps: list[Tensor]) -> None:
        confusions.append(torch.stack([count(batch["mask"], m, case.config["num_classes"]) for m in maps]))

    found = evaluate(Answers(logits), batches, names, case.config["num_classes"], RememberedRun(), see)
    return {
        "confusion": torch.stack(confusions).sum(0),
        "scores": np.stack([as_row(score) for score in found.outputs.values()]),
        "returned": np.array(found.miou),
        "upsampled0": enlarge(logits[0][:1], masks.shape[1:])[0].permute(1, 2, 0),
    }


def count(target: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    confusion = ConfusionMatrix(num_classes)
    confusion.update(target, prediction)
    return confusion.counts.clone()


def reader(case: Case) -> dict[str, Any]:
    readers = {"rgb": read_colour, "depth": read_depth, "mask": read_mask}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, array in case.inputs.items():
            path = Path(folder) / f"{name}.png"
            path.write_bytes(array.tobytes())
            found[name] = readers[name.split("_")[0]](path)
    return found


class OfficialDraws:
    """numpy's legacy generator behind the calls that our transforms make; keeps what it drew."""

    def __init__(self, seed: int) -> None:
        self.state, self.draws = np.random.RandomState(seed), []

    def uniform(self, low: float, high: float) -> float:
        self.draws.append(self.state.uniform(low, high))
        return self.draws[-1]

    def integers(self, high: int) -> int:
        self.draws.append(self.state.randint(high))
        return self.draws[-1]


def step(sample: T.Sample, rng: OfficialDraws, name: str, arguments: list[Any]) -> Any:
    chain: dict[str, Callable[..., Any]] = {
        "CropAlignToMask": lambda: T.crop_align_to_mask(sample),
        "ResizeAlignToMask": lambda: T.resize_align_to_mask(sample),
        "ResizeAndScale": lambda *a: T.resize_and_scale(sample, rng, *a),
        "Pad": lambda *a: T.pad(sample, *a),
        "RandomMirror": lambda: T.random_mirror(sample, rng),
        "RandomCrop": lambda size: T.random_crop(sample, rng, size),
        "ResizeInputs": lambda size: T.resize_inputs(sample, size),
        "Normalise": lambda scale, mean, std, depth: T.normalise(
            sample, T.Normalisation(scale, tuple(mean), tuple(std), depth)
        ),
        "ToTensor": lambda: T.to_tensor(sample),
    }
    return chain[name](*arguments)


def transform(case: Case) -> dict[str, Any]:
    found = {}
    for run in case.config["runs"]:
        rng, sample = OfficialDraws(run.get("seed", 0)), dict(case.inputs)
        for name, arguments in run["chain"]:
            sample = step(sample, rng, name, arguments)
        found |= {f"{run['name']}/{key}": array for key, array in sample.items()}
        found[f"{run['name']}/draws"] = np.array(rng.draws, dtype=np.float64)
    return found


def picture(case: Case) -> dict[str, Any]:
    inputs = {name: case.inputs[name][0] for name in ("rgb", "depth") if name in case.inputs}
    look = Look(list(inputs), T.Normalisation(), NYUDV2.classes, NYUDV2.colours, NYUDV2.ignore)
    return {"image": draw_panel(look, inputs, case.inputs["mask"][0], case.inputs["pred"][0])}


SEGMENTATION = {
    "exchange": exchange,
    "bottleneck": bottleneck,
    "rcu_block": rcu_block,
    "crp_block": crp_block,
    "refinenet": refinenet,
    "imagenet_init": imagenet_init,
    "param_groups": param_groups,
    "loss": loss,
    "train_step": train_step,
    "schedule": schedule,
    "saver": saver,
    "scores": scores,
    "validate": validation,
    "dataset.reader": reader,
    "validation_image": picture,
    "transforms.align_to_mask": transform,
    "transforms.resize_and_scale": transform,
    "transforms.pad_crop_mirror": transform,
    "transforms.normalise": transform,
    "transforms.train_pipeline": transform,
    "transforms.val_pipeline": transform,
}
ADAPTERS = {f"cen.semantic_segmentation.{name}": adapter for name, adapter in SEGMENTATION.items()}
