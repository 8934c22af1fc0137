"""Files of the modality level under their published names below a log folder, and how they are read.

    LOG/imdb/encoder_{text,image}.pt  head_{text,image}.pt  best_{ef,lf,lrtf,mim}.pt
    LOG/imdb/DynMMNet_freeze{True,False}_reg_{reg}.pt
    LOG/{mosei,mosi}/{reg,clf}_{transformer,gru}_{encoder,head}_{visual,audio,text}.pt
    LOG/{mosei,mosi}/{ef_gru,lf_gru,ef_tran,lf_tran,mult,lrtf}.pt
    LOG/{mosei,mosi}/dyn_enc_{enc}_reg_{reg}freeze{True,False}.pt

A file holds {"state": the state dict under published names, "config": what the network was built with}, not the
whole pickled module of the published scripts, which cannot be read without executing it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from common.checkpoint import ForbiddenGlobalError, load_published, safe_load, save_atomically
from common.errors import UserError
from common.hashing import sha256_of
from common.provenance import shown_path
from dynmm.modality import affect_networks, imdb_networks
from dynmm.modality.fusion import LowRankTensorFusion

# Stands in every file that these scripts write, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: dynmm.modality"


class ExpertFiles(NamedTuple):
    """The two files of a single-modality expert."""

    encoder: Path
    head: Path


def imdb_expert_files(log: Path, mod: int) -> ExpertFiles:
    """Files of imdb_uni. mod: 0 text, 1 image."""
    name = imdb_networks.EXPERTS[mod]
    return ExpertFiles(log / "imdb" / f"encoder_{name}.pt", log / "imdb" / f"head_{name}.pt")


def imdb_fusion_file(log: Path, fuse: int | str) -> Path:
    """File of imdb_mm. fuse: number or name of the fusion."""
    return log / "imdb" / f"best_{imdb_networks.fusion_name(fuse)}.pt"


def imdb_dynamic_file(log: Path, freeze: bool, reg: float, data: str = "imdb") -> Path:
    """File of imdb_dyn. data: --data, which names the folder."""
    return log / data / f"DynMMNet_freeze{freeze}_reg_{float(reg)}.pt"


def affect_expert_files(log: Path, data: str, mod: int, enc: str = "transformer", clf: bool = False) -> ExpertFiles:
    """Files of affect_uni. data: mosei or mosi; mod: 0 visual, 1 audio, any other text."""
    task, enc = "clf" if clf else "reg", affect_networks.encoder_name(enc)
    name = affect_networks.MODALITIES[affect_networks.modality_index(mod)]
    return ExpertFiles(*(log / data / f"{task}_{enc}_{part}_{name}.pt" for part in ("encoder", "head")))


def affect_fusion_file(log: Path, data: str, fusion: int | str) -> Path:
    """File of affect_mm. data: mosei or mosi; fusion: number or name of the fusion."""
    return log / data / f"{affect_networks.fusion_name(fusion)}.pt"


def affect_dynamic_file(log: Path, data: str, enc: str, reg: float, freeze: bool) -> Path:
    """File of affect_dyn; published without an underscore before freeze."""
    return log / data / f"dyn_enc_{enc}_reg_{float(reg)}freeze{freeze}.pt"


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


def load_network(module: nn.Module, path: Path) -> dict[str, Any]:
    """Load a file of save_network, or a bare state dict with the published names, into the network.

    Returns what run.json says of it: file, sha256, published (whether it was not written by these scripts),
    standin, and the file's config.
    Raises UserError naming the file for a published whole-module pickle, damage, or entries that do not fit.
    """
    content = _read(path)
    ours = isinstance(content, Mapping) and content.get("made_by") == MADE_BY
    load_published(module, content["state"] if ours else content, path, " (another network, or another --narrow?)")
    config = content["config"] if ours else {}
    _restore(module, content["fixed"] if ours else {}, path)
    facts = {"file": shown_path(path), "sha256": sha256_of(path), "published": not ours}
    return facts | {"standin": bool(config.get("standin", False)), "config": config}


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
