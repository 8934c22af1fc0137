"""Two optimizers, one for the encoder and one for the decoder, new at every stage."""

import re
from argparse import Namespace
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cen.semantic_segmentation.schedule import EpochPlan

ENCODER = re.compile(r".*conv1.*|.*bn1.*|.*layer.*")


def parameter_groups(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Learnable parameters of the encoder (stem and layers) and of the decoder (all else, alpha too)."""
    encoder, decoder = [], []
    for name, parameter in model.named_parameters():
        (encoder if ENCODER.match(name) else decoder).append(parameter)
    return encoder, decoder


def stage_optimizers(model: nn.Module, args: Namespace, plan: EpochPlan) -> list[torch.optim.Optimizer]:
    """Fresh optimizers with the stage's rates: SGD for the encoder, SGD or Adam for the decoder.

    Weight decay is added to the gradient, in Adam too, and acts on norms and alpha as on everything else.
    """
    encoder, decoder = parameter_groups(model)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.SGD(encoder, lr=plan.lr_enc, momentum=args.mom_enc, weight_decay=args.wd_enc)
    ]
    if args.optim_dec == "adam":
        optimizers.append(torch.optim.Adam(decoder, lr=plan.lr_dec, weight_decay=args.wd_dec, eps=1e-3))
    else:
        optimizers.append(torch.optim.SGD(decoder, lr=plan.lr_dec, momentum=args.mom_dec, weight_decay=args.wd_dec))
    return optimizers


def update(loss: Tensor, optimizers: Sequence[torch.optim.Optimizer], scaler: torch.amp.GradScaler) -> None:
    """Backward, then the encoder's step, then the decoder's."""
    for optimizer in optimizers:
        optimizer.zero_grad()
    scaler.scale(loss).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
