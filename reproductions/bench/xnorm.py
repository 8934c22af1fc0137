"""X-Norm: clips a second of a training step by precision and memory format, and of the reader, cached and uncached."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

import torch

from common.cuda import autocast, cpu_capability, cpu_has_bf16
from common.training.step import clipped_step, grad_scaler, place
from reproductions.bench.timing import show, time_in_turn
from reproductions.bench.xnorm_reader import show_reader
from xnorm.losses import LossWeights
from xnorm.methods.method import Sizes
from xnorm.models import METHODS, build_model
from xnorm.recipe import build_optimizer


def add_flags(parser: ArgumentParser) -> None:
    """Sizes: the defaults suit two cores; on a GPU take --num-frames 16 --crop-size 224 --batch-size 32."""
    parser.add_argument("--fusion", choices=list(METHODS), default="xnorm")
    parser.add_argument("--num-frames", type=int, default=9)
    parser.add_argument("--crop-size", type=int, default=112)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)


def run(args: Namespace, device: torch.device) -> None:
    """Print both tables."""
    size = f"{args.num_frames} frames of {args.crop_size}x{args.crop_size}, batch {args.batch_size}"
    print(f"\nX-Norm, --fusion {args.fusion}, published widths, {size}: training step")
    steps = {"fp32": training_step(args, device)}
    steps["fp32, channels_last_3d"] = training_step(args, device, channels_last=True)
    if device.type == "cuda" or cpu_has_bf16():
        steps["bf16, channels_last_3d"] = training_step(args, device, "bf16", channels_last=True)
    show(time_in_turn(steps, args.rounds, warm_up=1, device=device), "clips/s", args.batch_size)
    if len(steps) == 2:
        print(f"  bf16: not measured, {cpu_capability()} has no bf16 in hardware")
    show_reader()


def training_step(
    args: Namespace, device: torch.device, precision: str = "fp32", channels_last: bool = False
) -> Callable[[], None]:
    """A whole step of the published training (forward, loss, backward, clipping, AdamW) on random clips."""
    torch.manual_seed(0)
    model = build_model(args.fusion, Sizes())
    place(model, device, torch.channels_last_3d if channels_last else None).train()
    optimizer = build_optimizer(model, learning_rate=1e-9, weight_decay=1e-4)
    weights = LossWeights(heads=(0.3, 0.3, 0.4))
    shape = (args.num_frames, args.crop_size, args.crop_size)
    clips = [torch.rand(args.batch_size, channels, *shape, device=device) * 2 - 1 for channels in (3, 2)]
    clips = [clip.contiguous(memory_format=torch.channels_last_3d) if channels_last else clip for clip in clips]
    scaler = grad_scaler(precision)
    labels = torch.randint(0, 8, (args.batch_size,), device=device)

    def step() -> None:
        with autocast(device, precision):
            output = model(*clips)
        loss = METHODS[args.fusion].objective(output, labels, weights).total
        clipped_step(loss, optimizer, scaler, clip=1.0)

    return step
