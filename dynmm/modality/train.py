"""The training loop of all six scripts: AdamW, clipped gradients, best epoch on the validation set, early stopping."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import UserError
from common.provenance import peak_memory
from common.run import Run
from common.training.loss_watch import LossWatch
from common.training.selection import Best, EarlyStopping
from common.training.state import TrainState
from common.training.step import clipped_step, distributed, grad_scaler, share_buffers
from dynmm.gate import Gated
from dynmm.modality.batches import Split, own_samples, training_batches
from dynmm.modality.evaluate import Task, evaluate
from dynmm.modality.final import test
from dynmm.modality.flags import ModalitySettings
from dynmm.modality.networks.checkpoints import MADE_BY
from dynmm.modality.networks.gating import Gating
from dynmm.modality.networks.two_experts import TwoExperts
from dynmm.modality.pictures import draw_curves
from dynmm.modality.results import Losses, share_of_expert2

CLIP = 8.0  # largest norm of the gradient
PATIENCE = 8  # epochs in a row without a better score that end the training


def train(
    settings: ModalitySettings,
    run: Run,
    model: nn.Module,
    data: Mapping[str, Split],
    task: Task,
    start: Mapping[str, Any] | None,
) -> None:
    """Train until early stopping or --n-epochs, then test; the model ends with the weights of its best epoch.

    last.pt after every epoch, best.pt whenever the validation set's score is the best so far. data: train, valid and
    test. start: what one of our checkpoints holds, after whose epoch training goes on exactly as if it had never
    stopped; None for a fresh start. Raises UserError where no epoch was kept.
    """
    gating, gated = settings.gating, isinstance(model, TwoExperts)
    still = model.experts() if isinstance(model, TwoExperts) and gating.still else ()
    net = distributed(model, run.device, run.procs, settings.compile, find_unused_parameters=gated)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.wd)
    scaler, stopping = grad_scaler(settings.precision), early_stopping(task)
    state = TrainState(run.device, run.procs, start=-1, optimizer=optimizer, scaler=scaler, stopping=stopping)
    state.load_state_dict(start)
    trained = 0.0 if start is None else start["seconds"]  # of training alone, over all interruptions

    for epoch in range(state.epoch + 1, settings.n_epochs):
        if stopping.over:
            break
        began = time.monotonic()
        batches = training_batches(
            len(data["train"]), settings.batch_size, settings.seed, epoch, limit=settings.max_steps
        )
        losses = train_epoch(net, data["train"], batches, optimizer, scaler, task, gating, run, epoch, still)
        seconds = time.monotonic() - began
        trained += seconds
        run.trained(epoch, len(data["train"]), seconds)

        share_buffers(model, run.procs)
        valid = evaluate(model, data["valid"], task, run, settings.batch_size, gating.routes(model), gating.reg)
        for line in task.epoch_lines(epoch, losses, valid, stopping.waited):
            run.print(line)
        gate: dict[str, Any] = {}
        if valid.weights is not None and valid.mean_weights is not None:
            run.print("mean branch weight {:.4f}, {:.4f}".format(*valid.mean_weights))
            gate = {"cost": valid.losses.cost, "share_e2": share_of_expert2(valid.weights)}
        scores: dict[str, Any] = {name: value for name, value in valid.metrics.items() if name != "loss"}
        run.record(epoch, "train", loss=losses.total, task_loss=losses.task)
        run.record(epoch, "valid", loss=valid.losses.total, task_loss=valid.losses.task, **gate, **scores)

        state.epoch = epoch
        is_best = stopping.update(epoch, task.selection_score(valid), model)
        if is_best:
            run.print("Saving Best")
        content = {"made_by": MADE_BY, "model": model.state_dict(), "epoch": epoch}
        best = {**content, "score": stopping.best.score} if is_best else None
        run.save(epoch, {**content, "ours": {**state.state_dict(), "seconds": trained}}, best)

    if stopping.best.epoch is None:
        raise UserError(
            f"{task.nothing_kept(state.epoch + 1)}, so that no checkpoint was kept; try another --lr or --seed, or "
            "a larger --batch-size or training set"
        )
    best_epoch = stopping.best.restore(model)
    print_costs(run, model, trained)
    test(settings, run, model, data, task, best_epoch)
    if run.procs.first:
        draw_curves(run, best_epoch)


def train_epoch(
    net: nn.Module,
    split: Split,
    batches: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    task: Task,
    gating: Gating,
    run: Run,
    epoch: int,
    still: Sequence[nn.Module] = (),
) -> Losses:
    """One pass over the batches; net is the model as it is called (compiled, distributed).

    still: parts of it that stay in eval mode (no dropout, no new statistics), where the others are in training mode.
    Returns the means over all samples, each at the weights of its own step.
    """
    net.train()
    for part in still:
        part.eval()
    watch = LossWatch(run.device, f"epoch {epoch}, learning rate {optimizer.param_groups[0]['lr']:g}", run.last)
    options = {"real_gating": True} if gating.real_gating == "always" else {}
    sums, samples = torch.zeros(3, device=run.device), 0  # of total, task loss and cost
    for indices in run.progress(batches, f"epoch {epoch}"):
        batch = split.batch(indices, run.device, own_samples(run.procs))
        with run.autocast():
            answer = net(batch.inputs, batch.lengths, **options)
        prediction, cost = (answer.prediction, answer.cost) if isinstance(answer, Gated) else (answer, None)
        loss = task.loss(prediction.float(), batch.labels)
        total = loss if cost is None else loss + gating.reg * cost
        watch.add(total)
        own = len(batch.labels)
        clipped_step(total * (own * run.procs.world / batch.size), optimizer, scaler, CLIP)
        sums += own * torch.stack([total, loss, loss * 0 if cost is None else cost]).detach()
        samples += own
    watch.mean()
    counted = run.procs.sum(torch.cat([sums, sums.new_tensor([samples])])).double().tolist()
    return Losses(*(value / counted[-1] for value in counted[:-1]))


def early_stopping(task: Task) -> EarlyStopping:
    """The published rule: a strictly better score on the validation set, and one that is better than nothing."""
    return EarlyStopping(Best(task.higher, task.to_beat), PATIENCE)


def print_costs(run: Run, model: nn.Module, seconds: float) -> None:
    """The published lines at the end of a training."""
    run.print(f"Training Time: {seconds:.3f}")
    run.print(f"Training Peak Mem: {peak_memory(run.device) / 2**20:.1f}")
    run.print(f"Training Params: {sum(p.numel() for p in model.parameters())}")
