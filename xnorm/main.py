"""Recognise kitchen verbs with X-Norm and its baselines (EPIC-KITCHENS-100, RGB frames and optical flow).

    python -m xnorm.main --fusion xnorm --csv_root dataset/epic_kitchens --data_root data/epic_kitchens
    python -m xnorm.main --fusion rgb|flow|early|late|misa|mult|gb ...
    python -m xnorm.main --fusion xnorm --evaluate --resume path_to_pt

Every epoch prints the loss and accuracy on the validation set. The last lines are the scores on the test set of the
epoch with the highest validation accuracy, as published without the last incomplete batch, and on all of its rows:

    test  official  acc ..  macro_f1 ..  loss ..  (epoch ..: highest validation accuracy; .. of .. rows)
    test  clean     acc ..  macro_f1 ..  loss ..  (epoch ..: highest validation accuracy; .. of .. rows)
"""

import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from common.checkpoint import load_published
from common.cuda import launched, seed_everything
from common.datasets.epic_kitchens.reader import EpicKitchens
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from xnorm.checkpoints import load_model
from xnorm.data import open_split
from xnorm.evaluate import open_test, test
from xnorm.flags import parser, resolve
from xnorm.models import build_model, start_from_kinetics
from xnorm.progress import Progress
from xnorm.train import open_batches, train

MODULE = "xnorm.main"
HINT = " (another --fusion, --narrow, --hidden_size or --num_classes?)"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv))
    with launched(args.gpu, args.precision, MODULE, argv) as (device, procs):
        recognise(args, argv, device, procs)


def recognise(args: Namespace, argv: list[str], device: torch.device, procs: Processes) -> None:
    """Open and check all that the flags name, and only then enter the run folder to train or test."""
    seed_everything(args.seed)
    model = build_model(args)  # before anything else draws, as published: a seed gives its weights
    splits = {name: open_split(args, name) for name in (("test",) if args.evaluate else ("train", "val", "test"))}
    batches = None if args.evaluate else open_batches(args, splits, device, procs)
    test_set = open_test(args, splits["test"], device, procs)
    facts = {"seed": args.seed, "quirks": args.quirks, "evaluate": args.evaluate, "deterministic": True}
    facts |= {"dataset": describe_dataset("epic_kitchens", list(splits.values())), "weights": None}
    run = Run("xnorm", "main", args.name, args, device, procs, command_line(MODULE, argv), facts)
    if run.finished:
        run.note(f"{run.folder}: already finished")
        return
    ours = None if run.resumed else starting_point(args, model, run)
    with run:
        if run.resumed:
            last = run.load_last()
            load_published(model, last["model"], run.last)
            ours = last["ours"]
        elif procs.first:
            introduce(args, run, model, splits)
        model.to(device, memory_format=torch.channels_last_3d if args.channels_last else torch.preserve_format)
        if procs.rank > 0:
            torch.manual_seed(args.seed + procs.rank)  # every process drops out on its own
        if args.evaluate:
            test(args, run, model, test_set, 0)
        else:
            train(args, run, model, batches, test_set, Progress(args.patience, ours))


def starting_point(args: Namespace, model: nn.Module, run: Run) -> Mapping | None:
    """Load the checkpoint of --resume PATH, else Kinetics; returns what training goes on from, if it is ours."""
    if args.resume and args.resume != "auto":
        ours, run.facts["checkpoint"] = load_model(model, Path(args.resume), HINT)
        return ours
    if args.pretrained:
        run.facts["weights"] = start_from_kinetics(model, args.i3d)
    return None


def introduce(args: Namespace, run: Run, model: nn.Module, splits: Mapping[str, EpicKitchens]) -> None:
    """The head of the log: command, data, network, files."""
    run.print(run.facts["command"])
    for name, split in splits.items():
        run.print(f"epic_kitchens {name}: {len(split)} segments")
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    run.print(f"{args.fusion}: {sum(p.numel() for p in model.parameters())} parameters, {learned} of them trained")
    for files in filter(None, (run.facts["weights"], run.facts["checkpoint"])):
        run.print(f"loaded {files['file']}")


if __name__ == "__main__":
    run_main(main)
