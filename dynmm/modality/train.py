"""The training loop of all six scripts: AdamW, clipped gradients, best epoch on the validation set, early stopping."""

import time
from argparse import Namespace
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.cuda import autocast
from common.errors import UserError
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.step import distributed, share_buffers
from dynmm.gate import Gated
from dynmm.modality.batches import Split, check_shares, shares, shuffled
from dynmm.modality.evaluate import Inference, Losses, Task, evaluate
from dynmm.modality.progress import Progress

CLIP = 8.0  # largest norm of the gradient


def train(
    args: Namespace, run: Run, model: nn.Module, train_set: Split, valid_set: Split, task: Task, progress: Progress
) -> None:
    """Train until early stopping or --n-epochs; the model then holds the weights of its best epoch.

    last.pt after every epoch, best.pt whenever the validation set's score is the best so far. progress: where to
    begin; behind a checkpoint training goes on exactly as if it had never stopped.
    Raises UserError where no epoch was kept.
    """
    net = distributed(model, run.device, run.procs, args.compile, find_unused_parameters=hasattr(model, "gate"))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, weight_decay=args.wd)
    scaler = torch.amp.GradScaler(enabled=args.precision == "fp16")
    progress.restore(optimizer, scaler, run.procs)
    inference = Inference(args.batch_size, run.device, args.precision, run.procs, routed=routes(args, model))

    for epoch in range(progress.done + 1, args.n_epochs):
        if progress.stopping.over:
            break
        began = time.monotonic()
        losses = train_epoch(args, run, net, model, train_set, task, optimizer, scaler, epoch)
        seconds = time.monotonic() - began
        progress.seconds += seconds
        run.trained(epoch, len(train_set), seconds)

        share_buffers(model, run.procs)
        valid = evaluate(model, valid_set, task, inference, args.reg)
        for line in task.epoch_lines(epoch, losses, valid, progress.stopping.waited):
            run.print(line)
        gate = {}
        if valid.mean_weights is not None:
            run.print("mean branch weight {:.4f}, {:.4f}".format(*valid.mean_weights))
            gate = {"cost": valid.losses.cost, "share_e2": share_of_expert2(valid.weights)}
        run.record(epoch, "train", loss=losses.total, task_loss=losses.task)
        run.record(epoch, "valid", loss=valid.losses.total, task_loss=valid.losses.task, **gate, **without_loss(valid))
        if progress.stopping.update(epoch, task.selection(valid)):
            run.print("Saving Best")
        progress.save(run, epoch, model, optimizer, scaler)

    if progress.best is None:
        raise UserError(
            f"{task.nothing_kept(progress.done + 1)}, so that no checkpoint was kept; try another --lr or --seed, or "
            "a larger --batch-size or training set"
        )
    model.load_state_dict(progress.best)


def train_epoch(
    args: Namespace,
    run: Run,
    net: nn.Module,
    model: nn.Module,
    train_set: Split,
    task: Task,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    epoch: int,
) -> Losses:
    """One pass over the training set; net is the model as it is called (compiled, distributed).

    Returns the means over all samples, each at the weights of its own step.
    """
    training_mode(model, frozen=args.freeze, keep_frozen_still=args.quirks.get("frozen_mode") == "eval")
    watch = LossWatch(run.device, f"epoch {epoch}, learning rate {args.lr:g}", run.last)
    gating = {"real_gating": True} if args.real_gating == "always" else {}
    parameters = list(model.parameters())
    sums, samples = torch.zeros(3, device=run.device), 0  # of total, task loss and cost
    order = shuffled(len(train_set), args.batch_size, args.seed, epoch, args.max_steps)
    for indices in run.progress(order, f"epoch {epoch}"):
        batch = train_set.batch(indices, run.device, shares(run.procs))
        with autocast(run.device, args.precision):
            answer = net(batch.inputs, batch.lengths, **gating)
        prediction, cost = (answer.prediction, answer.cost) if isinstance(answer, Gated) else (answer, None)
        loss = task.loss(prediction.float(), batch.labels)
        total = loss if cost is None else loss + args.reg * cost
        watch.add(total)
        own = len(batch.labels)
        update(total * (own * run.procs.world / batch.size), optimizer, scaler, parameters)
        sums += own * torch.stack([total, loss, loss * 0 if cost is None else cost]).detach()
        samples += own
    watch.mean()
    counted = run.procs.sum(torch.cat([sums, sums.new_tensor([samples])])).double().tolist()
    return Losses(*(value / counted[-1] for value in counted[:-1]))


def update(
    loss: Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, parameters: Sequence[Tensor]
) -> Tensor:
    """One step: gradients, clipped to norm 8 over all parameters, and the optimizer's step. Returns the norm before."""
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, CLIP)
    scaler.step(optimizer)
    scaler.update()
    return norm


def training_mode(model: nn.Module, frozen: bool, keep_frozen_still: bool) -> None:
    """Training mode; frozen experts too, as published, unless they are kept still (no dropout, no new statistics)."""
    model.train()
    if frozen and keep_frozen_still:
        for expert in model.experts():
            expert.eval()


def routes(args: Namespace, model: nn.Module) -> bool:
    """Whether at inference the chosen expert alone runs: it has a hard gate, and --real-gating does not say never."""
    return args.real_gating != "never" and getattr(model, "hard", False)


def share_of_expert2(weights: Tensor) -> Tensor:
    """Share of samples whose larger weight is expert 2's."""
    return (weights[:, 1] > weights[:, 0]).double().mean()


def without_loss(valid: object) -> dict[str, float | None]:
    """The scores of a validation, whose losses stand under their own names."""
    return {name: value for name, value in valid.metrics.items() if name != "loss"}


def check_batches(args: Namespace, model: nn.Module, samples: int, run: Run) -> None:
    """Raises UserError where a process's part of the last training batch is too small for this network."""
    has_norm = any(isinstance(module, nn.BatchNorm1d) for module in model.modules())
    check_shares(samples, args.batch_size, run.procs, least=2 if has_norm else 1)
