"""Train and evaluate Channel Exchanging Networks on NYUDv2 (section 4.1, Tables 1 and 2).

    python -m cen.semantic_segmentation.main --gpu 0 -c exp
    python -m cen.semantic_segmentation.main --gpu 0 --resume path_to_pth --evaluate

Every validation prints a line for each stream and one for the ensemble. The last lines are the scores of the
best epoch, selected on the images that it is scored on as published, and of the last epoch:

    test  official  pixel_acc ..  mean_acc ..  miou ..  (best epoch, selected on these images: ..)
    test  clean     pixel_acc ..  mean_acc ..  miou ..  (last epoch: ..)
"""

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from cen.semantic_segmentation.data import TrainingSamples, ValidationSamples, find_list, validation_loader
from cen.semantic_segmentation.evaluate import evaluate
from cen.semantic_segmentation.flags import TRAIN_LIST, VAL_LIST, normalisation, parser, resolve
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import ENCODER
from cen.semantic_segmentation.pretrained import load_checkpoint, load_imagenet
from cen.semantic_segmentation.train import train
from cen.semantic_segmentation.transforms import TrainTransform, ValTransform
from common.checkpoint import load_published
from common.cuda import (
    Processes,
    check_precision,
    process_group,
    processes,
    seed_everything,
    select_device,
    start_again_with_torchrun,
)
from common.errors import run_main
from common.provenance import command_line, describe_dataset
from common.readers.nyudv2 import NYUDv2
from common.run import Run

MODULE = "cen.semantic_segmentation.main"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv))
    start_again_with_torchrun(args.gpu, MODULE, argv)
    procs = processes()
    device = select_device(args.gpu, procs)
    check_precision(device, args.precision)
    with process_group(device, procs):
        segment(args, argv, device, procs)


def segment(args: Namespace, argv: list[str], device: torch.device, procs: Processes) -> None:
    """Open and check all that the flags name, and only then enter the run folder to train or evaluate."""
    seed_everything(args.random_seed)
    train_set = None if args.evaluate else open_split(args, "train")
    val_set = open_split(args, "val")
    skip = args.quirks["rcu_skip"] == "official"
    model = RefineNet(
        int(args.enc), args.num_classes, len(args.input), args.bn_threshold, width=args.width, rectified_skip=skip
    )
    facts = {"seed": args.random_seed, "quirks": args.quirks, "evaluate": args.evaluate, "deterministic": True}
    facts["dataset"] = describe_dataset("nyudv2", [split for split in (train_set, val_set) if split])
    command = command_line(MODULE, argv)
    run = Run("cen", "semantic_segmentation", args.ckpt, args, device, procs, command, facts)
    if run.finished:
        run.note(f"{run.folder}: already finished")
        return
    start = {"epoch_start": 0, "best_val": 0.0} if run.resumed else starting_point(args, model, run)
    with run:
        if run.resumed:
            start = run.load_last()
            load_published(model, start["segmenter"], run.last)
        else:
            introduce(args, run, model, command, start)
        model.to(device, memory_format=torch.channels_last if args.channels_last else torch.preserve_format)
        if procs.rank > 0:
            torch.manual_seed(args.random_seed + procs.rank)  # every process drops out on its own
        val_samples = ValidationSamples(val_set, ValTransform(args.input_size, normalisation(args)))
        val_batches = validation_loader(val_samples, args.val_batch_size, args.num_workers, device, procs)
        if args.evaluate:
            evaluate(args, run, model, val_batches)
        else:
            if not run.resumed:
                run.print(f"Created train set {len(train_set)} examples, val set {len(val_set)} examples")
            train(args, run, model, TrainingSamples(train_set, train_transform(args)), val_batches, start)


def open_split(args: Namespace, split: str) -> NYUDv2:
    """The data set of "train" or "val", all of its files looked for. Raises UserError naming what is amiss."""
    if split == "train":
        list_file = find_list(args.train_list, TRAIN_LIST, args.train_dir, "train.txt")
        return NYUDv2(args.train_dir, list_file, split, args.num_classes)
    list_file = find_list(args.val_list, VAL_LIST, args.val_dir, "val.txt")
    return NYUDv2(args.val_dir, list_file, split, args.num_classes)


def train_transform(args: Namespace) -> TrainTransform:
    """The training chain of these flags."""
    return TrainTransform(
        shorter_side=args.shorter_side,
        low_scale=args.low_scale,
        high_scale=args.high_scale,
        crop_size=args.crop_size,
        input_size=args.input_size,
        ignore_label=args.ignore_label,
        norm=normalisation(args),
        zero_depth_padding=args.quirks["depth_padding"] == "fixed",
    )


def starting_point(args: Namespace, model: RefineNet, run: Run) -> dict[str, Any]:
    """Load what the network starts from: the checkpoint of --resume, else ImageNet, else nothing.

    Returns the checkpoint's content, or {"epoch_start": 0, "best_val": 0.0}.
    """
    if args.resume and args.resume != "auto":
        content, run.facts["checkpoint"] = load_checkpoint(model, Path(args.resume))
        if "ours" not in content and args.quirks["resume_epoch"] == "fixed":
            content["epoch_start"] += 1
        return content
    if args.enc_pretrained:
        run.facts["weights"] = load_imagenet(model, int(args.enc), args.imagenet)
    return {"epoch_start": 0, "best_val": 0.0}


def introduce(args: Namespace, run: Run, model: RefineNet, command: str, start: dict[str, Any]) -> None:
    """The head of the log: command, network, checkpoint."""
    run.print(command)
    learnable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    run.print(
        f"Loaded Segmenter {args.enc}, ImageNet-Pre-Trained={args.enc_pretrained}, #PARAMS={learnable / 1e6:.2f}M"
    )
    if args.print_network:
        for name, _ in model.named_parameters():
            run.print(f"{'Enc.' if ENCODER.match(name) else 'Dec.'} {name}")
    if "segmenter" in start:
        run.print(
            f"Found checkpoint at {args.resume} with best_val {start['best_val']:.4f} at epoch {start['epoch_start']}"
        )


if __name__ == "__main__":
    run_main(main)
