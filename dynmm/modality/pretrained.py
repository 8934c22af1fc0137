"""Files that a network starts from, or that --eval-only tests, and what a run's record says of them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from common.checkpoint import load_published, safe_load
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path
from dynmm.modality.checkpoints import MADE_BY, expert_file, load_network

Part = tuple[nn.Module, Path]
# What changes a network's answer without changing the shape of its weights.
HELD = ("padding", "lrtf")


def load_parts(
    parts: Sequence[Part], command: str, quirks: Mapping[str, str], prefix: str = ""
) -> list[dict[str, Any]]:
    """Load each file into its part of a network; what run.json says of each.

    command: what trains them; prefix: see `expert_file`; quirks: of this run, whose padding and lrtf a file of ours
    must share.
    Raises UserError naming the file that is missing, damaged or does not fit.
    """
    found = []
    for part, path in parts:
        path = expert_file(path, prefix, command)
        facts = load_network(part, path)
        config = facts["config"]
        for name in HELD:
            if config.get(name, quirks.get(name)) != quirks.get(name, config.get(name)):
                raise UserError(
                    f"{path}: was trained with --quirk {name}={config[name]}, this run has {name}={quirks[name]}; give "
                    "the same, or train it anew"
                )
        found.append(facts)
    return found


def combined(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One entry for run.json over several files: sha256 over theirs where there is more than one."""
    digests = [str(facts["sha256"]) for facts in files]
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return {
        "file": ", ".join(str(facts["file"]) for facts in files),
        "sha256": digest,
        "published": any(facts["published"] for facts in files),
        "standin": any(facts["standin"] for facts in files),
        "files": [dict(facts) for facts in files],
    }


def as_checkpoint(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The same as run.json has it of a checkpoint that is tested."""
    return {**weights, "ours": not weights["published"]}


def continued(model: nn.Module, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load one of our last.pt to go on from, for --resume PATH: its content, and what run.json says of it.

    Raises UserError for any other file.
    """
    content = safe_load(path)
    if not isinstance(content, dict) or content.get("made_by") != MADE_BY or "optimizer" not in content:
        raise UserError(f"--resume {path}: expected the last.pt of a run of this script")
    load_published(model, content["model"], path, " (another script, or other sizes?)")
    return content, {"file": shown_path(path), "sha256": sha256_of(path), "ours": True}
