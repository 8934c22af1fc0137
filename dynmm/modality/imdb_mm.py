"""Train a fusion network on MM-IMDB: late fusion (--fuse 1) is expert 2 of DynMM (Table 1, LRTF, MI-Matrix).

    python -m dynmm.modality.imdb_mm --gpu 0 --fuse 1

prints three lines an epoch and ends with

    f1 macro .. ± ..

It writes log/imdb/best_lf.pt (or best_ef.pt, best_lrtf.pt, best_mim.pt), from which imdb_dyn starts.
"""

import sys
from argparse import Namespace
from dataclasses import asdict

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.checkpoints import imdb_fusion_file
from dynmm.modality.final import network_madds
from dynmm.modality.flags import LRTF, add_data_flags, add_sizes_flag, resolve, script_parser
from dynmm.modality.imdb_data import open_films
from dynmm.modality.imdb_networks import ImdbSizes, fusion_name, fusion_network
from dynmm.modality.imdb_scores import GenreTask
from dynmm.modality.madds import example
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import imdb_summary

MODULE = "dynmm.modality.imdb_mm"
QUIRKS = [LRTF]
LEARNING_RATES = {"ef": 4e-2, "lf": 8e-3, "lrtf": 8e-3, "mim": 8e-3}


def parser() -> Parser:
    """The published flags, then ours; --fusion is README's name of --fuse."""
    p = script_parser(MODULE, "Train or test a fusion network on MM-IMDB.")
    p.add_argument("--fuse", "--fusion", type=int, default=0, help="0 early, 1 late, 2 low-rank tensor, 3 MI matrix")
    p.add_argument("--measure", action="store_true", help="time the inference")
    add_sizes_flag(p)
    add_data_flags(p, "data/multimodal_imdb.hdf5", 128, QUIRKS)
    return p


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    sizes, lrtf = ImdbSizes(narrow=args.narrow), args.quirks["lrtf"]
    splits, dataset, notes = open_films(args)
    return Stage(
        module=MODULE,
        name=fusion_name(args.fuse),
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=GenreTask(),
        build=lambda: (fusion_network(args.fuse, sizes, lrtf), None),
        parts=lambda model: [(model, imdb_fusion_file(args.log_dir, args.fuse))],
        config={"script": MODULE, "sizes": asdict(sizes), "lrtf": lrtf},
        madds=lambda model: network_madds(model, example(sizes)[0]),
        summary=imdb_summary,
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    args = resolve(args, QUIRKS, n_epochs=1000, lr=LEARNING_RATES[fusion_name(args.fuse)], wd=0.01)
    run_stage(open_stage, MODULE, args, argv)


if __name__ == "__main__":
    run_main(main)
