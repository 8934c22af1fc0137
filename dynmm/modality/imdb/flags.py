"""The command lines of the three scripts on MM-IMDB."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.flags import Parser, parse_quirks, positive
from dynmm.modality.flags import (
    FROZEN_MODE,
    GATE_COUNTED,
    GATE_IN_TEST,
    LRTF,
    GateSettings,
    ModalitySettings,
    add_gate_flags,
    add_own_flags,
    check_flags,
    check_gate_flags,
    script_parser,
)
from dynmm.modality.imdb.networks import expert_name, fusion_name

FILE, BATCH = "data/multimodal_imdb.hdf5", 128  # as published
MM_QUIRKS = [LRTF]
DYN_QUIRKS = [GATE_IN_TEST, FROZEN_MODE, GATE_COUNTED]
LEARNING_RATES = {"ef": 4e-2, "lf": 8e-3, "lrtf": 8e-3, "mim": 8e-3}  # by --fuse, as published


@dataclass(frozen=True, kw_only=True)
class ImdbSettings(ModalitySettings):
    """What all three scripts have."""

    data_path: Path
    sizes: tuple[int, int, int] | None  # films of train, valid, test; None: as the file says, else as published


@dataclass(frozen=True, kw_only=True)
class UniSettings(ImdbSettings):
    """What a command line of imdb_uni comes to."""

    mod: int  # 0 text, 1 image


@dataclass(frozen=True, kw_only=True)
class MmSettings(ImdbSettings):
    """What a command line of imdb_mm comes to."""

    fuse: int  # 0 early, 1 late, 2 low-rank tensor, 3 MI matrix


@dataclass(frozen=True, kw_only=True)
class DynSettings(ImdbSettings, GateSettings):
    """What a command line of imdb_dyn comes to."""

    data: str  # the folder of the network's file below log_dir
    no_pretrain: bool  # start from new experts


def read_uni_flags(argv: Sequence[str]) -> UniSettings:
    """The settings of imdb_uni. Raises UserError naming the flag that does not fit."""
    args = uni_parser().parse_args(argv)
    check_flags(args)
    expert_name(args.mod)
    return UniSettings.of(args, quirks=parse_quirks(args.quirk, []))


def read_mm_flags(argv: Sequence[str]) -> MmSettings:
    """The settings of imdb_mm. Raises UserError naming the flag that does not fit."""
    args = mm_parser().parse_args(argv)
    check_flags(args)
    lr = LEARNING_RATES[fusion_name(args.fuse)] if args.lr is None else args.lr
    return MmSettings.of(args, lr=lr, quirks=parse_quirks(args.quirk, MM_QUIRKS))


def read_dyn_flags(argv: Sequence[str]) -> DynSettings:
    """The settings of imdb_dyn. Raises UserError naming the flag that does not fit."""
    args = dyn_parser().parse_args(argv)
    check_gate_flags(args)
    return DynSettings.of(args, quirks=parse_quirks(args.quirk, DYN_QUIRKS))


def uni_parser() -> Parser:
    """imdb_uni: the published flags, then ours."""
    p = script_parser("dynmm.modality.imdb_uni", "Train or test a single-modality expert on MM-IMDB.")
    p.add_argument("--mod", type=int, default=0, help="0 text, 1 image")
    p.add_argument("--measure", action="store_true", help="time the inference")
    _add_sizes_flag(p)
    add_own_flags(p, FILE, BATCH, [], n_epochs=1000, lr=1e-4, wd=0.01)
    return p


def mm_parser() -> Parser:
    """imdb_mm: the published flags, then ours; --fusion is README's name of --fuse."""
    p = script_parser("dynmm.modality.imdb_mm", "Train or test a fusion network on MM-IMDB.")
    p.add_argument("--fuse", "--fusion", type=int, default=0, help="0 early, 1 late, 2 low-rank tensor, 3 MI matrix")
    p.add_argument("--measure", action="store_true", help="time the inference")
    _add_sizes_flag(p)
    add_own_flags(p, FILE, BATCH, MM_QUIRKS, n_epochs=1000, lr=None, wd=0.01)
    return p


def dyn_parser() -> Parser:
    """imdb_dyn: the published flags, then ours; --hard-gate is README's name of --hard."""
    p = script_parser("dynmm.modality.imdb_dyn", "Train or test DynMM on MM-IMDB.")
    add = p.add_argument
    add("--data", default="imdb", help="names the folder of the network's file below --log-dir")
    add("--n-epochs", type=int, default=50)
    add("--lr", type=float, default=1e-4)
    add("--wd", type=float, default=1e-2)
    add("--reg", type=float, default=0.1, help="lambda: the weight of expert 2's share in the loss")
    add("--freeze", action="store_true", help="train the gate alone")
    add("--hard", "--hard-gate", dest="hard_gate", action="store_true", help="a hard gate in training too")
    add("--no-pretrain", action="store_true", help="start from new experts")
    add("--infer-mode", type=int, default=0, help="0 gated, 1 or 2 that expert alone")
    _add_sizes_flag(p)
    add_gate_flags(p)
    add_own_flags(p, FILE, BATCH, DYN_QUIRKS)
    return p


def _add_sizes_flag(parser: Parser) -> None:
    parser.add_argument(
        "--sizes",
        type=positive,
        nargs=3,
        metavar="N",
        help="ours: films of train, valid, test; default: as the file says, else as published",
    )
