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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.cuda import launched, seed_apart, seed_everything
from common.datasets.epic_kitchens.reader import EpicKitchens
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from common.training.state import resume_or
from common.training.step import place
from xnorm.blending import estimate_weights
from xnorm.checkpoints import load_model
from xnorm.data import open_split
from xnorm.final import test_saved
from xnorm.flags import Settings, read_flags
from xnorm.models import build_model, start_from_kinetics
from xnorm.train import open_batches, train

MODULE = "xnorm.main"
HINT = " (another --fusion, --narrow, --hidden_size or --num_classes?)"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        train_or_test(settings, command_line(MODULE, argv), device, procs)


def train_or_test(settings: Settings, command: str, device: torch.device, procs: Processes) -> None:
    """Open and check all that the settings name, and only then enter the run folder to train or test."""
    seed_everything(settings.seed)
    model = build_model(settings.fusion, settings.sizes)  # before anything else draws, as published
    splits = open_splits(settings)
    data = open_batches(settings, splits, device, procs)
    facts: dict[str, Any] = {"seed": settings.seed, "evaluate": settings.evaluate}
    facts["dataset"] = describe_dataset("epic_kitchens", list(splits.values()))
    run = Run("xnorm", "main", settings.name, settings, device, procs, command, facts)
    if run.finished:
        return
    start = None if run.resumed else load_start(settings, model, run.facts)
    with run:
        if not run.resumed:
            introduce(settings, run, model, splits)
        start = resume_or(run, model, start)
        place(model, device, torch.channels_last_3d if settings.channels_last else None)
        seed_apart(settings.seed, procs)
        if settings.evaluate:
            test_saved(settings, run, model, data["test"])
        else:
            estimate = estimate_weights(settings, run, model, data, start)
            train(settings, run, model, data, start, estimate)


def open_splits(settings: Settings) -> dict[str, EpicKitchens]:
    """The segments of train, val and test; with --evaluate of test alone."""
    names = ("test",) if settings.evaluate else ("train", "val", "test")
    csv_root, frames, classes = settings.csv_root, settings.num_frames, settings.num_classes
    return {
        name: open_split(csv_root, settings.data_root, name, frames, classes, settings.method.streams) for name in names
    }


def load_start(settings: Settings, model: nn.Module, facts: dict[str, Any]) -> Mapping[str, Any] | None:
    """Load the checkpoint of --resume PATH, else Kinetics; returns what training goes on from, if it is ours.

    facts: gets what run.json says of the files.
    """
    said = settings.weights_are_published
    if settings.resume and settings.resume != "auto":
        ours, facts["checkpoint"] = load_model(model, Path(settings.resume), HINT, said)
        return ours
    if settings.pretrained:
        facts["weights"] = start_from_kinetics(model, settings.i3d, said)
    return None


def introduce(settings: Settings, run: Run, model: nn.Module, splits: Mapping[str, EpicKitchens]) -> None:
    """The head of the log: command, data, network, files."""
    run.print(run.facts["command"])
    for name, split in splits.items():
        run.print(f"epic_kitchens {name}: {len(split)} segments")
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    run.print(f"{settings.fusion}: {total} parameters, {learned} of them trained")
    for files in filter(None, (run.facts["weights"], run.facts["checkpoint"])):
        run.print(f"loaded {files['file']}")


if __name__ == "__main__":
    run_main(main)
