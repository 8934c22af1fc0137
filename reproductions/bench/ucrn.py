"""UCRN: training samples a second, against attention matrices written out and a wait for the device each step."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from common.backbones.mult_transformer import MultiheadAttention, future_mask
from common.processes import Processes
from common.training.step import clipped_step, distributed, grad_scaler
from reproductions.bench.timing import show, time_in_turn
from ucrn.losses import Objective
from ucrn.model import UCRN

WIDTHS = (300, 74, 35)
SIZES = {"aligned": (50, 50, 50), "unaligned": (50, 500, 500)}


def add_flags(parser: ArgumentParser) -> None:
    """Batch sizes: the defaults suit two cores; on a GPU take --batch-sizes 32 32 --compile."""
    parser.add_argument("--batch-sizes", type=int, nargs=2, default=(32, 4), help="of aligned and unaligned clips")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="also torch.compile")


def run(args: Namespace, device: torch.device) -> None:
    """A table for aligned and one for unaligned clips of CMU-MOSEI's published sizes."""
    for (name, lengths), batch in zip(SIZES.items(), args.batch_sizes, strict=True):
        print(f"\nUCRN, CMU-MOSEI {name}, steps {lengths}, batch {batch}: training step")
        steps = {"matrices, synchronized": training_step(lengths, batch, device, matrices=True, wait=True)}
        steps["matrices"] = training_step(lengths, batch, device, matrices=True)
        steps["ours"] = training_step(lengths, batch, device)
        if args.compile:
            steps["ours, compiled"] = training_step(lengths, batch, device, compiled=True)
        show(time_in_turn(steps, args.rounds, warm_up=2, device=device), "samples/s", batch)


def training_step(
    lengths: Sequence[int],
    batch: int,
    device: torch.device,
    matrices: bool = False,
    wait: bool = False,
    compiled: bool = False,
) -> Callable[[], None]:
    """A whole step of the published training (forward, losses, backward, clipping, Adam) on random sequences.

    wait: as the published loop does it: the batch comes from the CPU, and two losses are read back at every step.
    """
    torch.manual_seed(0)
    model = UCRN(WIDTHS, lengths).to(device).train()
    if matrices:
        write_out_attention(model)
    net = distributed(model, device, Processes(), compiled)
    optimizer, scaler = torch.optim.Adam(model.parameters(), lr=1e-6), grad_scaler("fp32")
    objective = Objective(jsd=True)
    home = torch.device("cpu") if wait else device
    shapes = [(batch, length, width) for length, width in zip(lengths, WIDTHS, strict=True)]
    sequences = [torch.randn(shape, device=home) for shape in shapes]
    labels = torch.rand(batch, 1, device=home)

    def step() -> None:
        losses = objective(net(*(x.to(device) for x in sequences)), labels.to(device))
        clipped_step(losses.total, optimizer, scaler, clip=0.8)
        if wait:
            losses.l1.item(), losses.total.item()

    return step


def write_out_attention(model: nn.Module) -> None:
    """Let every attention of the model compute its (T, S) matrices and build its mask anew, as first written."""
    for module in model.modules():
        if isinstance(module, MultiheadAttention):
            module.forward = partial(attend, module)  # type: ignore[method-assign]  # of this one object


def attend(module: MultiheadAttention, query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
    """What MultiheadAttention computes, by softmax(Q K^T / sqrt(d) + mask) V."""
    parts = zip((query, key, value), module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
    heads = (nn.functional.linear(x, weight, bias) for x, weight, bias in parts)
    q, k, v = (x.unflatten(-1, (module.num_heads, -1)).permute(1, 2, 0, 3) for x in heads)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if causal:
        scores = scores + future_mask(len(query), len(key)).to(query.device)
    attended = nn.functional.dropout(scores.softmax(dim=-1), module.dropout, module.training) @ v
    return module.out_proj(attended.permute(2, 0, 1, 3).flatten(2))
