"""Saved models of X-Norm: ours and published ones, both a state dict under "model", and the published file names."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from common.checkpoint import load_published, safe_load, save_atomically
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path

# Stands in every checkpoint that these scripts write, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: xnorm"


def content(state: Mapping[str, Any]) -> dict[str, Any]:
    """What every checkpoint holds: the weights under the published key names, and who made it."""
    return {"model": dict(state), "made_by": MADE_BY}


def published_name(args: Namespace) -> str:
    """The name that the published script gives its best checkpoint; misa's and mult's lack the seed there."""
    if args.fusion in ("misa", "mult"):
        return f"{args.fusion}.pt"
    if args.fusion == "gb":
        return f"gb_{args.seed}.pt"
    return f"{args.fusion}_{args.ablation}_{args.seed}_{args.weight}.pt"


def write_published(args: Namespace, state: Mapping[str, Any]) -> Path:
    """The weights as the published script saves them, {"model": state dict}, in --ckpt_path."""
    path = args.ckpt_path / published_name(args)
    save_atomically({"model": dict(state)}, path)
    return path


def load_model(model: nn.Module, path: Path, hint: str) -> tuple[Mapping[str, Any] | None, dict[str, object]]:
    """Load a saved model, ours or published, into the bare network.

    hint: what a wrong shape may come from. Returns what training goes on from ("ours", None for a published file and
    for best.pt), and what run.json says of the file.
    Raises UserError naming file and entry, and leaves the network as it was, if it does not fit.
    """
    found = safe_load(path)
    if not isinstance(found, dict) or "model" not in found:
        raise UserError(f"{path}: expected a checkpoint with the key model, as this script and the published one write")
    load_published(model, found["model"], path, hint)
    ours = found.get("made_by") == MADE_BY
    return found.get("ours"), {"file": shown_path(path), "sha256": sha256_of(path), "ours": ours}
