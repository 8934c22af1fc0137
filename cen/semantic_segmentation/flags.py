"""The command line of CEN's segmentation: the published flags with their defaults, then ours."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cen.semantic_segmentation.datasets import DATASETS, NYUDV2, RGBDDataset
from cen.semantic_segmentation.optimizers import Pair
from cen.semantic_segmentation.pictures import Look
from cen.semantic_segmentation.streams import stream_names
from cen.semantic_segmentation.transforms import Normalisation, TrainTransform, ValTransform
from common.errors import UserError
from common.flags import Parser, Quirk, RunSettings, add_run_flags, boolean, parse_quirks, positive

QUIRKS = [
    Quirk("penalty", ("official", "paper"), "the L1 penalty counts once for every output (3 lambda), or once (Eq. 4)"),
    Quirk(
        "penalised_parts",
        ("paper", "official"),
        "with more than two streams: each presses on its 1/M of the channels, or on halves in turn (a fault: the "
        "parity drifts from block to block); the same for one and two streams",
    ),
    Quirk("rcu_skip", ("official", "paper"), "the skip of a residual unit carries relu(x) (in-place ReLU), or x"),
    Quirk("depth_padding", ("official", "fixed"), "depth is padded with the RGB means 123, 116, 103, or with 0"),
    Quirk(
        "resume_epoch",
        ("official", "fixed"),
        "a published checkpoint's epoch is trained again, or training goes on with the next (last.pt: always)",
    ),
    Quirk("depth_picture", ("official", "fixed"), "--save-image draws depth grey, or in the magma map"),
]


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """What a command line of CEN's segmentation comes to; what each field means in full stands at its flag."""

    FREE = RunSettings.FREE | {"num_workers", "print_loss", "print_network", "save_image"}

    train_dir: str
    val_dir: str
    train_list: str
    val_list: str
    shorter_side: int  # pixels, lower bound after scaling
    crop_size: int  # pixels
    input_size: int | None  # height of the inputs, pixels; None: as they are
    normalise_params: tuple[float, ...]  # as 8 numbers; `norm` in parts
    batch_size: int  # training, over all processes
    num_workers: int  # loader processes
    num_classes: int
    low_scale: float  # training images are scaled by low_scale to high_scale
    high_scale: float
    ignore_label: int  # of training masks
    enc: str  # depth of the ResNet
    enc_pretrained: bool  # start from ImageNet
    name: str  # not used
    evaluate: bool  # score a checkpoint, train nothing
    freeze_bn: tuple[bool, ...]  # of each stage, as are the next and the two rates
    num_epoch: tuple[int, ...]
    random_seed: int
    ckpt: str  # name of the run
    val_every: int  # epochs of a stage between validations
    print_network: bool
    print_loss: bool
    save_image: int  # pictures of --evaluate; -1: all
    input: tuple[str, ...]  # of the streams, in order
    lr_enc: tuple[float, ...]
    lr_dec: tuple[float, ...]
    mom_enc: float  # momentum
    mom_dec: float
    wd_enc: float  # weight decay
    wd_dec: float
    optim_dec: str  # sgd or adam
    lamda: float  # weight of the penalty on the scales
    bn_threshold: float  # scales below are exchanged
    imagenet: str | None  # the ResNet's file or its folder; None: where it is usually kept
    width: int  # channels of the stem
    val_batch_size: int
    dataset: str  # a name of `datasets.DATASETS`

    @property
    def data(self) -> RGBDDataset:
        """What is known of the data set."""
        return DATASETS[self.dataset]

    @property
    def streams(self) -> list[str]:
        """Names of the streams."""
        return stream_names(self.input)

    @property
    def norm(self) -> Normalisation:
        """What --normalise-params says."""
        scale, mean_r, mean_g, mean_b, std_r, std_g, std_b, depth_scale = self.normalise_params
        return Normalisation(scale, (mean_r, mean_g, mean_b), (std_r, std_g, std_b), depth_scale)

    @property
    def train_transform(self) -> TrainTransform:
        """From a sample as read to an augmented one."""
        return TrainTransform(
            shorter_side=self.shorter_side,
            low_scale=self.low_scale,
            high_scale=self.high_scale,
            crop_size=self.crop_size,
            input_size=self.input_size,
            ignore_label=self.ignore_label,
            norm=self.norm,
            ignore_in_files=self.data.ignore,
            align=self.data.align,
            zero_depth_padding=self.quirks["depth_padding"] == "fixed",
        )

    @property
    def val_transform(self) -> ValTransform:
        """From a sample as read to one that is scored."""
        return ValTransform(self.input_size, self.norm, self.data.align)

    @property
    def network(self) -> dict[str, Any]:
        """What the network is built with, by the names of its arguments."""
        sizes = {"enc": int(self.enc), "num_classes": self.num_classes, "streams": len(self.input), "width": self.width}
        skip = self.quirks["rcu_skip"] == "official"
        return {**sizes, "bn_threshold": self.bn_threshold, "rectified_skip": skip}

    @property
    def momenta(self) -> Pair:
        """Of encoder and decoder."""
        return self.mom_enc, self.mom_dec

    @property
    def decays(self) -> Pair:
        """Weight decay of encoder and decoder."""
        return self.wd_enc, self.wd_dec

    @property
    def penalised_parts(self) -> int:
        """Parts that the scales are cut into: the paper's M, and 2 as in the authors' code for up to two streams."""
        return 2 if self.quirks["penalised_parts"] == "official" else max(2, len(self.input))

    @property
    def look(self) -> Look:
        """How samples are drawn."""
        in_colour = self.quirks["depth_picture"] == "fixed"
        return Look(self.input, self.norm, self.data.classes, self.data.colours, self.ignore_label, in_colour)


