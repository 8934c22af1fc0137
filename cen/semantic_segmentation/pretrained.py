"""Weights that a network starts from: ImageNet ResNets into every stream, and published CEN checkpoints."""

import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.backbones.resnet import find_imagenet_file, load_imagenet_state, published_file
from common.checkpoint import load_published, safe_load
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path
from common.standins.marker import is_standin

# A published checkpoint's best_val is a numpy float64: all that its file needs beyond tensors.
PUBLISHED_GLOBALS = [
    np._core.multiarray.scalar,
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]

# Stands in every checkpoint that this script writes, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: cen.semantic_segmentation"


def imagenet_name(name: str) -> str:
    """The torchvision name behind a network's name: no `module.`, no `.bn_<i>`."""
    return re.sub(r"\.bn_\d+", "", name.replace("module.", ""))


@torch.no_grad()
def start_from_imagenet(model: nn.Module, source: Mapping[str, Tensor], path: Path) -> list[str]:
    """Copy an ImageNet ResNet into stem and layers of the bare network, every norm into all streams.

    Decoder and alpha keep their values; the file's fc is not used.
    Returns the names that were overwritten. Raises UserError, before anything is changed, if the file lacks
    an encoder's entry or has it in another shape.
    """
    state, copied = model.state_dict(), []
    for name, value in state.items():
        known = source.get(imagenet_name(name))
        if known is None:
            if re.match(r"conv1|bn1|layer", name) and not name.endswith("num_batches_tracked"):
                raise UserError(f"{path}: lacks '{imagenet_name(name)}': not the ResNet that --enc asks for")
            continue
        if known.shape != value.shape:
            raise UserError(
                f"{path}: '{imagenet_name(name)}' is {tuple(known.shape)}, this network's is {tuple(value.shape)}: "
                "not the ResNet that --enc and --width ask for"
            )
        copied.append(name)
    for name in copied:
        state[name].copy_(source[imagenet_name(name)])
    return copied


def load_imagenet(model: nn.Module, depth: int, given: str | None) -> dict[str, object]:
    """Start from the ImageNet ResNet of that depth, `given` or where it is usually kept; what run.json says of it."""
    path = find_imagenet_file(depth, Path(given) if given else None)
    start_from_imagenet(model, load_imagenet_state(path, depth), path)
    standin = is_standin(path.parent)
    return {"file": shown_path(path), "sha256": sha256_of(path), "published": published_file(path), "standin": standin}


def load_checkpoint(model: nn.Module, path: Path) -> tuple[dict[str, Any], dict[str, object]]:
    """Load a checkpoint, published (`.pth.tar`) or ours, into the bare network.

    Returns its content, "segmenter" (state dict), "epoch_start" (int), "best_val" (float), and in ours more;
    and what run.json says of the file.
    Raises UserError naming file and entry, and leaves the network as it was, if it does not fit.
    """
    content = safe_load(path, PUBLISHED_GLOBALS)
    if not isinstance(content, dict) or "segmenter" not in content:
        raise UserError(f"{path}: expected a checkpoint with the keys segmenter, epoch_start and best_val")
    hint = _hint(content["segmenter"], model)
    load_published(model, content["segmenter"], path, hint)
    content["epoch_start"] = int(content.get("epoch_start", 0))
    content["best_val"] = float(content.get("best_val", 0.0))
    facts = {"file": shown_path(path), "sha256": sha256_of(path), "ours": content.get("made_by") == MADE_BY}
    return content, facts


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


def starting_point(args: Namespace, model: nn.Module, facts: dict[str, Any]) -> dict[str, Any]:
    """Load what the network starts from: the checkpoint of --resume, else ImageNet, else nothing.

    facts: gets what run.json says of the file. Returns the checkpoint's content, or only "epoch_start" and
    "best_val" of a fresh start.
    """
    if args.resume and args.resume != "auto":
        content, facts["checkpoint"] = load_checkpoint(model, Path(args.resume))
        if "ours" not in content and args.quirks["resume_epoch"] == "fixed":
            content["epoch_start"] += 1
        return content
    if args.enc_pretrained:
        facts["weights"] = load_imagenet(model, int(args.enc), args.imagenet)
    return {"epoch_start": 0, "best_val": 0.0}
