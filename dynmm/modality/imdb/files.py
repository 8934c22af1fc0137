"""The published names of MM-IMDB's networks, below a log folder.

LOG/imdb/encoder_{text,image}.pt  head_{text,image}.pt  best_{ef,lf,lrtf,mim}.pt
LOG/imdb/DynMMNet_freeze{True,False}_reg_{reg}.pt
"""

from pathlib import Path

from dynmm.modality.imdb.networks import EXPERTS, fusion_name
from dynmm.modality.networks.checkpoints import ExpertFiles


def expert_files(log: Path, mod: int) -> ExpertFiles:
    """Files of imdb_uni. mod: 0 text, 1 image."""
    name = EXPERTS[mod]
    return ExpertFiles(log / "imdb" / f"encoder_{name}.pt", log / "imdb" / f"head_{name}.pt")


def fusion_file(log: Path, fuse: int | str) -> Path:
    """File of imdb_mm. fuse: number or name of the fusion."""
    return log / "imdb" / f"best_{fusion_name(fuse)}.pt"


def dynamic_file(log: Path, freeze: bool, reg: float, data: str = "imdb") -> Path:
    """File of imdb_dyn. data: --data, which names the folder."""
    return log / data / f"DynMMNet_freeze{freeze}_reg_{float(reg)}.pt"
