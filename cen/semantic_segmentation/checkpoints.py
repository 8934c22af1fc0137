"""Saved networks of CEN's segmentation: ours, and those that the published script leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from common.checkpoint import load_published, safe_load
from common.errors import UserError
from common.published_weights import checkpoint_facts

# Stands in every checkpoint that this script writes, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: cen.semantic_segmentation"

# A published checkpoint's best_val is a numpy float64: all that its file needs beyond tensors.
_scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]  # numpy's stubs leave it out
PUBLISHED_GLOBALS = [
    _scalar,
    (_scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]


class Start(NamedTuple):
    """Where training begins.

    epoch: the first one. best_val: only a higher score is a new best. ours: what a last.pt of ours holds beside the
    published keys, where training goes on after its epoch exactly as if it had never stopped; else None.
    """

    epoch: int = 0
    best_val: float = 0.0
    ours: Mapping[str, Any] | None = None


def content(model: nn.Module, epoch: int, best_val: float) -> dict[str, Any]:
    """What every checkpoint holds: the published keys, with weights as under DataParallel, and who made it."""
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    return {"segmenter": weights, "made_by": MADE_BY, "epoch_start": epoch, "best_val": best_val}


def load_model(model: nn.Module, path: Path, said_to_be_published: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load a checkpoint, published (`.pth.tar`) or ours, into the bare network.

    Returns its content, "segmenter" (state dict), "epoch_start" (int), "best_val" (float), and in a last.pt of ours
    "ours"; and what run.json says of the file.
    Raises UserError naming file and entry, and leaves the network as it was, if it does not fit.
    """
    found = safe_load(path, PUBLISHED_GLOBALS)
    if not isinstance(found, dict) or "segmenter" not in found:
        raise UserError(f"{path}: expected a checkpoint with the keys segmenter, epoch_start and best_val")
    load_published(model, found["segmenter"], path, _hint(found["segmenter"], model))
    found["epoch_start"] = int(found.get("epoch_start", 0))
    found["best_val"] = float(found.get("best_val", 0.0))
    return found, checkpoint_facts(path, found.get("made_by") == MADE_BY, said_to_be_published)


def _hint(state: object, model: nn.Module) -> str:
    """What to do about a checkpoint that does not fit, as far as its shapes tell."""
    if not isinstance(state, Mapping):
        return ""
    state = {name.removeprefix("module."): value for name, value in state.items()}
    own = model.state_dict()
    for name, flag, axis in (("clf_conv.module.weight", "--num-classes", 0), ("alpha", "number of --input", 0)):
        if name in state and isinstance(state[name], Tensor) and state[name].dim():
            size = state[name].shape[axis]
            if size != own[name].shape[axis]:
                return f" (the checkpoint's {flag} is {size}, yours {own[name].shape[axis]})"
    return " (another --enc or --width?)"
