"""What the command lines of DynMM's six modality-level scripts share: published flags, ours, and the quirks."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.flags import Parser, Quirk, RunSettings, add_run_flags, positive
from dynmm.modality.networks.gating import NO_GATE, Gating

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


@dataclass(frozen=True, kw_only=True)
class ModalitySettings(RunSettings):
    """What the flags that all six scripts have come to; a script's own settings inherit from it."""

    n_runs: int  # repetitions, with the seeds seed, seed + 1, ...
    eval_only: bool  # test what lies in log_dir
    measure: bool  # time the inference
    log_dir: Path  # where experts and networks are kept
    seed: int
    batch_size: int  # samples, over all processes; of evaluations too
    narrow: int  # hidden sizes are divided by it; 1 as published
    n_epochs: int  # at most
    lr: float
    wd: float  # AdamW's weight decay

    @property
    def gating(self) -> Gating:
        """What the script does with a gate."""
        return NO_GATE

    def recorded(self) -> dict[str, Any]:
        """{field: value}; a script without a gate records these four all the same, so that all runs have them."""
        gating = asdict(self.gating)
        return {name: gating[name] for name in ("reg", "freeze", "infer_mode", "real_gating")} | super().recorded()


@dataclass(frozen=True, kw_only=True)
class GateSettings(ModalitySettings):
    """What the flags that the two dynamic scripts have besides come to."""

    reg: float  # lambda: the weight of expert 2's share in the loss
    freeze: bool  # train the gate alone
    hard_gate: bool  # a hard gate in training
    infer_mode: int  # 0 gated, 1 or 2 that expert alone
    expert1: Path | None  # file of expert 1's encoder, its head's beside it
    expert2: Path | None
    real_gating: str  # when a hard gate runs the chosen expert alone: inference, always, never

    @property
    def gating(self) -> Gating:
        """What the script does with its gate."""
        return Gating(
            reg=self.reg,
            freeze=self.freeze,
            still=self.freeze and self.quirks["frozen_mode"] == "eval",
            real_gating=self.real_gating,
            infer_mode=self.infer_mode,
            hard_test=self.quirks.get("gate_in_test") == "official",
            counted_once=self.quirks["gate_counted"] == "once",
        )


def script_parser(module: str, description: str) -> Parser:
    """A parser with what all six published scripts have: --gpu, --n-runs, --eval-only."""
    parser = Parser(prog=f"python -m {module}", description=description)
    add = parser.add_argument
    add("--gpu", type=int, nargs="+", default=[0], metavar="I", help="CUDA devices; -1 is the CPU")
    add("--n-runs", type=positive, default=1, help="repetitions, with the seeds SEED, SEED + 1, ...")
    add("--eval-only", action="store_true", help="test what lies in --log-dir, with the gate that was trained")
    return parser


def add_own_flags(
    parser: Parser, data_path: str | None, batch_size: int, quirks: Sequence[Quirk], **published: float | None
) -> None:
    """Our flags. data_path: the published one, None where it depends on --data; batch_size: the published one.

    published: n_epochs, lr and wd as far as the published script has no flag for them; None where another flag decides.
    --measure is added where the published script has none.
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
    if "n_epochs" in published:
        add("--n-epochs", type=int, default=published["n_epochs"], help="epochs at most; default as published")
    for name in ("lr", "wd"):
        if name in published:
            add(f"--{name}", type=float, default=published[name], help="default as published")
    add_run_flags(parser, list(quirks))


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


def check_flags(args: Namespace) -> None:
    """Raises UserError naming a flag of all six scripts that does not fit."""
    if args.n_epochs < 1:
        raise UserError(f"--n-epochs {args.n_epochs}: expected at least 1")
    if args.eval_only and args.resume:
        raise UserError(f"--eval-only --resume {args.resume}: the files to test are named by --log-dir")
    if args.n_runs > 1 and args.resume not in ("", "auto"):
        raise UserError(f"--n-runs {args.n_runs} --resume {args.resume}: only one run can go on from a checkpoint")


def check_gate_flags(args: Namespace) -> None:
    """Raises UserError naming a flag of a dynamic script that does not fit."""
    check_flags(args)
    if args.real_gating == "always" and not args.hard_gate:
        raise UserError("--real-gating always: needs a hard gate in training (--hard-gate)")
    if args.infer_mode > 2:
        raise UserError(f"--infer-mode {args.infer_mode}: expected 0 (gated), 1 or 2 (that expert)")
    if args.infer_mode > 0 and args.freeze and not args.eval_only:
        raise UserError(f"--infer-mode {args.infer_mode} --freeze: nothing is left to train; test with --eval-only")
