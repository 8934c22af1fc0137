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
from typing import Any

import torch

from cen.semantic_segmentation.data import open_split, training_batches, validation_batches
from cen.semantic_segmentation.evaluate import evaluate
from cen.semantic_segmentation.flags import parser, resolve
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import ENCODER
from cen.semantic_segmentation.pretrained import starting_point
from cen.semantic_segmentation.train import train
from common.checkpoint import load_published
from common.cuda import launched, seed_everything
from common.errors import run_main
from common.processes import Processes
from common.provenance import command_line, describe_dataset
from common.run import Run

MODULE = "cen.semantic_segmentation.main"


def main(argv: list[str] | None = None) -> None:
    """Run the command with `argv` (default: the process's own). Raises UserError for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    args = resolve(parser().parse_args(argv))
    with launched(args.gpu, args.precision, MODULE, argv) as (device, procs):
        segment(args, argv, device, procs)


def segment(args: Namespace, argv: list[str], device: torch.device, procs: Processes) -> None:
    """Open and check all that the flags name, and only then enter the run folder to train or evaluate."""
    seed_everything(args.random_seed)
    train_set = None if args.evaluate else open_split(args, "train")
    val_set = open_split(args, "val")
    train_batches = None if args.evaluate else training_batches(args, train_set, device, procs)
    val_batches = validation_batches(args, val_set, device, procs)
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
    start = {} if run.resumed else starting_point(args, model, run.facts)
    with run:
        if run.resumed:
            start = run.load_last()
            load_published(model, start["segmenter"], run.last)
        else:
            introduce(args, run, model, command, start)
        model.to(device, memory_format=torch.channels_last if args.channels_last else torch.preserve_format)
        if procs.rank > 0:
            torch.manual_seed(args.random_seed + procs.rank)  # every process drops out on its own
        if args.evaluate:
            evaluate(args, run, model, val_batches)
        else:
            if not run.resumed:
                run.print(f"Created train set {len(train_set)} examples, val set {len(val_set)} examples")
            train(args, run, model, train_batches, val_batches, start)


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
