"""Statistics of batch norms that fit what a network sees, for stand-ins of trained weights."""

import torch
from torch import Tensor, nn


def calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Set every batch norm's running statistics to those of `inputs` (B, ...); the model is left in eval mode.

    In train mode each layer sees what the layers before it give with these same statistics, so one pass settles all.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain average over what was seen
    model.train()
    with torch.no_grad():
        model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
