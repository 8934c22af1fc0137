"""What each golden component of X-Norm's training loop is in this repository."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.training.step import clipped_step, grad_scaler
from tests.support.golden_cases import Case
from tests.support.run_folders import RememberedRun
from tests.support.xnorm_runs import settings_of
from xnorm.blending import estimate_weights
from xnorm.data import evaluated_rows, held_rows
from xnorm.evaluate import Evaluation, published_line
from xnorm.methods.gradient_blending import Blended
from xnorm.recipe import build_optimizer, build_plateau, build_selection, keep_best


def optimizer_steps(case: Case) -> dict[str, Any]:
    c = case.config
    p0, p1, frozen, *gradients = case.tensors("p0", "p1", "frozen", "g0", "g1")
    model = nn.ParameterList([nn.Parameter(p0), nn.Parameter(p1), nn.Parameter(frozen, requires_grad=False)])
    optimizer, scaler = build_optimizer(model, c["learning_rate"], c["weight_decay"]), grad_scaler("fp32")
    found: dict[str, Any] = {}
    for step in range(c["steps"]):
        loss = sum((p * g[step]).sum() for p, g in zip(model[:2], gradients, strict=True))  # its gradients are g
        found[f"norm_{step}"] = clipped_step(loss, optimizer, scaler, c["clip"])
        found |= {f"p{number}_{step}": model[number].detach().clone() for number in (0, 1)}
    return found | {"frozen": model[2]}


def evaluation(case: Case) -> dict[str, Any]:
    c = case.config
    assert c["drop_last"]
    logits, labels = case.tensors("logits", "labels")
    rows = evaluated_rows(len(labels), c["batch_size"], keep_last=False)
    scores = Evaluation(logits, labels).scores(["a", "b", "c"], rows)
    printed = [ord(character) for character in published_line(scores) + "\n"]
    return {"loss": scores["loss"], "acc": scores["acc"] / 100, "printed": printed}


def schedule(case: Case) -> dict[str, Any]:
    """The decisions of `xnorm.train` after each epoch."""
    c, model = case.config, nn.Linear(1, 1)
    optimizer = build_optimizer(model, c["learning_rate"], weight_decay=1e-4)
    scheduler, (best, stopping) = build_plateau(optimizer, c["when"]), build_selection(c["patience"])
    rates, saved = [], []
    for epoch in range(1, c["num_epochs"] + 1):
        if stopping.over:
            break
        rates.append(optimizer.param_groups[0]["lr"])
        loss, accuracy = (float(case.inputs[name][epoch - 1]) for name in ("val_loss", "val_acc"))
        kept = keep_best(best, epoch, accuracy, model)
        stopping.update(epoch, loss)
        saved += [epoch] if kept and accuracy > 0 else []  # without an accuracy the published loop keeps none
        optimizer.step()
        scheduler.step(loss)
    last = optimizer.param_groups[0]["lr"]
    return {
        "epochs": len(rates),
        "lr": rates,
        "saved_epochs": saved,
        "best_epoch": best.epoch,
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


class InOrder(list):
    """Batches that are the same in every epoch."""

    def of_epoch(self, epoch: int) -> "InOrder":
        return self


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
    settings = settings_of("gb", **{name: c[name] for name in names})
    estimate = estimate_weights(settings, RememberedRun(), model, parts, None)
    return {"losses": estimate.losses, "weights": estimate.weights}


ADAPTERS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "xnorm.xnorm.solver.optimizer": optimizer_steps,
    "xnorm.xnorm.solver.evaluate": evaluation,
    "xnorm.xnorm.solver.schedule": schedule,
    "xnorm.xnorm.gb.estimate": gb_estimate,
}
