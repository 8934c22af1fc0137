"""The command line of CEN's segmentation: the published flags with their defaults, then ours."""

from argparse import Namespace

from cen.semantic_segmentation.transforms import Normalisation
from common.errors import UserError
from common.flags import Parser, Quirk, add_run_flags, boolean, parse_quirks, positive

TRAIN_LIST, VAL_LIST = "./data/nyudv2/train.txt", "./data/nyudv2/val.txt"

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


def parser() -> Parser:
    """All flags; `resolve` completes the parsed ones."""
    p = Parser(prog="python -m cen.semantic_segmentation.main", description="Train or evaluate CEN on NYUDv2.")
    add = p.add_argument
    add("-d", "--train-dir", default="/data/nyud", help="folder of the training images")
    add("--val-dir", default="/data/nyud", help="folder of the validation images")
    add("--train-list", default=TRAIN_LIST, help="list file, or the data set's splits.mat; default also in --train-dir")
    add("--val-list", default=VAL_LIST, help="list file, or the data set's splits.mat; default also in --val-dir")
    add("--shorter-side", type=positive, default=350, help="lower bound of the shorter side after scaling, pixels")
    add("--crop-size", type=positive, default=500, help="side of the training crop, pixels")
    add("--input-size", type=positive, default=None, help="resize the inputs to this height, not the mask")
    add(
        "--normalise-params",
        type=float,
        nargs=8,
        default=[1 / 255, 0.485, 0.456, 0.406, 0.229, 0.224, 0.225, 1 / 5000],
        metavar="X",
        help="scale, three means, three deviations, depth scale",
    )
    add("--batch-size", type=positive, default=6, help="training, over all processes")
    add("--num-workers", type=int, default=16, help="loader processes (no more than there are cores)")
    add("--num-classes", type=positive, default=40)
    add("--low-scale", type=float, default=0.5)
    add("--high-scale", type=float, default=2.0)
    add("--ignore-label", type=int, default=255)
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
    ours.add_argument("--imagenet", metavar="PATH", help="the ResNet's file, or a folder that holds it")
    ours.add_argument(
        "--width", type=positive, default=64, help="channels of the stem, all else in proportion; 64 published"
    )
    ours.add_argument("--val-batch-size", type=positive, default=1, help="images evaluated together (1 as published)")
    add_run_flags(p, QUIRKS)
    return p


def resolve(args: Namespace) -> Namespace:
    """Check the values and spread single ones over the stages; `quirks` holds all of them.

    Raises UserError naming the flag.
    """
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
    args.quirks = parse_quirks(args.quirk, QUIRKS)
    return args


def normalisation(args: Namespace) -> Normalisation:
    """What --normalise-params says."""
    scale, *rest, depth_scale = args.normalise_params
    return Normalisation(scale, tuple(rest[:3]), tuple(rest[3:]), depth_scale)
