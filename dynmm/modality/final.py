"""The test of a trained network: published scores, what the gate decided, and what that costs.

Two lines end a run. official: as the published script tests and counts. clean: the gate as it was trained, and
multiply-adds of what really runs. Both have the weights that the validation set selected.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from common.run import Run
from dynmm.modality.affect.networks import DynMMNetV2
from dynmm.modality.batches import Split
from dynmm.modality.evaluate import Task, evaluate, predict
from dynmm.modality.flags import ModalitySettings
from dynmm.modality.imdb.networks import DynMMNet
from dynmm.modality.networks.gating import Gating
from dynmm.modality.networks.madds import PathMadds, madds_by_rule, measure_madds, path_madds
from dynmm.modality.networks.two_experts import TwoExperts
from dynmm.modality.pictures import draw_gate
from dynmm.modality.results import Evaluation, Metrics, number, share_of_expert2

PASSES = 10  # passes over the test set that --measure takes the mean of


def test(
    settings: ModalitySettings, run: Run, model: nn.Module, data: Mapping[str, Split], task: Task, epoch: int
) -> None:
    """Test once for each protocol, print the published lines and record the final ones; draw what the gate decided.

    data: train and test. epoch: of the weights.
    """
    gating, split = settings.gating, data["test"]
    madds = count_madds(model, data["train"])
    trained_hard = model.hard if isinstance(model, TwoExperts) else False
    protocols = {"official": trained_hard or gating.hard_test, "clean": trained_hard}
    if settings.eval_only:
        protocols = {"checkpoint": protocols["official"]}
    found: dict[bool, tuple[Evaluation, Metrics]] = {}
    for protocol, hard in protocols.items():
        if isinstance(model, TwoExperts):
            model.hard = hard
        if hard not in found:
            found[hard] = evaluate_test_set(
                run, model, split, task, settings.batch_size, gating.routes(model), settings.measure
            )
        evaluation, measured = found[hard]
        accounted = account(evaluation, madds, gating, protocol, hard)
        metrics = {**evaluation.metrics, "task_loss": evaluation.losses.task, **measured, **accounted}
        if evaluation.weights is not None and split.needs is not None:
            metrics |= shares_by_need(evaluation.weights, split.needs)
        run.record(epoch, "test", final=True, protocol=protocol, **metrics)
        print_test(run, task, metrics, protocol)
    if isinstance(model, TwoExperts):
        model.hard = trained_hard
    weights = next(iter(found.values()))[0].weights  # of the official test, or of the checkpoint's
    if run.procs.first and weights is not None:
        draw_gate(run, weights, split.needs)


def evaluate_test_set(
    run: Run, model: nn.Module, split: Split, task: Task, batch_size: int, routed: bool, measure: bool
) -> tuple[Evaluation, Metrics]:
    """The test's evaluation, and madds_measured, the multiply-adds (millions) that a sample took.

    measure: also ms_per_sample, the milliseconds that it takes.
    """
    evaluations: list[Evaluation] = []
    own = measure_madds(lambda: evaluations.append(evaluate(model, split, task, run, batch_size, routed)), len(split))
    measured: Metrics = {"madds_measured": run.procs.sum(torch.tensor(own, device=run.device)).item()}
    if measure:
        seconds = seconds_of(lambda: predict(model, split, run, batch_size, routed), run.device)
        measured["ms_per_sample"] = 1000 * seconds / len(split)
    return evaluations[0], measured


def seconds_of(call: Callable[[], object], device: torch.device) -> float:
    """Seconds that call() takes, the device's work included: the mean of 10 calls."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    for _ in range(PASSES):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - began) / PASSES


def count_madds(model: nn.Module, split: Split) -> PathMadds | float:
    """Multiply-adds by the rule of the published constants, for a sample as long as the split's can be.

    Of gate and experts; of a network without a gate in millions.
    """
    inputs, lengths = split.example(next(model.parameters()).device)
    if isinstance(model, DynMMNet | DynMMNetV2):
        return path_madds(model) if lengths is None else path_madds(model, int(lengths))
    return madds_by_rule(model, inputs, lengths) / 1e6


def account(evaluation: Evaluation, madds: PathMadds | float, gating: Gating, protocol: str, hard: bool) -> Metrics:
    """Multiply-adds (madds, millions a sample) in the protocol's accounting; with a gate its decisions too.

    official: the published constants, which hold the gate in every branch. clean: gate and experts as they ran.
    share_e2: share of samples whose larger weight is expert 2's (with a forced expert: 0 or 1); weight_e2: mean
    weight; flops: the published print, branches by mean weights, also where every expert runs.
    """
    if not isinstance(madds, PathMadds):
        return {"madds": madds}
    if evaluation.weights is None or evaluation.mean_weights is None:
        raise ValueError("multiply-adds of gate and experts, but an evaluation without a gate's weights")
    forced = gating.infer_mode > 0
    used = [float(gating.infer_mode == expert) for expert in (1, 2)] if forced else evaluation.mean_weights
    share = used[1] if forced else share_of_expert2(evaluation.weights)
    found: Metrics = {"share_e2": share, "weight_e2": used[1], "flops": madds.accounted(evaluation.mean_weights)}
    chosen = forced or (hard and gating.infer_mode == 0)
    if protocol == "clean":
        routed = forced or (chosen and gating.real_gating != "never")
        found["madds"] = madds.spent(used if routed else None)
    elif chosen:
        found["madds"] = madds.accounted(used)
    else:
        found["madds"] = madds.spent() if gating.counted_once else madds.gate_counted_twice
    return found


def shares_by_need(weights: Tensor, needs: np.ndarray) -> Metrics:
    """Share of expert 2 among the samples that the text decides, and among those that need all modalities."""
    to_second = (weights[:, 1] > weights[:, 0]).cpu().numpy()
    shares = {"share_e2_needs_text": to_second[needs == 0], "share_e2_needs_all": to_second[needs == 1]}
    return {name: float(part.mean()) if part.size else None for name, part in shares.items()}


def print_test(run: Run, task: Task, metrics: Metrics, protocol: str) -> None:
    """The published lines of a test, and one of ours in front that names the protocol."""
    shown = [
        ("madds", "madds {:.2f}M"),
        ("madds_measured", "measured {:.2f}M"),
        ("share_e2", "share of expert 2 {:.3f}"),
    ]
    parts = [form.format(number(metrics, name)) for name, form in shown if name in metrics]
    run.print(f"test  {protocol:<10s}  {'  '.join(parts)}")
    run.print(task.test_line(metrics))
    if "flops" in metrics and protocol != "clean":
        run.print(f"Total Flops {number(metrics, 'flops'):.2f}M")
    if "ms_per_sample" in metrics:
        run.print(f"Inference {number(metrics, 'ms_per_sample'):.4f} ms a sample (mean of {PASSES} passes)")
