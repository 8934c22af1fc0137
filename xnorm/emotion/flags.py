"""The command line of emotion recognition; all of it is ours, with the names and defaults of `xnorm.main`."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.flags import Parser, RunSettings, add_run_flags, parse_quirks, positive
from xnorm.emotion.model import FUSIONS, Sizes


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """What a command line of the emotion task comes to; what each field means in full stands at its flag."""

    data: Path  # folder of train.npz, valid.npz, test.npz, names.json
    fusion: str  # the method
    bert: Path | None  # folder of the BERT that reads text_tokens
    seed: int
    width: int  # of the Transformers
    heads: int
    layers: int
    exchange: tuple[int, ...]  # xnorm: numbers of the layers, from 0, that an exchange follows
    hidden_size: int  # of the classifiers
    dropout: float
    weight: float  # late, xnorm: share of the text's logits
    num_epochs: int
    batch_size: int  # clips, over all processes
    learning_rate: float
    weight_decay: float
    clip: float  # largest norm of the gradient
    when: int  # epochs without a lower validation loss before the rate is halved
    patience: int  # epochs without a lower validation loss before training ends
    evaluate: bool  # test the checkpoint of --resume PATH
    name: str  # of the run

    @property
    def sizes(self) -> Sizes:
        """What the network is built with."""
        size = self.width, self.heads, self.layers, self.exchange
        return Sizes(*size, self.hidden_size, self.dropout, self.weight)


def read_flags(argv: Sequence[str]) -> Settings:
    """The settings of a command line. Raises UserError naming the flag that does not fit."""
    args = parser().parse_args(argv)
    _check(args)
    name = args.name or f"{args.fusion}_{args.seed}"
    return Settings.of(args, name=name, quirks=parse_quirks(args.quirk, []))


def parser() -> Parser:
    """All flags; `read_flags` completes the parsed ones."""
    p = Parser(prog="python -m xnorm.emotion", description="Train and test fusion of text and audio for emotions.")
    add = p.add_argument
    add("--data", type=Path, default=Path("data/emotion"), metavar="FOLDER", help="train.npz, valid.npz, test.npz, ...")
    add("--fusion", choices=FUSIONS, default="xnorm", help="the method")
    add("--bert", type=Path, metavar="DIR", help="local folder of a BERT that reads text_tokens")
    add("--seed", type=int, default=0)
    add("--width", type=positive, default=128, help="of the Transformers")
    add("--heads", type=positive, default=4, help="of their attention; must divide --width")
    add("--layers", type=positive, default=4, help="of each Transformer")
    add(
        "--exchange", type=int, nargs="+", default=[0, 2, 3], metavar="I", help="xnorm: layers that an exchange follows"
    )
    add("--hidden_size", type=positive, default=128, help="of the classifiers")
    add("--dropout", type=float, default=0.1)
    add("--weight", type=float, default=0.5, help="late, xnorm: share of the text's logits")
    add("--num_epochs", type=positive, default=50)
    add("--batch_size", type=positive, default=32, help="over all processes")
    add("--learning_rate", type=float, default=1e-4)
    add("--weight_decay", type=float, default=1e-4)
    add("--clip", type=float, default=1.0, help="largest norm of the gradient")
    add("--when", type=int, default=10, help="epochs without a lower validation loss before the rate is halved")
    add("--patience", type=positive, default=5, help="epochs without a lower validation loss before training ends")
    add("--evaluate", action="store_true", help="test the checkpoint of --resume PATH and end")
    add("--name", help="name of the run (default: the method and the seed)")
    add_run_flags(p, [])
    return p


def _check(args: Namespace) -> None:
    if args.width % args.heads:
        raise UserError(f"--heads {args.heads}: expected a divisor of --width {args.width}")
    outside = [number for number in args.exchange if not 0 <= number < args.layers]
    if args.fusion == "xnorm" and outside:
        raise UserError(f"--exchange {outside[0]}: no such layer; --layers {args.layers} are 0 to {args.layers - 1}")
    for flag in ("dropout", "weight"):
        if not 0 <= getattr(args, flag) <= 1:
            raise UserError(f"--{flag} {getattr(args, flag)}: expected 0 to 1")
    if not args.clip > 0:
        raise UserError(f"--clip {args.clip}: expected more than 0")
    if args.evaluate and args.resume in ("", "auto"):
        raise UserError("--evaluate: name the checkpoint to test with --resume PATH")
