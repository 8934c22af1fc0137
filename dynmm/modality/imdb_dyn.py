"""Train DynMM on MM-IMDB: a gate between the text expert and late fusion (section 4.1, Table 1, DynMM-a to -d).

    python -m dynmm.modality.imdb_dyn --gpu 0 --freeze --hard-gate --reg 0.1

starts from what imdb_uni --mod 0 and imdb_mm --fuse 1 wrote below log/imdb, prints four lines an epoch and ends with

    Best result [.., .., ..]

micro F1, macro F1 and millions of multiply-adds of the run with the highest macro F1.
"""

import sys
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from common.errors import run_main
from common.flags import Parser
from dynmm.modality.checkpoints import ExpertFiles, imdb_dynamic_file, imdb_expert_files, imdb_fusion_file
from dynmm.modality.flags import (
    FROZEN_MODE,
    GATE_COUNTED,
    GATE_IN_TEST,
    add_data_flags,
    add_gate_flags,
    add_sizes_flag,
    resolve,
    script_parser,
)
from dynmm.modality.imdb_data import open_films
from dynmm.modality.imdb_networks import DynMMNet, ImdbSizes
from dynmm.modality.imdb_scores import GenreTask
from dynmm.modality.madds import path_madds
from dynmm.modality.pretrained import combined, load_parts
from dynmm.modality.stage import Stage, run_stage
from dynmm.modality.summaries import imdb_dynamic_summary

MODULE = "dynmm.modality.imdb_dyn"
QUIRKS = [GATE_IN_TEST, FROZEN_MODE, GATE_COUNTED]


def parser() -> Parser:
    """The published flags, then ours; --hard-gate is README's name of --hard."""
    p = script_parser(MODULE, "Train or test DynMM on MM-IMDB.")
    add = p.add_argument
    add("--data", default="imdb", help="names the folder of the network's file below --log-dir")
    add("--n-epochs", type=int, default=50)
    add("--lr", type=float, default=1e-4)
    add("--wd", type=float, default=1e-2)
    add("--reg", type=float, default=0.1, help="lambda: the weight of expert 2's share in the loss")
    add("--freeze", action="store_true", help="train the gate alone")
    add("--hard", "--hard-gate", dest="hard_gate", action="store_true", help="a hard gate in training too")
    add("--no-pretrain", action="store_true", help="start from new experts")
    add("--infer-mode", type=int, default=0, help="0 gated, 1 or 2 that expert alone")
    add_sizes_flag(p)
    add_gate_flags(p)
    add_data_flags(p, "data/multimodal_imdb.hdf5", 128, QUIRKS)
    return p


def build(args: Namespace, sizes: ImdbSizes) -> tuple[DynMMNet, dict[str, Any] | None]:
    """The network on its experts, and what run.json says of their files."""
    net = DynMMNet(sizes, hard=args.hard_gate, infer_mode=max(0, args.infer_mode))
    weights = None if args.no_pretrain or args.eval_only else load_experts(args, net)
    if args.freeze:
        net.freeze_experts()
    return net, weights


def load_experts(args: Namespace, net: DynMMNet) -> dict[str, Any]:
    """Load the text expert and late fusion; the image expert, which takes no part, where its files are there."""
    first = imdb_expert_files(args.log_dir, 0)
    if args.expert1 is not None:
        first = ExpertFiles(args.expert1, args.expert1.with_name(args.expert1.name.replace("encoder", "head")))
    second = args.expert2 or imdb_fusion_file(args.log_dir, 1)
    text = list(zip((net.text_encoder, net.text_head), first, strict=True))
    files = load_parts(text, "python -m dynmm.modality.imdb_uni --mod 0", args.quirks)
    files += load_parts([(net.branch3, second)], "python -m dynmm.modality.imdb_mm --fuse 1", args.quirks)
    unused = imdb_expert_files(args.log_dir, 1)
    if all(path.is_file() for path in unused):
        load_parts(list(zip((net.image_encoder, net.image_head), unused, strict=True)), "", args.quirks)
    return combined(files)


def open_stage(args: Namespace) -> Stage:
    """Read the data and say what is trained."""
    sizes = ImdbSizes(narrow=args.narrow)
    splits, dataset, notes = open_films(args)
    file = imdb_dynamic_file(args.log_dir, args.freeze, args.reg, args.data)
    return Stage(
        module=MODULE,
        name=file.stem,
        dataset=dataset,
        notes=notes,
        splits=splits,
        task=GenreTask(),
        build=lambda: build(args, sizes),
        parts=lambda model: [(model, file)],
        config={"script": MODULE, "sizes": asdict(sizes), "hard": args.hard_gate, "temperature": 1.0},
        madds=path_madds,
        summary=imdb_dynamic_summary,
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    run_stage(open_stage, MODULE, resolve(parser().parse_args(argv), QUIRKS), argv)


if __name__ == "__main__":
    run_main(main)
