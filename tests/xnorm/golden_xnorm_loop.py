"""What each golden component of X-Norm's training loop is in this repository."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.metrics.classification import classification_scores
from golden_cases import Case
from run_folders import RememberedRun
from xnorm.blending import EstimateBatches, estimated_weights, held_rows
from xnorm.evaluate import published_line
from xnorm.methods.gradient_blending import Blended
from xnorm.progress import Progress
from xnorm.schedule import plateau
from xnorm.steps import build_optimizer, update
from xnorm_runs import arguments


def optimizer_steps(case: Case) -> dict[str, Any]:
    c = case.config
    p0, p1, frozen, *gradients = case.tensors("p0", "p1", "frozen", "g0", "g1")
    model = nn.ParameterList([nn.Parameter(p0), nn.Parameter(p1), nn.Parameter(frozen, requires_grad=False)])
    args = arguments("rgb", learning_rate=c["learning_rate"], weight_decay=c["weight_decay"])
    optimizer, scaler = build_optimizer(args, model), torch.amp.GradScaler(enabled=False)
    found: dict[str, Any] = {}
    for step in range(c["steps"]):
        loss = sum((p * g[step]).sum() for p, g in zip(model[:2], gradients, strict=True))  # its gradients are g
        found[f"norm_{step}"] = update(loss, optimizer, scaler, c["clip"])
        found |= {f"p{number}_{step}": model[number].detach().clone() for number in (0, 1)}
    return found | {"frozen": model[2]}


def evaluation(case: Case) -> dict[str, Any]:
    c = case.config
    assert c["drop_last"]
    logits, labels = case.tensors("logits", "labels")
    rows = len(labels) // c["batch_size"] * c["batch_size"]
    scores = classification_scores(logits[:rows], labels[:rows], ["a", "b", "c"])
    printed = [ord(character) for character in published_line(scores) + "\n"]
    return {"loss": scores["loss"], "acc": scores["acc"] / 100, "printed": printed}


def schedule(case: Case) -> dict[str, Any]:
    """The decisions of `xnorm.train` after each epoch."""
    c, model = case.config, nn.Linear(1, 1)
    optimizer = build_optimizer(arguments("rgb", learning_rate=c["learning_rate"]), model)
    scheduler, progress = plateau(optimizer, c["when"]), Progress(c["patience"])
    rates, saved = [], []
    for epoch in range(1, c["num_epochs"] + 1):
        if progress.stopping.over:
            break
        rates.append(optimizer.param_groups[0]["lr"])
        loss, accuracy = (float(case.inputs[name][epoch - 1]) for name in ("val_loss", "val_acc"))
        progress.take(epoch, accuracy, loss, model)
        saved += [epoch] if progress.best.epoch == epoch else []
        optimizer.step()
        scheduler.step(loss)
    last = optimizer.param_groups[0]["lr"]
    return {
        "epochs": progress.done,
        "lr": rates,
        "saved_epochs": saved,
        "best_epoch": progress.selected,
        "final_lr": last,
    }


class LinearHeads(nn.Module):
    """The stand-in of the case: three linear maps in the place of the networks of Gradient-Blending."""

    def __init__(self, rgb: int, flow: int, classes: int) -> None:
        super().__init__()
        self.rgb_out, self.flow_out = nn.Linear(rgb, classes), nn.Linear(flow, classes)
        self.out = nn.Linear(rgb + flow, classes)

    def forward(self, rgb: Tensor, flow: Tensor) -> Blended:
        return Blended(self.rgb_out(rgb), self.flow_out(flow), self.out(torch.cat([rgb, flow], dim=1)))


class Features(NamedTuple):
    """A batch whose clips are features."""

    rgb: Tensor
    flow: Tensor
    labels: Tensor

    def on(self, device: torch.device) -> "Features":
        return self


class InOrder(list):
    """Batches that are the same in every epoch."""

    batch_sampler = SimpleNamespace(epoch=0)


def gb_estimate(case: Case) -> dict[str, Any]:
    c = case.config
    a, b, y = case.tensors("a", "b", "y")
    model = case.fill(LinearHeads(a.shape[1], b.shape[1], c["num_classes"]))
    size, held = c["batch_size"], held_rows(len(y), c["batch_size"])
    rows = {"fit": range(held, len(y) - size + 1, size), "held": range(0, held - size + 1, size)}
    parts = {
        name: InOrder(Features(a[i : i + size], b[i : i + size], y[i : i + size]) for i in starts)
        for name, starts in rows.items()
    }
    names = ("batch_size", "num_gb_epochs", "learning_rate", "weight_decay", "clip")
    args, progress = arguments("gb", **{name: c[name] for name in names}), Progress(5)
    weights = estimated_weights(args, RememberedRun(), model, EstimateBatches(**parts), progress)
    return {"losses": progress.estimate["losses"], "weights": weights}


ADAPTERS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "xnorm.xnorm.solver.optimizer": optimizer_steps,
    "xnorm.xnorm.solver.evaluate": evaluation,
    "xnorm.xnorm.solver.schedule": schedule,
    "xnorm.xnorm.gb.estimate": gb_estimate,
}
