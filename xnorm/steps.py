"""What the training and Gradient-Blending's estimate do alike: an epoch of batches, and what one step is."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common.cuda import autocast
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.step import share_buffers
from xnorm.evaluate import on_device
from xnorm.losses import Objective, Output


def build_optimizer(args: Namespace, model: nn.Module) -> torch.optim.AdamW:
    """AdamW over all parameters, weight decay on each; frozen ones get no gradient, and so neither step nor decay."""
    return torch.optim.AdamW(model.parameters(), lr=args.learning_rate, weight_decay=args.weight_decay)


def train_epoch(
    args: Namespace,
    run: Run,
    net: nn.Module,
    model: nn.Module,
    batches: DataLoader,
    criterion: Callable[[Output, Tensor], Objective],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    what: str,
) -> dict[str, float]:
    """One pass over the batches; net is `model` as it is called (compiled, distributed). what: names it in errors.

    Returns means over the steps: "loss", and the objective's terms by their names.
    """
    net.train()
    watch = LossWatch(run.device, f"{what}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    terms: dict[str, list[Tensor]] = defaultdict(list)
    for batch in run.progress(batches, what):
        rgb, flow, labels = on_device(args, run.device, batch)
        with autocast(run.device, args.precision):
            output = net(rgb, flow)
        loss = criterion(output, labels)
        watch.add(loss.total)
        update(loss.total, optimizer, scaler, args.clip)
        for name, value in loss.parts.items():
            terms[name].append(value)
    own = {"loss": watch.mean(), **{name: torch.stack(values).mean().item() for name, values in terms.items()}}
    share_buffers(model, run.procs)
    everybodys = run.procs.gather(own)
    return {name: fmean(one[name] for one in everybodys) for name in own}


def update(loss: Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
    """One step: gradients, clipped to norm `clip` over all parameters, and the optimizer's step.

    Returns the norm before the clipping.
    """
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    scaler.step(optimizer)
    scaler.update()
    return norm
