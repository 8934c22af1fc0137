"""Train and evaluate Channel Exchanging Networks on NYUDv2 (section 4.1, Tables 1 and 2).

    python -m cen.semantic_segmentation.main --gpu 0 -c exp
    python -m cen.semantic_segmentation.main --gpu 0 --resume path_to_pth --evaluate

Every validation prints a line for each stream and one for the ensemble. The last lines are the scores of the
best epoch, selected on the images that it is scored on as published, and of the last epoch:

    test  official  pixel_acc ..  mean_acc ..  miou ..  (best epoch, selected on these images: ..)
    test  clean     pixel_acc ..  mean_acc ..  miou ..  (last epoch: ..)
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cen.semantic_segmentation.checkpoints import Start, load_model
from cen.semantic_segmentation.data import TrainingBatches, ValidationBatches, open_split
from cen.semantic_segmentation.final import test_saved
from cen.semantic_segmentation.flags import Settings, read_flags
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import ENCODER
from cen.semantic_segmentation.pretrained import load_imagenet
from cen.semantic_segmentation.train import train
from common.checkpoint import load_published
from common.cuda import launched, seed_apart, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run
from common.training.step import place

MODULE = "cen.semantic_segmentation.main"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    settings = read_flags(argv)
    with launched(settings.gpu, settings.precision, MODULE, argv) as (device, procs):
        train_or_test(settings, command_line(MODULE, argv), device, procs)


def train_or_test(settings: Settings, command: str, device: torch.device, procs: Processes) -> None:
    """Open and check all that the settings name, and only then enter the run folder to train or test."""
    seed_everything(settings.random_seed)
    batches, val_batches, facts = open_data(settings, device, procs)
    model = RefineNet(**settings.network)
    run = Run("cen", "semantic_segmentation", settings.ckpt, settings, device, procs, command, facts)
    if run.finished:
        return
    start = Start() if run.resumed else load_start(settings, model, run.facts)
    with run:
        if run.resumed:
            last = run.load_last()
            load_published(model, last["segmenter"], run.last)
            start = Start(last["epoch_start"], last["best_val"], last["ours"])
        else:
            introduce(settings, run, model, start, facts["dataset"]["samples"])
        place(model, device, torch.channels_last if settings.channels_last else None)
        seed_apart(settings.random_seed, procs)
        if batches is None:
            test_saved(settings, run, model, val_batches)
        else:
            train(settings, run, model, batches, val_batches, start)


def open_data(
    settings: Settings, device: torch.device, procs: Processes
) -> tuple[TrainingBatches | None, ValidationBatches, dict[str, Any]]:
    """Batches to train on (none for --evaluate) and to validate on, and what run.json says of the data."""
    data, classes, workers = settings.data, settings.num_classes, settings.num_workers
    train_set = batches = None
    if not settings.evaluate:
        train_set = open_split(data, "train", settings.train_dir, settings.train_list, classes)
    val_set = open_split(data, "val", settings.val_dir, settings.val_list, classes)
    if train_set is not None:
        size, seed, limit = settings.batch_size, settings.random_seed, settings.max_steps
        batches = TrainingBatches(train_set, settings.train_transform, size, seed, workers, device, procs, limit)
    val_batches = ValidationBatches(val_set, settings.val_transform, settings.val_batch_size, workers, device, procs)
    described = describe_dataset(data.name, [split for split in (train_set, val_set) if split is not None])
    return batches, val_batches, {"seed": settings.random_seed, "evaluate": settings.evaluate, "dataset": described}


def load_start(settings: Settings, model: RefineNet, facts: dict[str, Any]) -> Start:
    """Load what the network starts from: the checkpoint of --resume, else ImageNet, else nothing.

    facts: gets what run.json says of the file.
    """
    if settings.resume and settings.resume != "auto":
        content, facts["checkpoint"] = load_model(model, Path(settings.resume), settings.weights_are_published)
        next_one = "ours" not in content and settings.quirks["resume_epoch"] == "fixed"
        return Start(content["epoch_start"] + next_one, content["best_val"], content.get("ours"))
    if settings.enc_pretrained:
        facts["weights"] = load_imagenet(model, int(settings.enc), settings.imagenet, settings.weights_are_published)
    return Start()


def introduce(settings: Settings, run: Run, model: RefineNet, start: Start, samples: Sequence[int]) -> None:
    """The head of the log: command, network, checkpoint, data."""
    run.print(run.facts["command"])
    learnable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    pretrained = f"ImageNet-Pre-Trained={settings.enc_pretrained}"
    run.print(f"Loaded Segmenter {settings.enc}, {pretrained}, #PARAMS={learnable / 1e6:.2f}M")
    if settings.print_network:
        for name, _ in model.named_parameters():
            run.print(f"{'Enc.' if ENCODER.match(name) else 'Dec.'} {name}")
    if run.facts["checkpoint"]:
        run.print(f"Found checkpoint at {settings.resume} with best_val {start.best_val:.4f} at epoch {start.epoch}")
    if not settings.evaluate:
        run.print("Created train set {} examples, val set {} examples".format(*samples))


if __name__ == "__main__":
    run_main(main)