def read_flags(argv: Sequence[str]) -> Settings:
    """The settings of a command line. Raises UserError naming the flag that does not fit."""
    dataset = DATASETS[parser().parse_args(argv).dataset]
    args = parser(dataset).parse_args(argv)  # again, with that data set's defaults
    _check(args)
    return Settings.of(args, quirks=parse_quirks(args.quirk, QUIRKS))


def parser(dataset: RGBDDataset = NYUDV2) -> Parser:
    """All flags, with the published defaults for NYUDv2, or those of another data set."""
    train_list, val_list = dataset.lists["train"], dataset.lists["val"]
    p = Parser(prog="python -m cen.semantic_segmentation.main", description="Train or evaluate CEN on RGB and depth.")
    add = p.add_argument
    add("-d", "--train-dir", default=dataset.folder, help="folder of the training images")
    add("--val-dir", default=dataset.folder, help="folder of the validation images")
    add(
        "--train-list",
        default=train_list,
        help="list file, or the data set's splits.mat; default also in --train-dir",
    )
    add(
        "--val-list",
        default=val_list,
        help="list file, or the data set's splits.mat; default also in --val-dir",
    )
    add("--shorter-side", type=positive, default=350, help="lower bound of the shorter side after scaling, pixels")
    add("--crop-size", type=positive, default=500, help="side of the training crop, pixels")
    add("--input-size", type=positive, default=None, help="resize the inputs to this height, not the mask")
    add(
        "--normalise-params",
        type=float,
        nargs=8,
        default=[1 / 255, 0.485, 0.456, 0.406, 0.229, 0.224, 0.225, dataset.depth_scale],
        metavar="X",
        help="scale, three means, three deviations, depth scale",
    )
    add("--batch-size", type=positive, default=6, help="training, over all processes")
    add("--num-workers", type=int, default=16, help="loader processes (no more than there are cores)")
    add("--num-classes", type=positive, default=len(dataset.classes))
    add("--low-scale", type=float, default=0.5)
    add("--high-scale", type=float, default=2.0)
    add("--ignore-label", type=int, default=dataset.ignore)
    add("--enc", default="101", help="depth of the ResNet: 50, 101 or 152")
    add("--enc-pretrained", type=boolean, default=True, metavar="BOOL", help="start from ImageNet; false: at random")
    add("--name", default="", help="not used, as published")
    add("--gpu", type=int, nargs="+", default=[1], metavar="I", help="CUDA devices; -1 is the CPU")
    add("--evaluate", action="store_true", help="validate once and end")
    add("--freeze-bn", type=boolean, nargs="+", default=[True], metavar="BOOL", help="freeze norm statistics, by stage")
    add("--num-epoch", type=int, nargs="+", default=[100, 100, 100], help="epochs of each stage")
    add("--random-seed", type=int, default=42)
    add("-c", "--ckpt", default="model", help="name of the run")
    add("--resume", default="", metavar="PATH", help="a checkpoint, or auto: the run folder's last")
    add("--val-every", type=positive, default=5, help="validate after so many epochs of a stage")
    add("--print-network", action="store_true", help="list the parameters, encoder and decoder")
    add("--print-loss", action="store_true", help="one line a step (waits for the device)")
    add("--save-image", "--save-img", type=int, default=100, help="pictures of --evaluate; -1 all, 0 none")
    add("-i", "--input", nargs="+", default=["rgb", "depth"], metavar="NAME", help="streams, in order")
    add("--lr-enc", type=float, nargs="+", default=[5e-4, 2.5e-4, 1e-4], help="of each stage")
    add("--lr-dec", type=float, nargs="+", default=[3e-3, 1.5e-3, 7e-4], help="of each stage")
    add("--mom-enc", type=float, default=0.9)
    add("--mom-dec", type=float, default=0.9)
    add("--wd-enc", type=float, default=1e-5)
    add("--wd-dec", type=float, default=1e-5)
    add("--optim-dec", choices=["sgd", "adam"], default="sgd")
    add("--lamda", type=float, default=2e-4, help="weight of the L1 penalty on the scales")
    add("-t", "--bn-threshold", type=float, default=2e-2, help="scales below are exchanged; 0 turns it off")
    ours = p.add_argument_group("ours, for this script")
    ours.add_argument("--dataset", choices=list(DATASETS), default=NYUDV2.name, help="what to train on")
    ours.add_argument("--imagenet", metavar="PATH", help="the ResNet's file, or a folder that holds it")
    ours.add_argument(
        "--width", type=positive, default=64, help="channels of the stem, all else in proportion; 64 published"
    )
    ours.add_argument("--val-batch-size", type=positive, default=1, help="images evaluated together (1 as published)")
    add_run_flags(p, QUIRKS)
    return p


