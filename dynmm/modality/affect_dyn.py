"""Train DynMM on CMU-MOSEI or CMU-MOSI: a gate between the text expert and late fusion (section 4.2, Table 2).

    python -m dynmm.modality.affect_dyn --gpu 0 --data mosei --freeze --hard-gate --reg 0.01

starts from what affect_uni and affect_mm --fusion 3 wrote below log/mosei, prints two lines an epoch and ends with

    Best result [.., .., .., .., ..]

Accuracy, Loss, Corr, millions of multiply-adds and expert 2's share of the run with the lowest Loss.
"""

import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.affect_data import FOLDERS, open_clips
from dynmm.modality.affect_networks import AffectSizes, DynMMNetV2
from dynmm.modality.affect_scores import SentimentTask
from dynmm.modality.checkpoints import ExpertFiles, affect_dynamic_file, affect_expert_files, affect_fusion_file
from dynmm.modality.flags import (
    BEST_RUN,
    CORR,
    FROZEN_MODE,
    GATE_COUNTED,
    LOSS_SCALE,
    PADDING,
    add_data_flags,
    add_gate_flags,
    resolve,
    script_parser,
)
from dynmm.modality.madds import path_madds
from dynmm.modality.pretrained import combined, load_parts
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import affect_dynamic_summary

MODULE = "dynmm.modality.affect_dyn"
QUIRKS = [FROZEN_MODE, PADDING, LOSS_SCALE, BEST_RUN, CORR, GATE_COUNTED]


def parser() -> Parser:
    """The published flags, then ours; --hard is imdb_dyn's name of --hard-gate."""
    p = script_parser(MODULE, "Train or test DynMM on CMU-MOSEI or CMU-MOSI.")
    add = p.add_argument
    add("--data", default="mosei", help="mosei or mosi: the data, the experts and the folder below --log-dir")
    add("--enc", default="transformer", help="a part of the network's file name, nothing else")
    add("--n-epochs", type=int, default=50)
    add("--temp", type=float, default=1.0, help="temperature of the gate")
    add("--hard-gate", "--hard", dest="hard_gate", action="store_true", help="a hard gate, in training and test")
    add("--reg", type=float, default=0.0, help="lambda: the weight of expert 2's share in the loss")
    add("--lr", type=float, default=1e-6)
    add("--wd", type=float, default=1e-4)
    add("--infer-mode", type=int, default=0, help="0 gated, 1 or 2 that expert alone, -1 both by halves")
    add("--freeze", action="store_true", help="train the gate alone")
    add_gate_flags(p)
    add_data_flags(p, None, 32, QUIRKS)
    return p


def build(args: Namespace, sizes: AffectSizes) -> tuple[DynMMNetV2, dict[str, Any] | None]:
    """The network on its experts, and what run.json says of their files."""
    net = DynMMNetV2(sizes, args.temp, args.hard_gate, args.infer_mode, args.quirks["padding"])
    weights = None if args.eval_only else load_experts(args, net)
    if args.freeze:
        net.freeze_experts()
    return net, weights


def load_experts(args: Namespace, net: DynMMNetV2) -> dict[str, Any]:
    """Load the text expert and late fusion, under the names that their scripts write or with b1_ and b2_ in front."""
    first, command = affect_expert_files(args.log_dir, args.data, 2), f"--data {args.data}"
    if args.expert1 is not None:
        first = ExpertFiles(args.expert1, args.expert1.with_name(args.expert1.name.replace("encoder", "head")))
    second = args.expert2 or affect_fusion_file(args.log_dir, args.data, "lf_tran")
    text = list(zip((net.text_encoder, net.text_head), first, strict=True))
    files = load_parts(text, f"python -m dynmm.modality.affect_uni --mod 2 {command}", args.quirks, "b1_")
    late = f"python -m dynmm.modality.affect_mm --fusion 3 {command}"
    return combined(files + load_parts([(net.branch2, second)], late, args.quirks, "b2_"))


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    quirks = args.quirks
    splits, dataset, notes = open_clips(args, FOLDERS[1])
    sizes, steps = AffectSizes(*splits["train"].widths, args.narrow), splits["train"].text.shape[1]
    file = affect_dynamic_file(args.log_dir, args.data, args.enc, args.reg, args.freeze)
    summed, by_scores = quirks["loss_scale"] == "official", quirks["corr"] == "scores"
    gate = {"hard": args.hard_gate, "temperature": args.temp}
    return Stage(
        module=MODULE,
        name=f"{args.data}_{file.stem}",
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=SentimentTask(args.batch_size, summed_loss=summed, corr_of_scores=by_scores),
        build=lambda: build(args, sizes),
        parts=lambda model: [(model, file)],
        config={"script": MODULE, "sizes": asdict(sizes), "padding": quirks["padding"], **gate},
        madds=lambda model: path_madds(model, steps),
        summary=lambda finals: affect_dynamic_summary(finals, quirks["best_run"] == "official"),
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    run_stage(open_stage, MODULE, resolve(parser().parse_args(argv), QUIRKS), argv)


if __name__ == "__main__":
    run_main(main)
