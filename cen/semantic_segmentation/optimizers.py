"""Two optimizers, one for the encoder and one for the decoder, new at every stage."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Pair = tuple[float, float]  # for the encoder and for the decoder
ENCODER = re.compile(r".*conv1.*|.*bn1.*|.*layer.*")


def parameter_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Learnable parameters of the encoder (stem and layers) and of the decoder (all else, alpha too)."""
    encoder: list[nn.Parameter] = []
    decoder: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (encoder if ENCODER.match(name) else decoder).append(parameter)
    return encoder, decoder


def stage_optimizers(
    model: nn.Module, rates: Pair, momenta: Pair, decays: Pair, optim_dec: str = "sgd"
) -> list[torch.optim.Optimizer]:
    """Fresh optimizers of a stage: SGD for the encoder, SGD or Adam (`optim_dec`) for the decoder.

    rates, momenta, decays: of encoder and decoder. Weight decay is added to the gradient, in Adam too, and acts on
    norms and alpha as on everything else. Adam has no use for its momentum.
    """
    encoder, decoder = parameter_groups(model)
    first = torch.optim.SGD(encoder, lr=rates[0], momentum=momenta[0], weight_decay=decays[0])
    if optim_dec == "adam":
        return [first, torch.optim.Adam(decoder, lr=rates[1], weight_decay=decays[1], eps=1e-3)]
    return [first, torch.optim.SGD(decoder, lr=rates[1], momentum=momenta[1], weight_decay=decays[1])]


def step(loss: Tensor, optimizers: Sequence[torch.optim.Optimizer], scaler: torch.amp.GradScaler) -> None:
    """Backward, then the encoder's step, then the decoder's. Nothing is clipped, as published."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    scaler.scale(loss).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
