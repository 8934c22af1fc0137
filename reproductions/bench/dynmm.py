"""DynMM, modality level: training steps and inference at a hard gate, only the chosen expert against both experts."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable

import torch
from torch import Tensor, nn

from common.training.step import clipped_step, grad_scaler
from dynmm.gate import Gated
from dynmm.modality.affect.networks import AffectSizes, DynMMNetV2
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes
from dynmm.modality.networks.two_experts import TwoExperts
from dynmm.modality.train import CLIP
from reproductions.bench.timing import show, time_in_turn

IMDB, AFFECT = ImdbSizes(), AffectSizes()
COST_WEIGHT = 0.1
Case = tuple[TwoExperts, list[Tensor], Tensor | None, Tensor]  # network, inputs, lengths and labels


def add_flags(parser: ArgumentParser) -> None:
    """Batch sizes as published; --steps is the length of a clip of CMU-MOSEI."""
    parser.add_argument("--batch-sizes", type=int, nargs=2, default=(128, 32), help="of films and clips")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)


def run(args: Namespace, device: torch.device) -> None:
    """For each data set: a training step with free and with frozen experts, and inference."""
    films, clips = args.batch_sizes
    for name, batch, build in (("MM-IMDB", films, imdb), (f"CMU-MOSEI, {args.steps} steps", clips, affect)):
        for what in ("training step, all trained", "training step, experts frozen", "inference"):
            print(f"\nDynMM, {name}, batch {batch}, hard gate, half of the samples to each expert: {what}")
            calls = {
                "both experts": call(what, False, *build(batch, args.steps, device)),
                "the chosen one": call(what, True, *build(batch, args.steps, device)),
            }
            show(time_in_turn(calls, args.rounds, warm_up=2, device=device), "samples/s", batch)


def imdb(batch: int, _: int, device: torch.device) -> Case:
    """Network, inputs, lengths and labels of MM-IMDB's published sizes, at random."""
    torch.manual_seed(0)
    inputs = [torch.randn(batch, width, device=device) for width in (IMDB.text, IMDB.image)]
    labels = (torch.rand(batch, IMDB.genres, device=device) < 0.1).float()
    return halved(DynMMNet(IMDB), inputs, None).to(device), inputs, None, labels


def affect(batch: int, steps: int, device: torch.device) -> Case:
    """Network, inputs, lengths and labels of CMU-MOSEI's published sizes, at random."""
    torch.manual_seed(0)
    inputs = [torch.randn(batch, steps, width, device=device) for width in AFFECT.inputs]
    lengths = torch.full((batch,), steps, device=device)
    net = halved(DynMMNetV2(AFFECT, hard=True), inputs, lengths).to(device)
    return net, inputs, lengths, torch.rand(batch, 1, device=device)


@torch.no_grad()
def halved(net: TwoExperts, inputs: list[Tensor], lengths: Tensor | None) -> TwoExperts:
    """Shift the gate's last bias so that half of these samples go to each expert."""
    net.to(inputs[0].device).eval()
    logits = net.gate_logits(inputs, lengths)
    last = [module for module in net.gate.modules() if isinstance(module, nn.Linear)][-1]
    last.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    return net


def call(
    what: str, real_gating: bool, net: TwoExperts, inputs: list[Tensor], lengths: Tensor | None, labels: Tensor
) -> Callable[[], object]:
    """One step of the dynamic stage, or one inference."""
    if what == "inference":
        net.eval()
        return lambda: infer(net, inputs, lengths, real_gating)
    if "frozen" in what:
        net.freeze_experts()
    net.train()
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer, scaler = torch.optim.AdamW(parameters, lr=1e-9), grad_scaler("fp32")

    def step() -> None:
        answer = net(inputs, lengths, real_gating=real_gating)
        loss = (answer.prediction - labels).abs().mean() + COST_WEIGHT * answer.cost
        clipped_step(loss, optimizer, scaler, CLIP)

    return step


@torch.inference_mode()
def infer(net: TwoExperts, inputs: list[Tensor], lengths: Tensor | None, real_gating: bool) -> Gated:
    """The network's answer, of both experts or of the chosen one."""
    return net.routed(inputs, lengths) if real_gating else net(inputs, lengths)
