"""The command line of X-Norm's action recognition: the published flags with their defaults, then ours."""

import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from common.errors import UserError
from common.flags import Parser, Quirk, RunSettings, add_run_flags, boolean, parse_quirks, positive
from xnorm.data import CSV_ROOT
from xnorm.losses import LossWeights
from xnorm.methods.encoders import map_width
from xnorm.methods.gradient_blending import PUBLISHED_WEIGHTS
from xnorm.methods.method import Method, Sizes
from xnorm.models import METHODS, check_clip_size

VERBS = ("take", "put", "wash", "open", "close", "insert", "turn-on", "cut")  # the eight that the paper recognises
QUIRKS = [
    Quirk("mult_readout", ("official", "last"), "mult reads the first feature position alone, or the last step"),
    Quirk("crop", ("official", "shared"), "RGB and flow of a clip are cropped and flipped each on its own, or alike"),
    Quirk("flip_u", ("official", "fixed"), "a flipped clip keeps its horizontal motion, or turns it round"),
    Quirk("eval_last", ("official", "kept"), "validation and test drop the last incomplete batch, or keep it"),
    Quirk("frozen_bn", ("official", "eval"), "misa's and mult's frozen encoders renew their norm statistics, or not"),
    Quirk("gb_formula", ("official", "paper"), "blending weights by L_v / O^2 at the end, or by Gradient-Blending's G"),
]


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """What a command line of X-Norm comes to; what each field means in full, and its default, stands at its flag."""

    seed: int
    csv_root: Path  # folder of train.csv, val.csv, test.csv
    data_root: Path  # folder of the frames
    ckpt_path: Path | None  # where the best weights are written as the published script does
    num_workers: int
    num_classes: int
    num_frames: int  # of a clip and stream
    fusion: str  # the method
    ablation: str  # a word in the published checkpoint's name
    dropout: float
    hidden_size: int
    d_1: int  # widths of I3D's last maps, of RGB and of flow
    d_2: int
    num_epochs: int
    batch_size: int  # clips, over all processes
    learning_rate: float
    weight_decay: float
    clip: float  # largest norm of the gradient
    when: int  # epochs without a lower validation loss before the rate is halved
    patience: int  # epochs without a lower validation loss before training ends
    diff_weight: float  # of misa's terms
    sim_weight: float
    recon_weight: float
    num_gb_epochs: int  # of each head of gb's estimate
    weight: float  # share of the RGB logits
    i3d: Path  # folder of the I3D weights
    pretrained: bool  # encoders start from these
    narrow: int  # I3D's channels are divided by it
    crop_size: int  # pixels
    cache: Path | None  # folder of decoded frames
    gb_weights: tuple[float, ...]  # of the losses of rgb, flow and joint; empty for the estimate
    evaluate: bool  # test the checkpoint of --resume PATH
    name: str  # of the run

    FREE: ClassVar[frozenset[str]] = RunSettings.FREE | {"num_workers", "cache"}

    @property
    def method(self) -> Method:
        """The method of --fusion."""
        return METHODS[self.fusion]

    @property
    def sizes(self) -> Sizes:
        """What the network is built with."""
        return Sizes(
            num_classes=self.num_classes,
            hidden=self.hidden_size,
            dropout=self.dropout,
            weight=self.weight,
            narrow=self.narrow,
            readout=self.quirks["mult_readout"],
            frozen_bn=self.quirks["frozen_bn"],
        )

    def loss_weights(self, heads: Sequence[float] = ()) -> LossWeights:
        """Weights of the objective's terms; heads: those of gb's heads."""
        return LossWeights(self.diff_weight, self.sim_weight, self.recon_weight, tuple(heads))

    @property
    def keeps_last_batch(self) -> bool:
        """Validation and test keep the last incomplete batch; as published they drop it."""
        return self.quirks["eval_last"] == "kept"

    @property
    def class_names(self) -> list[str]:
        """The verbs, or numbers where there are not eight classes."""
        return list(VERBS) if self.num_classes == len(VERBS) else [str(k) for k in range(self.num_classes)]

    @property
    def published_name(self) -> str:
        """The name that the published script gives its best checkpoint; misa's and mult's lack the seed there."""
        return self.method.checkpoint.format(
            fusion=self.fusion, ablation=self.ablation, seed=self.seed, weight=self.weight
        )


def read_flags(argv: Sequence[str]) -> Settings:
    """The settings of a command line. Raises UserError naming the flag that does not fit."""
    args = parser().parse_args(argv)
    if args.fusion is None:
        raise UserError(f"--fusion: not given; expected one of {', '.join(METHODS)}")
    method, width = METHODS[args.fusion], map_width(args.narrow)
    args.d_1, args.d_2 = args.d_1 or width, args.d_2 or width
    if method.reads_maps:
        _check_map_widths(args.d_1, args.d_2, width)
    check_clip_size(args.fusion, args.num_frames, args.crop_size)
    _check_numbers(args)
    if args.ckpt_path is not None and not args.ckpt_path.is_dir():
        raise UserError(f"--ckpt_path {args.ckpt_path}: no such folder; make it first")
    if args.evaluate and args.resume in ("", "auto"):
        raise UserError("--evaluate: name the checkpoint to test with --resume PATH")
    weights = _blending_weights(args.gb_weights, args.fusion, args.seed)
    settings = Settings.of(args, gb_weights=weights, quirks=parse_quirks(args.quirk, QUIRKS), name=args.name or "")
    return settings if settings.name else replace(settings, name=settings.published_name.removesuffix(".pt"))


