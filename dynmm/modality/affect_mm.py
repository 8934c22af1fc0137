"""Train a fusion network on CMU-MOSEI or CMU-MOSI: late fusion (--fusion 3) is expert 2 of DynMM (Table 2).

    python -m dynmm.modality.affect_mm --gpu 0 --data mosei --fusion 3

prints a line an epoch and ends with

    Corr .. ± ..

It writes log/mosei/lf_tran.pt (or ef_gru.pt, lf_gru.pt, ef_tran.pt, mult.pt, lrtf.pt), from which affect_dyn starts.
"""

import sys
from argparse import Namespace
from dataclasses import asdict

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.affect_data import FOLDERS, open_clips
from dynmm.modality.affect_networks import AffectSizes, fusion_name, fusion_network
from dynmm.modality.affect_scores import SentimentTask
from dynmm.modality.checkpoints import affect_fusion_file
from dynmm.modality.final import network_madds
from dynmm.modality.flags import CORR, LRTF, PADDING, add_data_flags, resolve, script_parser
from dynmm.modality.madds import example
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import affect_summary

MODULE = "dynmm.modality.affect_mm"
QUIRKS = [PADDING, LRTF, CORR]


def parser() -> Parser:
    """The published flags, then ours."""
    p = script_parser(MODULE, "Train or test a fusion network on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--data", default="mosei", help="mosei or mosi")
    add("--fusion", "--fuse", type=int, default=3, help="0 ef_gru, 1 lf_gru, 2 ef_tran, 3 lf_tran, 4 mult, 5 lrtf")
    add("--lr", type=float, default=1e-4)
    add("--wd", type=float, default=1e-4)
    add("--measure", action="store_true", help="time the inference")
    add_data_flags(p, None, 32, QUIRKS)
    return p


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    name, quirks = fusion_name(args.fusion), args.quirks
    splits, dataset, notes = open_clips(args, FOLDERS[0])
    sizes, steps = AffectSizes(*splits["train"].widths, args.narrow), splits["train"].text.shape[1]
    return Stage(
        module=MODULE,
        name=f"{args.data}_{name}",
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=SentimentTask(args.batch_size, corr_of_scores=quirks["corr"] == "scores"),
        build=lambda: (fusion_network(name, sizes, quirks["padding"], quirks["lrtf"]), None),
        parts=lambda model: [(model, affect_fusion_file(args.log_dir, args.data, name))],
        config={"script": MODULE, "sizes": asdict(sizes), "padding": quirks["padding"], "lrtf": quirks["lrtf"]},
        madds=lambda model: network_madds(model, *example(sizes, steps)),
        summary=lambda finals: affect_summary(finals, 4),
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    run_stage(open_stage, MODULE, resolve(parser().parse_args(argv), QUIRKS, n_epochs=1000), argv)


if __name__ == "__main__":
    run_main(main)
