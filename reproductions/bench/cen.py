"""CEN: training samples a second by precision and memory format, and the exchange with masks against ours."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cen.exchange import exchange_channels, is_kept, penalised_slices
from cen.semantic_segmentation.losses import Objective
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import stage_optimizers, step
from cen.semantic_segmentation.train import freeze_norms
from common.cuda import autocast, cpu_capability, cpu_has_bf16
from common.processes import Processes
from common.training.step import grad_scaler, place
from reproductions.bench.timing import show, time_in_turn

THRESHOLD, LAMDA, IGNORE = 0.02, 2e-4, 255


def add_flags(parser: ArgumentParser) -> None:
    """Sizes: the defaults suit two cores; on a GPU take --enc 101 --crop-size 500 --batch-size 6."""
    parser.add_argument("--enc", type=int, default=50)
    parser.add_argument("--crop-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)


def run(args: Namespace, device: torch.device) -> None:
    """Print both tables."""
    print(f"\nRefineNet-{args.enc}, two streams, crop {args.crop_size}, batch {args.batch_size}: training step")
    steps = {"fp32": training_step(args, device)}
    steps["fp32, channels_last"] = training_step(args, device, channels_last=True)
    if device.type == "cuda" or cpu_has_bf16():
        steps["bf16, channels_last"] = training_step(args, device, "bf16", channels_last=True)
    timings = time_in_turn(steps, args.rounds, warm_up=2, device=device)
    show(timings, "samples/s", args.batch_size)
    if "bf16, channels_last" not in timings:
        print(f"  bf16: not measured, {cpu_capability()} has no bf16 in hardware")

    print("\nexchange of two streams, forward and backward, 15 % of the channels small")
    for name, shape in exchange_shapes(args).items():
        for layout in (torch.contiguous_format, torch.channels_last):
            label = "channels_last" if layout is torch.channels_last else "contiguous"
            print(f"  {name} {tuple(shape)}, {label}")
            calls = {"with masks": exchange_call(masked_exchange, shape, layout, device)}
            calls["ours"] = exchange_call(exchange_channels, shape, layout, device)
            show(time_in_turn(calls, 4 * args.rounds, warm_up=3, device=device), "calls/s", 1)


def training_step(
    args: Namespace, device: torch.device, precision: str = "fp32", channels_last: bool = False
) -> Callable[[], None]:
    """A whole step of the published training (forward, loss, backward, both optimizers) on random images."""
    torch.manual_seed(0)
    model = RefineNet(args.enc, 40, 2, THRESHOLD)
    place(model, device, torch.channels_last if channels_last else None).train()
    freeze_norms(model)
    optimizers = stage_optimizers(model, rates=(1e-6, 1e-6), momenta=(0.9, 0.9), decays=(1e-5, 1e-5))
    slices = penalised_slices(model.named_parameters(), "bn2")
    objective = Objective(dict(model.named_parameters()), slices, LAMDA, IGNORE)
    size = (args.batch_size, 3, args.crop_size, args.crop_size)
    inputs = [torch.randn(size, device=device) for _ in range(2)]
    target = torch.randint(0, 40, (args.batch_size, *size[2:]), device=device)
    scaler = grad_scaler(precision)

    def train_step() -> None:
        with autocast(device, precision):
            outputs, _ = model(inputs)
        step(objective(outputs, target, Processes()), optimizers, scaler)

    return train_step


def exchange_shapes(args: Namespace) -> dict[str, tuple[int, ...]]:
    """The tensors that the four layers of a ResNet exchange."""
    side = args.crop_size
    return {f"layer{i}": (args.batch_size, 64 * 2 ** (i - 1), side >> (i + 1), side >> (i + 1)) for i in (1, 2, 3, 4)}


def masked_exchange(streams: Sequence[Tensor], scales: Sequence[Tensor], threshold: float) -> list[Tensor]:
    """The same exchange of two streams by boolean-mask indexing, as one writes it first."""
    fused = []
    for own, other, scale in zip(streams, reversed(streams), scales, strict=True):
        kept = is_kept(scale, threshold)
        out = torch.zeros_like(own)
        out[:, kept] = own[:, kept]
        out[:, ~kept] = other[:, ~kept]
        fused.append(out)
    return fused


def exchange_call(
    exchange: Callable[..., list[Tensor]], shape: Sequence[int], layout: torch.memory_format, device: torch.device
) -> Callable[[], None]:
    """Exchange and its gradient on random streams of (B, C, H, W)."""
    torch.manual_seed(0)
    streams = [torch.randn(*shape, device=device).contiguous(memory_format=layout).requires_grad_() for _ in range(2)]
    scales = [nn.Parameter(torch.where(torch.rand(shape[1]) < 0.15, 0.01, 1.0).to(device)) for _ in range(2)]
    gradients = [torch.randn_like(stream) for stream in streams]

    def call() -> None:
        torch.autograd.grad(exchange(streams, scales, THRESHOLD), streams, gradients)

    return call
