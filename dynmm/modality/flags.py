"""What the command lines of DynMM's six modality-level scripts share: published flags, ours, and the quirks."""

from argparse import Namespace
from pathlib import Path

from common.errors import UserError
from common.flags import Parser, Quirk, add_run_flags, parse_quirks, positive

GATE_IN_TEST = Quirk("gate_in_test", ("official", "trained"), "the test sets a hard gate, or the one that was trained")
FROZEN_MODE = Quirk(
    "frozen_mode",
    ("official", "eval"),
    "frozen experts stay in training mode: dropout acts and batch norm statistics drift; or they do not",
)
PADDING = Quirk(
    "padding",
    ("official", "masked"),
    "transformers see padded steps and read the last index of the padded batch, so that a prediction depends on its "
    "batch; or padding is masked and the last true step read",
)
LOSS_SCALE = Quirk(
    "loss_scale",
    ("mean", "official"),
    "the test's Loss is the mean absolute error, or as published its sum over a batch times the batch size",
)
BEST_RUN = Quirk("best_run", ("lowest", "official"), "Best result is the run of the lowest Loss, or of the highest")
CORR = Quirk("corr", ("official", "scores"), "Corr is the correlation of the signs, or of the scores")
GATE_COUNTED = Quirk(
    "gate_counted",
    ("official", "once"),
    "with a soft gate the multiply-adds count the gate once an expert (the paper's 12.1 M), or once",
)
LRTF = Quirk(
    "lrtf",
    ("trained", "official"),
    "the factors of low-rank tensor fusion are trained, or stay as they start, as the published code leaves them",
)


def script_parser(module: str, description: str) -> Parser:
    """A parser with what all six published scripts have: --gpu, --n-runs, --eval-only."""
    parser = Parser(prog=f"python -m {module}", description=description)
    add = parser.add_argument
    add("--gpu", type=int, nargs="+", default=[0], metavar="I", help="CUDA devices; -1 is the CPU")
    add("--n-runs", type=positive, default=1, help="repetitions, with the seeds SEED, SEED + 1, ...")
    add("--eval-only", action="store_true", help="test what lies in --log-dir, with the gate that was trained")
    return parser


def add_data_flags(parser: Parser, data_path: str | None, batch_size: int, quirks: list[Quirk]) -> None:
    """Our flags. data_path: the published one, None where it depends on --data; batch_size: the published one.

    --measure, --n-epochs, --lr and --wd are added where the published script has none; their defaults are then
    set by `resolve`.
    """
    ours = parser.add_argument_group("ours, for this script")
    add = ours.add_argument
    known = parser._option_string_actions
    add("--data-path", type=Path, default=data_path and Path(data_path), metavar="FILE", help="default: as published")
    add("--log-dir", type=Path, default=Path("log"), metavar="DIR", help="where experts and networks are kept")
    add("--seed", type=int, default=0, help="the published scripts seed nothing")
    add("--batch-size", type=positive, default=batch_size, help="over all processes")
    add("--narrow", type=positive, default=1, metavar="N", help="divide hidden sizes by N; 1 as published")
    if "--measure" not in known:
        add("--measure", action="store_true", help="time the inference")
    if "--n-epochs" not in known:
        add("--n-epochs", type=int, default=None, help="epochs at most; default as published")
    for flag in ("--lr", "--wd"):
        if flag not in known:
            add(flag, type=float, default=None, help="default as published")
    add_run_flags(parser, quirks)


def add_sizes_flag(parser: Parser) -> None:
    """--sizes of MM-IMDB."""
    parser.add_argument(
        "--sizes",
        type=positive,
        nargs=3,
        metavar="N",
        help="ours: films of train, valid, test; default: as the file says, else as published",
    )


def add_gate_flags(parser: Parser) -> None:
    """Our flags of the two dynamic scripts: which experts, and when only the chosen one runs."""
    add = parser.add_argument
    add("--expert1", type=Path, metavar="PATH", help="ours: file of expert 1's encoder, its head's beside it")
    add("--expert2", type=Path, metavar="PATH", help="ours: file of expert 2")
    add(
        "--real-gating",
        choices=["inference", "always", "never"],
        default="inference",
        help="ours: when a hard gate runs the chosen expert alone. In training (always) the gate's gradient is not "
        "the published one, which needs both outputs",
    )


def resolve(args: Namespace, quirks: list[Quirk], **published: float) -> Namespace:
    """Check the values, set published ones where a flag has none (n_epochs, lr, wd, reg, freeze) and all quirks.

    Raises UserError naming the flag.
    """
    for name, value in {"reg": 0.0, "freeze": False, "infer_mode": 0, "real_gating": "never", **published}.items():
        if getattr(args, name, None) is None:
            setattr(args, name, value)
    if args.n_epochs < 1:
        raise UserError(f"--n-epochs {args.n_epochs}: expected at least 1")
    if args.eval_only and args.resume:
        raise UserError(f"--eval-only --resume {args.resume}: the files to test are named by --log-dir")
    if args.n_runs > 1 and args.resume not in ("", "auto"):
        raise UserError(f"--n-runs {args.n_runs} --resume {args.resume}: only one run can go on from a checkpoint")
    if args.real_gating == "always" and not hard_gate(args):
        raise UserError("--real-gating always: needs a hard gate in training (--hard-gate)")
    if args.infer_mode > 2:
        raise UserError(f"--infer-mode {args.infer_mode}: expected 0 (gated), 1 or 2 (that expert)")
    if args.infer_mode > 0 and args.freeze and not args.eval_only:
        raise UserError(f"--infer-mode {args.infer_mode} --freeze: nothing is left to train; test with --eval-only")
    args.quirks = parse_quirks(args.quirk, quirks)
    return args


def hard_gate(args: Namespace) -> bool:
    """Whether training asks for a hard gate; False for scripts without a gate."""
    return getattr(args, "hard_gate", False)
