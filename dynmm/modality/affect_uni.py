"""Train a single-modality expert on CMU-MOSEI or CMU-MOSI: expert 1 of DynMM is the text's (Table 2).

    python -m dynmm.modality.affect_uni --gpu 0 --data mosei --mod 2

prints a line an epoch and ends with

    Corr .. ± ..

It writes log/mosei/reg_transformer_encoder_text.pt and ..._head_text.pt, from which affect_dyn starts.
"""

import sys
from argparse import Namespace
from dataclasses import asdict

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.affect_data import FOLDERS, open_clips
from dynmm.modality.affect_networks import MODALITIES, AffectSizes, encoder_name, modality_index, unimodal_expert
from dynmm.modality.affect_scores import SentimentTask
from dynmm.modality.checkpoints import affect_expert_files
from dynmm.modality.final import network_madds
from dynmm.modality.flags import CORR, PADDING, add_data_flags, resolve, script_parser
from dynmm.modality.madds import example
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import affect_summary

MODULE = "dynmm.modality.affect_uni"
QUIRKS = [PADDING, CORR]


def parser() -> Parser:
    """The published flags, then ours."""
    p = script_parser(MODULE, "Train or test a single-modality expert on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--mod", type=int, default=2, help="0 visual, 1 audio, otherwise text")
    add("--enc", default="transformer", help="gru, otherwise transformer")
    add("--hidden-dim1", type=int, default=0, help="width of the encoder; 0: as published")
    add("--hidden-dim2", type=int, default=0, help="hidden width of the head; 0: as published")
    add("--data", default="mosei", help="mosei or mosi")
    add("--lr", type=float, default=1e-4)
    add("--clf", action="store_true", help="two outputs and cross-entropy; a label of at least 0 is positive")
    add("--measure", action="store_true", help="time the inference")
    add_data_flags(p, None, 32, QUIRKS)
    return p


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    mod, enc, quirks = modality_index(args.mod), encoder_name(args.enc), args.quirks
    hidden, outputs = (args.hidden_dim1, args.hidden_dim2), 2 if args.clf else 1
    unimodal_expert(mod, enc, *hidden, outputs, AffectSizes(narrow=64))  # refuses a width before the data is read
    splits, dataset, notes = open_clips(args, FOLDERS[0], only=mod)
    sizes, steps = AffectSizes(*splits["train"].widths, args.narrow), splits["train"].text.shape[1]
    task = SentimentTask(args.batch_size, classes=args.clf, corr_of_scores=quirks["corr"] == "scores")
    inputs, lengths = example(sizes, steps)
    return Stage(
        module=MODULE,
        name=f"{args.data}_{'clf' if args.clf else 'reg'}_{enc}_{MODALITIES[mod]}",
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=task,
        build=lambda: (unimodal_expert(mod, enc, *hidden, outputs, sizes, quirks["padding"]), None),
        parts=lambda model: list(
            zip(model, affect_expert_files(args.log_dir, args.data, mod, enc, args.clf), strict=True)
        ),
        config={"script": MODULE, "sizes": asdict(sizes), "padding": quirks["padding"]},
        madds=lambda model: network_madds(model, inputs[mod], lengths),
        summary=lambda finals: affect_summary(finals, 2),
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    run_stage(open_stage, MODULE, resolve(parser().parse_args(argv), QUIRKS, n_epochs=100, wd=0.01), argv)


if __name__ == "__main__":
    run_main(main)
