"""Train a single-modality expert on MM-IMDB: expert 1 of DynMM is the text's (Table 1, image and text networks).

    python -m dynmm.modality.imdb_uni --gpu 0 --mod 0

prints three lines an epoch and ends with

    f1 macro .. ± ..

It writes log/imdb/encoder_text.pt and head_text.pt (or ..._image.pt), from which imdb_dyn starts.
"""

import sys
from argparse import Namespace
from dataclasses import asdict

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.checkpoints import imdb_expert_files
from dynmm.modality.final import network_madds
from dynmm.modality.flags import add_data_flags, add_sizes_flag, resolve, script_parser
from dynmm.modality.imdb_data import open_films
from dynmm.modality.imdb_networks import EXPERTS, ImdbSizes, unimodal_expert
from dynmm.modality.imdb_scores import GenreTask
from dynmm.modality.madds import example
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import imdb_summary

MODULE = "dynmm.modality.imdb_uni"


def parser() -> Parser:
    """The published flags, then ours."""
    p = script_parser(MODULE, "Train or test a single-modality expert on MM-IMDB.")
    p.add_argument("--mod", type=int, default=0, help="0 text, 1 image")
    p.add_argument("--measure", action="store_true", help="time the inference")
    add_sizes_flag(p)
    add_data_flags(p, "data/multimodal_imdb.hdf5", 128, [])
    return p


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    sizes = ImdbSizes(narrow=args.narrow)
    unimodal_expert(args.mod, ImdbSizes(narrow=64))  # refuses another --mod before the data is read
    splits, dataset, notes = open_films(args, only=args.mod)
    return Stage(
        module=MODULE,
        name=EXPERTS[args.mod],
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=GenreTask(),
        build=lambda: (unimodal_expert(args.mod, sizes), None),
        parts=lambda model: list(zip(model, imdb_expert_files(args.log_dir, args.mod), strict=True)),
        config={"script": MODULE, "sizes": asdict(sizes)},
        madds=lambda model: network_madds(model, example(sizes)[0][args.mod]),
        summary=imdb_summary,
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv), [], n_epochs=1000, lr=1e-4, wd=0.01)
    run_stage(open_stage, MODULE, args, argv)


if __name__ == "__main__":
    run_main(main)
