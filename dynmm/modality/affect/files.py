"""The published names of CMU-MOSEI's and CMU-MOSI's networks, below a log folder.

LOG/{mosei,mosi}/{reg,clf}_{transformer,gru}_{encoder,head}_{visual,audio,text}.pt
LOG/{mosei,mosi}/{ef_gru,lf_gru,ef_tran,lf_tran,mult,lrtf}.pt
LOG/{mosei,mosi}/dyn_enc_{enc}_reg_{reg}freeze{True,False}.pt
"""

from pathlib import Path

from dynmm.modality.affect.networks import MODALITIES, encoder_name, fusion_name, modality_index
from dynmm.modality.networks.checkpoints import ExpertFiles


def expert_files(log: Path, data: str, mod: int, enc: str = "transformer", clf: bool = False) -> ExpertFiles:
    """Files of affect_uni. data: mosei or mosi; mod: 0 visual, 1 audio, any other text."""
    task, name = "clf" if clf else "reg", MODALITIES[modality_index(mod)]
    return ExpertFiles(*(log / data / f"{task}_{encoder_name(enc)}_{part}_{name}.pt" for part in ("encoder", "head")))


def fusion_file(log: Path, data: str, fusion: int | str) -> Path:
    """File of affect_mm. data: mosei or mosi; fusion: number or name of the fusion."""
    return log / data / f"{fusion_name(fusion)}.pt"


def dynamic_file(log: Path, data: str, enc: str, reg: float, freeze: bool) -> Path:
    """File of affect_dyn; published without an underscore before freeze."""
    return log / data / f"dyn_enc_{enc}_reg_{float(reg)}freeze{freeze}.pt"
