"""The command line of emotion recognition; all of it is ours, with the names and defaults of `xnorm.main`."""

from argparse import Namespace
from pathlib import Path

from common.errors import UserError
from common.flags import Parser, add_run_flags, parse_quirks, positive

FUSIONS = ("text", "audio", "early", "late", "mult", "xnorm")


def parser() -> Parser:
    """All flags; `resolve` completes the parsed ones."""
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


def resolve(args: Namespace) -> Namespace:
    """Check the values; sets `quirks` (there are none) and `name`. Raises UserError."""
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
    args.quirks = parse_quirks(args.quirk, [])
    args.name = args.name or f"{args.fusion}_{args.seed}"
    return args
