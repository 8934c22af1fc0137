"""Saved models of X-Norm: ours and published ones, both a state dict under "model"."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from common.checkpoint import load_published, safe_load, save_atomically
from common.errors import UserError
from common.published_weights import checkpoint_facts

# Stands in every checkpoint that these scripts write, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: xnorm"


def content(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What every checkpoint holds: the weights under the published key names, and who made it."""
    return {"model": dict(state), "made_by": MADE_BY}


def write_published(state: Mapping[str, Tensor], path: Path) -> None:
    """The weights as the published script saves them: {"model": state dict}."""
    save_atomically({"model": dict(state)}, path)


def load_model(
    model: nn.Module, path: Path, hint: str, said_to_be_published: bool
) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
    """Load a saved model, ours or published, into the bare network.

    hint: what a wrong shape may come from. Returns what training goes on from ("ours", None for a published file and
    for best.pt), and what run.json says of the file.
    Raises UserError naming file and entry, and leaves the network as it was, if it does not fit.
    """
    found = safe_load(path)
    if not isinstance(found, dict) or "model" not in found:
        raise UserError(f"{path}: expected a checkpoint with the key model, as this script and the published one write")
    load_published(model, found["model"], path, hint)
    return found.get("ours"), checkpoint_facts(path, found.get("made_by") == MADE_BY, said_to_be_published)
