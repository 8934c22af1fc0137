"""Recognise emotions from text and audio: the paper's second task, of which no code and no number was published.

    python -m xnorm.emotion --fusion xnorm --data FOLDER
    python -m xnorm.emotion --fusion text|audio|early|late|mult --data FOLDER

Data layout, network sizes and protocol are ours, and so is every number. Every epoch prints the loss and accuracy on
the validation set. The last line is the score on the test set of the epoch with the highest validation accuracy
(acc: all clips count the same; ua: mean over the emotions; majority: what always the most frequent one would get):

    test  ours  acc ..  ua ..  macro_f1 ..  majority ..  (epoch ..: highest validation accuracy)
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.cuda import launched, seed_apart, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from common.training.state import resume_or
from xnorm.checkpoints import load_model
from xnorm.emotion.data import Clips, check_batches, open_clips
from xnorm.emotion.final import test_saved
from xnorm.emotion.flags import Settings, read_flags
from xnorm.emotion.model import build_model
from xnorm.emotion.text_features import add_text_features
from xnorm.emotion.train import train

MODULE = "xnorm.emotion"
HINT = " (another --fusion, --width, --layers or --exchange?)"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        train_or_test(settings, command_line(MODULE, argv), device, procs)


def train_or_test(settings: Settings, command: str, device: torch.device, procs: Processes) -> None:
    """Open and check all that the settings name, and only then enter the run folder to train or test."""
    seed_everything(settings.seed)
    data, names = open_clips(settings.data)
    check_batches(len(data["train"]), settings.batch_size, procs.world)
    facts: dict[str, Any] = {"seed": settings.seed, "evaluate": settings.evaluate}
    facts["dataset"] = describe_dataset("emotion", [data["test"]] if settings.evaluate else list(data.values()))
    data, facts["weights"] = add_text_features(data, settings.bert, device, settings.weights_are_published)
    widths = data["train"].text.shape[2], data["train"].audio.shape[2]
    model = build_model(settings.fusion, settings.sizes, widths, len(names))
    run = Run("xnorm", "emotion", settings.name, settings, device, procs, command, facts)
    if run.finished:
        return
    start = None if run.resumed else load_start(settings, model, run.facts)
    with run:
        if not run.resumed:
            introduce(settings, run, model, data, names)
        start = resume_or(run, model, start)
        model.to(device)
        seed_apart(settings.seed, procs)
        if settings.evaluate:
            test_saved(run, model, data["test"], names)
        else:
            train(settings, run, model, data, names, start)


def load_start(settings: Settings, model: nn.Module, facts: dict[str, Any]) -> Mapping[str, Any] | None:
    """Load the checkpoint of --resume PATH; returns what training goes on from, if it is ours.

    facts: gets what run.json says of the file.
    """
    if settings.resume in ("", "auto"):
        return None
    start, facts["checkpoint"] = load_model(model, Path(settings.resume), HINT, settings.weights_are_published)
    return start


def introduce(settings: Settings, run: Run, model: nn.Module, data: Mapping[str, Clips], names: Sequence[str]) -> None:
    """The head of the log: command, data, network."""
    run.print(run.facts["command"])
    for name, clips in data.items():
        run.print(
            f"emotion {name}: {len(clips)} clips, text {tuple(clips.text.shape[1:])}, audio "
            f"{tuple(clips.audio.shape[1:])}"
        )
    run.print(f"emotions: {' '.join(names)}")
    run.print(f"{settings.fusion}: {sum(parameter.numel() for parameter in model.parameters())} parameters")


if __name__ == "__main__":
    run_main(main)
