"""The command lines of the three scripts on CMU-MOSEI and CMU-MOSI."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.flags import Parser, parse_quirks
from dynmm.modality.affect.networks import check_width, fusion_name
from dynmm.modality.flags import (
    BEST_RUN,
    CORR,
    FROZEN_MODE,
    GATE_COUNTED,
    LOSS_SCALE,
    LRTF,
    PADDING,
    GateSettings,
    ModalitySettings,
    add_gate_flags,
    add_own_flags,
    check_flags,
    check_gate_flags,
    script_parser,
)

BATCH = 32  # as published
UNI_QUIRKS = [PADDING, CORR]
MM_QUIRKS = [PADDING, LRTF, CORR]
DYN_QUIRKS = [FROZEN_MODE, PADDING, LOSS_SCALE, BEST_RUN, CORR, GATE_COUNTED]


@dataclass(frozen=True, kw_only=True)
class AffectSettings(ModalitySettings):
    """What all three scripts have."""

    data: str  # mosei or mosi: the data, the experts and the folder below log_dir
    data_path: Path | None  # None: the published place

    @property
    def corr_of_scores(self) -> bool:
        """Corr is the correlation of the scores, not of their signs as published."""
        return self.quirks["corr"] == "scores"


@dataclass(frozen=True, kw_only=True)
class UniSettings(AffectSettings):
    """What a command line of affect_uni comes to."""

    mod: int  # 0 visual, 1 audio, otherwise text
    enc: str  # gru, otherwise transformer
    hidden_dim1: int  # width of the encoder; 0: as published
    hidden_dim2: int  # hidden width of the head; 0: as published
    clf: bool  # two outputs and cross-entropy


@dataclass(frozen=True, kw_only=True)
class MmSettings(AffectSettings):
    """What a command line of affect_mm comes to."""

    fusion: int  # 0 ef_gru, 1 lf_gru, 2 ef_tran, 3 lf_tran, 4 mult, 5 lrtf


@dataclass(frozen=True, kw_only=True)
class DynSettings(AffectSettings, GateSettings):
    """What a command line of affect_dyn comes to; infer_mode -1: both experts by halves."""

    enc: str  # a part of the network's file name, nothing else
    temp: float  # temperature of the gate

    @property
    def summed_loss(self) -> bool:
        """The test's Loss is a sum over a batch times its size, as published."""
        return self.quirks["loss_scale"] == "official"

    @property
    def best_is_highest(self) -> bool:
        """The best run is that of the highest Loss, as published."""
        return self.quirks["best_run"] == "official"


def read_uni_flags(argv: Sequence[str]) -> UniSettings:
    """The settings of affect_uni. Raises UserError naming the flag that does not fit."""
    args = uni_parser().parse_args(argv)
    check_flags(args)
    check_width(args.enc, args.hidden_dim1)
    return UniSettings.of(args, quirks=parse_quirks(args.quirk, UNI_QUIRKS))


def read_mm_flags(argv: Sequence[str]) -> MmSettings:
    """The settings of affect_mm. Raises UserError naming the flag that does not fit."""
    args = mm_parser().parse_args(argv)
    check_flags(args)
    fusion_name(args.fusion)
    return MmSettings.of(args, quirks=parse_quirks(args.quirk, MM_QUIRKS))


def read_dyn_flags(argv: Sequence[str]) -> DynSettings:
    """The settings of affect_dyn. Raises UserError naming the flag that does not fit."""
    args = dyn_parser().parse_args(argv)
    check_gate_flags(args)
    return DynSettings.of(args, quirks=parse_quirks(args.quirk, DYN_QUIRKS))


def uni_parser() -> Parser:
    """affect_uni: the published flags, then ours."""
    p = script_parser("dynmm.modality.affect_uni", "Train or test a single-modality expert on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--mod", type=int, default=2, help="0 visual, 1 audio, otherwise text")
    add("--enc", default="transformer", help="gru, otherwise transformer")
    add("--hidden-dim1", type=int, default=0, help="width of the encoder; 0: as published")
    add("--hidden-dim2", type=int, default=0, help="hidden width of the head; 0: as published")
    add("--data", default="mosei", help="mosei or mosi")
    add("--lr", type=float, default=1e-4)
    add("--clf", action="store_true", help="two outputs and cross-entropy; a label of at least 0 is positive")
    add("--measure", action="store_true", help="time the inference")
    add_own_flags(p, None, BATCH, UNI_QUIRKS, n_epochs=100, wd=0.01)
    return p


def mm_parser() -> Parser:
    """affect_mm: the published flags, then ours."""
    p = script_parser("dynmm.modality.affect_mm", "Train or test a fusion network on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--data", default="mosei", help="mosei or mosi")
    add("--fusion", "--fuse", type=int, default=3, help="0 ef_gru, 1 lf_gru, 2 ef_tran, 3 lf_tran, 4 mult, 5 lrtf")
    add("--lr", type=float, default=1e-4)
    add("--wd", type=float, default=1e-4)
    add("--measure", action="store_true", help="time the inference")
    add_own_flags(p, None, BATCH, MM_QUIRKS, n_epochs=1000)
    return p


def dyn_parser() -> Parser:
    """affect_dyn: the published flags, then ours; --hard is imdb_dyn's name of --hard-gate."""
    p = script_parser("dynmm.modality.affect_dyn", "Train or test DynMM on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--data", default="mosei", help="mosei or mosi: the data, the experts and the folder below --log-dir")
    add("--enc", default="transformer", help="a part of the network's file name, nothing else")
    add("--n-epochs", type=int, default=50)
    add("--temp", type=float, default=1.0, help="temperature of the gate")
    add("--hard-gate", "--hard", dest="hard_gate", action="store_true", help="a hard gate, in training and test")
    add("--reg", type=float, default=0.0, help="lambda: the weight of expert 2's share in the loss")
    add("--lr", type=float, default=1e-6)
    add("--wd", type=float, default=1e-4)
    add("--infer-mode", type=int, default=0, help="0 gated, 1 or 2 that expert alone, -1 both by halves")
    add("--freeze", action="store_true", help="train the gate alone")
    add_gate_flags(p)
    add_own_flags(p, None, BATCH, DYN_QUIRKS)
    return p
