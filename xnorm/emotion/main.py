"""Recognise emotions from text and audio: the paper's second task, of which no code and no number was published.

    python -m xnorm.emotion --fusion xnorm --data FOLDER
    python -m xnorm.emotion --fusion text|audio|early|late|mult --data FOLDER

Data layout, network sizes and protocol are ours, and so is every number. Every epoch prints the loss and accuracy on
the validation set. The last line is the score on the test set of the epoch with the highest validation accuracy
(acc: all clips count the same; ua: mean over the emotions; majority: what always the most frequent one would get):

    test  ours  acc ..  ua ..  macro_f1 ..  majority ..  (epoch ..: highest validation accuracy)
"""

import sys
from argparse import Namespace
from pathlib import Path

import torch

from common.checkpoint import load_published
from common.cuda import launched, seed_everything
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from xnorm.checkpoints import load_model
from xnorm.emotion.data import Clips, open_clips
from xnorm.emotion.evaluate import test
from xnorm.emotion.flags import parser, resolve
from xnorm.emotion.model import build_model
from xnorm.emotion.text_features import with_text_features
from xnorm.emotion.train import check_batches, train
from xnorm.progress import Progress

MODULE = "xnorm.emotion"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv))
    with launched(args.gpu, args.precision, MODULE, argv) as (device, procs):
        recognise(args, argv, device, procs)


def recognise(args: Namespace, argv: list[str], device: torch.device, procs: Processes) -> None:
    """Open and check all that the flags name, and only then enter the run folder to train or test."""
    seed_everything(args.seed)
    data, names = open_clips(args.data)
    check_batches(args, len(data["train"]), procs.world)
    facts = {"seed": args.seed, "quirks": args.quirks, "evaluate": args.evaluate, "deterministic": True}
    facts["dataset"] = describe_dataset("emotion", [data["test"]] if args.evaluate else list(data.values()))
    data, facts["weights"] = with_text_features(args, data, device)
    model = build_model(args, (data["train"].text.shape[2], data["train"].audio.shape[2]), len(names))
    run = Run("xnorm", "emotion", args.name, args, device, procs, command_line(MODULE, argv), facts)
    if run.finished:
        run.note(f"{run.folder}: already finished")
        return
    ours = None
    if args.resume and not run.resumed and args.resume != "auto":
        hint = " (another --fusion, --width, --layers or --exchange?)"
        ours, run.facts["checkpoint"] = load_model(model, Path(args.resume), hint)
    with run:
        if run.resumed:
            last = run.load_last()
            load_published(model, last["model"], run.last)
            ours = last["ours"]
        elif procs.first:
            introduce(args, run, model, data, names)
        model.to(device)
        if procs.rank > 0:
            torch.manual_seed(args.seed + procs.rank)  # every process drops out on its own
        if args.evaluate:
            test(args, run, model, data["test"], names, 0)
        else:
            train(args, run, model, data, names, Progress(args.patience, ours))


def introduce(args: Namespace, run: Run, model: torch.nn.Module, data: dict[str, Clips], names: list[str]) -> None:
    """The head of the log: command, data, network."""
    run.print(run.facts["command"])
    for name, clips in data.items():
        run.print(
            f"emotion {name}: {len(clips)} clips, text {tuple(clips.text.shape[1:])}, audio "
            f"{tuple(clips.audio.shape[1:])}"
        )
    run.print(f"emotions: {' '.join(names)}")
    run.print(f"{args.fusion}: {sum(parameter.numel() for parameter in model.parameters())} parameters")
