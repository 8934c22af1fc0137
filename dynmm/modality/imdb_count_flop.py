"""Count multiply-adds and parameters of MM-IMDB's networks, for one sample.

    python -m dynmm.modality.imdb_count_flop --path 1 --weight-enable

prints

    MACs 1.25261M  parameters 1.25430M
    MACs measured 1.25261M  (matrix products, convolutions, attention; no norms)

The first line follows the rule behind the published constants (dynmm.modality.networks.madds). The published script
ends in a TypeError for the dynamic network; this one counts it.
"""

import sys

from common.errors import UserError, run_main
from common.flags import Parser, positive
from dynmm.modality.imdb import networks
from dynmm.modality.networks.blocks import Expert
from dynmm.modality.networks.madds import Part, count_lines, example, parts

# --model-type 2 to 5 are the fusions 0 to 3.
FIRST_FUSION = 2


def parser() -> Parser:
    """The published flags, then --narrow."""
    p = Parser(prog="python -m dynmm.modality.imdb_count_flop", description="Multiply-adds of MM-IMDB's networks.")
    add = p.add_argument
    add("--weight-enable", action="store_true", help="include the gate (dynamic network)")
    add("--path", type=int, default=0, help="dynamic network: 1 text expert, 2 image expert, else late fusion")
    add("--model-type", type=int, default=-1, help="-1 dynamic; 0 text, 1 image, 2 ef, 3 lf, 4 lrtf, 5 mim")
    ours = p.add_argument_group("ours")
    ours.add_argument("--narrow", type=positive, default=1, metavar="N", help="hidden sizes divided by N")
    return p


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for an unknown --model-type."""
    args = parser().parse_args(sys.argv[1:] if argv is None else argv)
    sizes = networks.ImdbSizes(narrow=args.narrow)
    if args.model_type == -1:
        counted = dynamic_parts(args.path, args.weight_enable, sizes)
    else:
        counted = [static_part(args.model_type, sizes)]
    print("\n".join(count_lines(counted)))


def dynamic_parts(path: int, weight_enable: bool, sizes: networks.ImdbSizes) -> list[Part]:
    """The expert of --path, behind the gate where that is included."""
    net = networks.DynMMNet(sizes)
    gate, experts = parts(net)
    image = Part(Expert(net.image_encoder, net.image_head), (example(sizes)[0][1],))
    chosen = {1: experts[0], 2: image}.get(path, experts[1])
    return [gate, chosen] if weight_enable else [chosen]


def static_part(model_type: int, sizes: networks.ImdbSizes) -> Part:
    """A single-modality expert (0, 1) or a fusion network."""
    inputs, _ = example(sizes)
    if model_type in (0, 1):
        return Part(networks.unimodal_expert(model_type, sizes), (inputs[model_type],))
    fuse = model_type - FIRST_FUSION
    if not 0 <= fuse < len(networks.FUSIONS):
        raise UserError(f"--model-type: found {model_type}, expected -1 to {len(networks.FUSIONS) + 1}")
    return Part(networks.fusion_network(fuse, sizes), (inputs,))


if __name__ == "__main__":
    run_main(main)