def _check(args: Namespace) -> None:
    """Check the values, and spread single ones over the stages."""
    if args.enc not in ("50", "101", "152"):
        raise UserError(f"--enc {args.enc}: no such ResNet; expected 50, 101 or 152")
    for name in args.input:
        if name not in ("rgb", "depth"):
            raise UserError(f"--input {name}: no such input; expected rgb or depth")
    stages = len(args.lr_enc)
    for flag in ("num_epoch", "lr_dec", "freeze_bn"):
        values = getattr(args, flag)
        if len(values) == 1:
            setattr(args, flag, values * stages)
        elif len(values) != stages:
            shown = f"--{flag.replace('_', '-')}"
            raise UserError(f"{shown} has {len(values)} values, --lr-enc {stages}: expected one for each stage")
    if min(args.num_epoch) < 1:
        raise UserError(f"--num-epoch {' '.join(map(str, args.num_epoch))}: expected at least 1 in each stage")
    if args.num_workers < 0:
        raise UserError(f"--num-workers {args.num_workers}: expected 0 or more")
    if not 0 <= args.ignore_label <= 255:
        raise UserError(f"--ignore-label {args.ignore_label}: expected 0 to 255, since masks are 8-bit files")
    if args.evaluate and args.resume == "auto":
        raise UserError("--evaluate --resume auto: name the checkpoint to evaluate")
