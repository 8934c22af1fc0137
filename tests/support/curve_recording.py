"""The curve of a training run: what every optimizer step saw, and what the run folder holds at the end.

A run is watched from outside: a script is called through its main(argv), torch's own hooks see the steps, and the
numbers come from the files of the run folder. So a curve stays what it is when everything inside is renamed.
"""

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

FIRST = 6  # steps of each optimizer whose gradient norms are kept
OPTIONS = ("weight_decay", "momentum", "betas", "eps")
ATOL = 1e-6
Curve = dict[str, Any]


class Steps:
    """What the optimizer steps of a run saw, one entry for each optimizer in the order of its first step.

    shake: relative size of noise that every gradient gets before its step, as rounding on another processor would
    give, but larger; 0 for none.
    """

    def __init__(self, shake: float = 0.0) -> None:
        self.shake, self.noise = shake, torch.Generator().manual_seed(0)
        self.optimizers: list[Optimizer] = []
        self.entries: list[dict[str, Any]] = []
        self.words: list[str] = []  # what happened since the last update of the scaler
        self.orders: Counter[str] = Counter()
        self.clipped: dict[str, float] = {}

    def step(self, optimizer: Optimizer, *_: object) -> None:
        """Called before every step of every optimizer."""
        if not any(optimizer is known for known in self.optimizers):
            self.optimizers.append(optimizer)
            self.entries.append(_description(optimizer))
        entry = next(e for o, e in zip(self.optimizers, self.entries, strict=True) if o is optimizer)
        gradients = _gradients(optimizer)
        rates = [group["lr"] for group in optimizer.param_groups]
        if not entry["rates"] or entry["rates"][-1][1:] != rates:
            entry["rates"].append([0, *rates])
        entry["rates"][-1][0] += 1
        if len(entry["first"]) < FIRST:
            entry["first"].append({**self.clipped, "norm": _norm(gradients)})
        self.clipped = {}
        for gradient in gradients if self.shake else ():
            gradient.mul_(1 + self.shake * torch.randn(gradient.shape, generator=self.noise))
        self.words.append("step")

    def clip(self, original: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`original` (torch's clip_grad_norm_), which also notes the norm before the clipping and the largest one."""

        def clip_and_note(parameters: Any, max_norm: float, *args: Any, **kwargs: Any) -> Tensor:
            norm = original(parameters, max_norm, *args, **kwargs)
            self.clipped = {"norm_before": norm.item(), "clip": float(max_norm)}
            self.words.append("clip")
            return norm

        return clip_and_note

    def noted(self, word: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """`original`, a method of GradScaler, which also notes its word; an update ends a step."""

        def note(*args: Any, **kwargs: Any) -> Any:
            self.words.append(word)
            if word == "update":
                self.orders[" ".join(self.words)] += 1
                self.words = []
            return original(*args, **kwargs)

        return note

    def content(self) -> dict[str, Any]:
        """For the curve. orders: how often the parts of a step came in which order."""
        if self.words:
            self.orders[" ".join(self.words)] += 1
        return {"orders": dict(sorted(self.orders.items())), "optimizers": self.entries}


@contextmanager
def watched_steps(shake: float = 0.0) -> Iterator[Steps]:
    """Watches the optimizers, the clipping and the scalers of what runs inside the block."""
    steps, scaler = Steps(shake), torch.amp.GradScaler
    methods = {"scale": "scale", "unscale_": "unscale", "update": "update"}
    noting = {name: steps.noted(word, getattr(scaler, name)) for name, word in methods.items()}
    handle = register_optimizer_step_pre_hook(steps.step)
    try:
        with (
            patch.object(torch.nn.utils, "clip_grad_norm_", steps.clip(torch.nn.utils.clip_grad_norm_)),
            patch.multiple(scaler, **noting),
        ):
            yield steps
    finally:
        handle.remove()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread inside the block.

    With another number sums round otherwise, already in the stand-ins' weights, and CEN's max pooling over walls of
    one colour, whose values are equal but for rounding, passes its gradients to other places.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def record(main: Callable[[list[str]], None], argv: list[str], run_dir: Path, shake: float = 0.0) -> Curve:
    """Run a script with `argv`, which writes to `run_dir`; returns its curve.

    steps: see `Steps`; metrics: the lines of metrics.jsonl; best, last: the numbers at the top level of the
    checkpoints; best_to_last: distance of their weights. Figures stay empty: drawing takes most of a small run's time.
    """
    with watched_steps(shake) as steps, patch.object(Figure, "draw", lambda *_: None):
        main(argv)
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    best, last = (torch.load(run_dir / "checkpoints" / f"{name}.pt", weights_only=True) for name in ("best", "last"))
    curve = {
        "steps": steps.content(),
        "metrics": [json.loads(line) for line in lines],
        "best": _numbers(best),
        "last": _numbers(last),
        "best_to_last": _distance(best, last),
    }
    return json.loads(json.dumps(curve, allow_nan=False))  # tuples as lists, as in the file


def differences(found: Any, kept: Any, rtol: float, where: str = "") -> list[str]:
    """Where two curves differ, one line each. Whole numbers and words must be equal, other numbers close."""
    if isinstance(found, dict) and isinstance(kept, dict) and found.keys() == kept.keys():
        where = f"{where}/{_title(kept)}"
        return [line for key in kept for line in differences(found[key], kept[key], rtol, f"{where}{key}")]
    if isinstance(found, list) and isinstance(kept, list) and len(found) == len(kept):
        pairs = enumerate(zip(found, kept, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, rtol, f"{where}[{index}]")]
    if isinstance(found, float) and isinstance(kept, float) and math.isclose(found, kept, rel_tol=rtol, abs_tol=ATOL):
        return []
    if type(found) is type(kept) and found == kept:
        return []
    return [f"{where}: {_short(found)}, kept {_short(kept)}"]


def largest_difference(found: Any, kept: Any) -> float:
    """Largest relative difference of two numbers of curves of the same form."""
    if isinstance(kept, dict):
        return max((largest_difference(found[key], kept[key]) for key in kept), default=0.0)
    if isinstance(kept, list):
        return max(itertools.starmap(largest_difference, zip(found, kept, strict=True)), default=0.0)
    if isinstance(kept, float) and abs(found - kept) > ATOL:
        return abs(found - kept) / max(abs(found), abs(kept))
    return 0.0


def _description(optimizer: Optimizer) -> dict[str, Any]:
    """Class and options of an optimizer at its first step, and how many parameters learn."""
    options = [{key: group[key] for key in OPTIONS if key in group} for group in optimizer.param_groups]
    learning = sum(gradient.numel() for gradient in _gradients(optimizer))
    return {"class": type(optimizer).__name__, "options": options, "learning": learning, "first": [], "rates": []}


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _norm(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in tensors))


def _numbers(checkpoint: dict[str, Any]) -> dict[str, float]:
    return {key: value for key, value in checkpoint.items() if isinstance(value, int | float) and key != "seconds"}


def _distance(best: dict[str, Any], last: dict[str, Any]) -> float:
    """Distance of the weights, without norms' statistics, of two checkpoints; they lie under the same key."""
    (key,) = [key for key, value in best.items() if _are_weights(value)]
    names = [name for name in best[key] if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    return _norm([best[key][name] - last[key][name] for name in names])


def _are_weights(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(entry, Tensor) for entry in value.values())


def _title(line: dict[str, Any]) -> str:
    """What names a line of metrics.jsonl: "epoch 3 valid "; nothing for other parts of a curve."""
    if "split" not in line:
        return ""
    return f"epoch {line.get('epoch')} {line['split']} {line.get('protocol', '')} "


def _short(value: object) -> str:
    text = sorted(value) if isinstance(value, dict) else value
    text = f"{len(value)} entries" if isinstance(value, list) else repr(text)
    return text if len(text) < 200 else f"{text[:200]} ..."
