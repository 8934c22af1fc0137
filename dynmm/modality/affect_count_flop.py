"""Count multiply-adds and parameters of CMU-MOSEI's networks, for one clip.

    python -m dynmm.modality.affect_count_flop --path 1 --weight-enable

prints

    MACs 135.13226M  parameters 3.02665M
    MACs measured 152.88226M  (matrix products, convolutions, attention; no norms)

The first line follows the rule behind the published constants (dynmm.modality.networks.madds), which leaves
attention out. The published script ends in a TypeError for the dynamic network; this one counts it.
"""

import sys

from common.errors import UserError, run_main
from common.flags import Parser, positive
from dynmm.modality.affect import networks
from dynmm.modality.networks.madds import STEPS, Part, count_lines, example, parts

# --model-type 3 to 8 are the fusions 0 to 5.
FIRST_FUSION = 3


def parser() -> Parser:
    """The published flags, then --steps and --narrow."""
    p = Parser(prog="python -m dynmm.modality.affect_count_flop", description="Multiply-adds of CMU-MOSEI's networks.")
    add = p.add_argument
    add("--weight-enable", action="store_true", help="include the gate (dynamic network)")
    add("--path", type=int, default=0, help="dynamic network: 1 text expert, else late fusion")
    types = "-1 dynamic; 0 visual, 1 audio, 2 text, 3 ef_gru, 4 lf_gru, 5 ef_tran, 6 lf_tran, 7 mult, 8 lrtf"
    add("--model-type", type=int, default=-1, help=types)
    add("--enc", default="transformer", help="encoder of --model-type 0 to 2: gru, or else the transformer")
    ours = p.add_argument_group("ours")
    ours.add_argument("--steps", type=positive, default=STEPS, metavar="T", help="length of the clip")
    ours.add_argument("--narrow", type=positive, default=1, metavar="N", help="hidden sizes divided by N")
    return p


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for an unknown --model-type."""
    args = parser().parse_args(sys.argv[1:] if argv is None else argv)
    sizes = networks.AffectSizes(narrow=args.narrow)
    if args.model_type == -1:
        gate, experts = parts(networks.DynMMNetV2(sizes), args.steps)
        chosen = experts[0 if args.path == 1 else 1]
        counted = [gate, chosen] if args.weight_enable else [chosen]
    else:
        counted = [static_part(args.model_type, args.enc, sizes, args.steps)]
    print("\n".join(count_lines(counted)))


def static_part(model_type: int, enc: str, sizes: networks.AffectSizes, steps: int) -> Part:
    """A single-modality expert (0 to 2) or a fusion network."""
    inputs, lengths = example(sizes, steps)
    if model_type in (0, 1, 2):
        return Part(networks.unimodal_expert(model_type, enc, sizes=sizes), (inputs[model_type], lengths))
    fusion = model_type - FIRST_FUSION
    if not 0 <= fusion < len(networks.FUSIONS):
        raise UserError(f"--model-type: found {model_type}, expected -1 to {len(networks.FUSIONS) + 2}")
    return Part(networks.fusion_network(fusion, sizes), (inputs, lengths))


if __name__ == "__main__":
    run_main(main)