def parser() -> Parser:
    """All flags; `read_flags` completes the parsed ones."""
    p = Parser(prog="python -m xnorm.main", description="Train and test X-Norm and its baselines on EPIC-KITCHENS.")
    add = p.add_argument
    add("--seed", type=int, default=0)
    add("--csv_root", type=Path, default=Path(CSV_ROOT), help="folder of train.csv, val.csv, test.csv")
    add("--data_root", type=Path, default=Path("data/epic_kitchens"), help="folder of the frames, P01/rgb_frames/...")
    add("--ckpt_path", type=Path, metavar="DIR", help="also write the best weights there, as the published script does")
    add("--num_workers", type=int, default=8, help="loader processes (no more than there are cores)")
    add("--num_classes", type=positive, default=8)
    add("--num_frames", type=positive, default=16, help="of a clip and modality; at most 16, any for misa, mult")
    add("--fusion", choices=tuple(METHODS), help="the method; there is no default")
    add("--ablation", default="none", help="a word in the published checkpoint's name, nothing else")
    add("--dropout", type=float, default=0.1, help="of I3D's head, of the classifiers, of misa's fusion")
    add("--hidden_size", type=positive, default=128)
    add("--d_1", type=positive, help="misa, mult: width of I3D's RGB features, the only possible value (1024)")
    add("--d_2", type=positive, help="misa, mult: width of I3D's flow features, the only possible value (1024)")
    add("--num_epochs", type=positive, default=50)
    add("--batch_size", type=positive, default=32, help="over all processes")
    add("--learning_rate", type=float, default=1e-4)
    add("--weight_decay", type=float, default=1e-4)
    add("--clip", type=float, default=1.0, help="largest norm of the gradient (whole numbers only, as published)")
    add("--when", type=int, default=10, help="epochs without a lower validation loss before the rate is halved")
    add("--patience", type=positive, default=5, help="epochs without a lower validation loss before training ends")
    add("--diff_weight", type=float, default=0.3, help="misa: weight of the difference loss")
    add("--sim_weight", type=float, default=1.0, help="misa: weight of the similarity loss")
    add("--recon_weight", type=float, default=1.0, help="misa: weight of the reconstruction loss")
    add("--num_gb_epochs", type=positive, default=5, help="gb: epochs of each network of the estimate")
    add("--weight", type=float, default=0.5, help="late, xnorm: share of the RGB logits")
    ours = p.add_argument_group("ours, for this script")
    ours.add_argument("--i3d", type=Path, default=Path("checkpoints"), metavar="DIR", help="folder of the I3D weights")
    ours.add_argument("--pretrained", type=boolean, default=True, metavar="BOOL", help="false: encoders at random")
    ours.add_argument("--narrow", type=positive, default=1, metavar="N", help="divide I3D's channels by N; 1 published")
    ours.add_argument("--crop-size", type=positive, default=224, metavar="PX", help="side of the crops; 224 published")
    ours.add_argument("--cache", type=Path, metavar="DIR", help="keep decoded frames there, once for all epochs")
    ours.add_argument(
        "--gb-weights",
        nargs="+",
        default=[],
        metavar="W",
        help="gb: weights of rgb, flow and joint in the place of the estimate, or published: those of --seed 1 or 2",
    )
    ours.add_argument("--evaluate", action="store_true", help="test the checkpoint of --resume PATH and end")
    ours.add_argument("--name", help="name of the run (default: the published checkpoint's)")
    add_run_flags(p, QUIRKS)
    return p


def _check_map_widths(d_1: int, d_2: int, width: int) -> None:
    for flag, given in (("d_1", d_1), ("d_2", d_2)):
        if given != width:
            raise UserError(f"--{flag} {given}: expected {width}, the width of the encoders' last map")


def _check_numbers(args: Namespace) -> None:
    if args.num_workers < 0 or args.when < 0:
        flag = "num_workers" if args.num_workers < 0 else "when"
        raise UserError(f"--{flag} {getattr(args, flag)}: expected 0 or more")
    for flag in ("dropout", "weight"):
        if not 0 <= getattr(args, flag) <= 1:
            raise UserError(f"--{flag} {getattr(args, flag)}: expected 0 to 1")
    if not args.clip > 0:
        raise UserError(f"--clip {args.clip}: expected more than 0")


def _blending_weights(given: Sequence[str], fusion: str, seed: int) -> tuple[float, ...]:
    """The three numbers of --gb-weights, empty for the estimate."""
    if given and not METHODS[fusion].heads:
        raise UserError(f"--gb-weights: only --fusion gb blends; found --fusion {fusion}")
    if list(given) == ["published"]:
        if seed not in PUBLISHED_WEIGHTS:
            raise UserError(f"--gb-weights published: there are weights for --seed 1 and 2, none for {seed}")
        return PUBLISHED_WEIGHTS[seed]
    try:
        weights = tuple(float(word) for word in given)
    except ValueError:
        weights = ()
    if given and (len(weights) != 3 or not all(0 <= w < math.inf for w in weights) or not sum(weights)):
        raise UserError(f"--gb-weights {' '.join(given)}: expected three numbers of at least 0, or published")
    return weights
