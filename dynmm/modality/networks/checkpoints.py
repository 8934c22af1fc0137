"""Files of networks and experts: what they hold, how they are read, and what a run's record says of them.

A file holds {"state": the state dict under published names, "config": what the network was built with}, not the
whole pickled module of the published scripts, which cannot be read without executing it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from common.checkpoint import ForbiddenGlobalError, load_published, safe_load, save_atomically
from common.errors import UserError
from common.published_weights import checkpoint_facts, weights_facts
from dynmm.modality.networks.fusion import LowRankTensorFusion

# Stands in every file that these scripts write, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: dynmm.modality"
# What changes a network's answer without changing the shape of its weights.
HELD = ("padding", "lrtf")

Facts = dict[str, Any]
Part = tuple[nn.Module, Path]  # of a network, and the file that it is kept in


class ExpertFiles(NamedTuple):
    """The two files of a single-modality expert."""

    encoder: Path
    head: Path


def files_beside(encoder: Path) -> ExpertFiles:
    """The files of an expert whose encoder's is named: the head's has "head" for "encoder" in its name."""
    return ExpertFiles(encoder, encoder.with_name(encoder.name.replace("encoder", "head")))


def expert_file(path: Path, prefix: str, command: str) -> Path:
    """The file of an expert that is to be loaded: PREFIX and name where that is there, else the name itself.

    prefix: "b1_" or "b2_", under which the published affect_dyn looks for copies; "" for none.
    command: what trains the expert. Raises UserError naming file and command where neither is there.
    """
    copy = path.with_name(prefix + path.name)
    for candidate in (copy, path):
        if candidate.is_file():
            return candidate
    also = f" (nor {copy.name})" if prefix else ""
    raise UserError(f"{path}: no such expert{also}; train it first: {command}")


def save_network(module: nn.Module, path: Path, config: Mapping[str, Any]) -> str:
    """Write a network's state and config (plain values) atomically; the folder is made. Returns the sha256.

    config: sizes and settings; "standin": True where it was trained on a stand-in.
    Buffers outside the state dict (an untrained low-rank fusion's) are written beside it: without them the
    network would be another one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "made_by": MADE_BY,
        "config": dict(config),
        "state": module.state_dict(),
        "fixed": _fixed(module),
    }
    return save_atomically(content, path)


def load_network(module: nn.Module, path: Path, said_to_be_published: bool = False) -> Facts:
    """Load a file of save_network, or a bare state dict with the published names, into the network.

    Returns what run.json says of it: `weights_facts`, "ours" (whether these scripts wrote it) and the file's config.
    Raises UserError naming the file for a published whole-module pickle, damage, or entries that do not fit.
    """
    content = _read(path)
    ours = isinstance(content, Mapping) and content.get("made_by") == MADE_BY
    load_published(module, content["state"] if ours else content, path, " (another network, or another --narrow?)")
    config = content["config"] if ours else {}
    _restore(module, content["fixed"] if ours else {}, path)
    facts = weights_facts([path], said_to_be_published and not ours, bool(config.get("standin", False)))
    return facts | {"ours": ours, "config": config}


def load_parts(
    parts: Sequence[Part], command: str, quirks: Mapping[str, str], said_to_be_published: bool, prefix: str = ""
) -> list[Facts]:
    """Load each file into its part of a network; what run.json says of each.

    command: what trains them; prefix: see `expert_file`; quirks: of this run, whose padding and lrtf a file of ours
    must share.
    Raises UserError naming the file that is missing, damaged or does not fit.
    """
    found = []
    for part, path in parts:
        path = expert_file(path, prefix, command)
        facts = load_network(part, path, said_to_be_published)
        config = facts["config"]
        for name in HELD:
            if config.get(name, quirks.get(name)) != quirks.get(name, config.get(name)):
                raise UserError(
                    f"{path}: was trained with --quirk {name}={config[name]}, this run has {name}={quirks[name]}; give "
                    "the same, or train it anew"
                )
        found.append(facts)
    return found


def combine_facts(files: Sequence[Facts]) -> Facts:
    """One entry for run.json over several files.

    sha256: over theirs where there is more than one. published, ours: all of them are; standin: any of them is.
    """
    digests = [str(facts["sha256"]) for facts in files]
    published = all(facts["published"] for facts in files)
    by_hash = all(facts["published_by"] == "hash" for facts in files)
    return {
        "file": ", ".join(str(facts["file"]) for facts in files),
        "sha256": digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
        "published": published,
        "published_by": None if not published else "hash" if by_hash else "user",
        "standin": any(facts["standin"] for facts in files),
        "ours": all(facts["ours"] for facts in files),
        "files": list(files),
    }


def load_state(model: nn.Module, path: Path) -> tuple[Mapping[str, Any], Facts]:
    """Load one of our last.pt, named by --resume PATH.

    Returns what training goes on from, and what run.json says of the file. Raises UserError for any other file.
    """
    content = safe_load(path)
    if not isinstance(content, dict) or content.get("made_by") != MADE_BY or "ours" not in content:
        raise UserError(f"--resume {path}: expected the last.pt of a run of this script")
    load_published(model, content["model"], path, " (another script, or other sizes?)")
    return content["ours"], checkpoint_facts(path, ours=True, said_to_be_published=False)


def _read(path: Path) -> Any:
    try:
        return safe_load(path)
    except ForbiddenGlobalError as error:
        raise UserError(
            f"{error}. The published scripts pickle whole modules: where you trust the file, write its "
            "state_dict() to a new one with torch.save, beside the published code, and name that"
        ) from error


def _fixed(module: nn.Module) -> dict[str, Tensor]:
    """What untrained low-rank fusions keep outside the state dict."""
    return {
        f"{prefix}.{name}".lstrip("."): buffer
        for prefix, part in module.named_modules()
        if isinstance(part, LowRankTensorFusion)
        for name, buffer in part.named_buffers()
    }


def _restore(module: nn.Module, fixed: Mapping[str, Tensor], path: Path) -> None:
    own = _fixed(module)
    for name, buffer in own.items():
        if name not in fixed or fixed[name].shape != buffer.shape:
            raise UserError(
                f"{path}: lacks '{name}' {tuple(buffer.shape)}: the untrained factors of --quirk lrtf=official, "
                "which a bare state dict does not hold. Train the network anew, or with --quirk lrtf=trained"
            )
    for name, buffer in own.items():
        buffer.copy_(fixed[name])
