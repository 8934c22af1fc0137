"""The test of a trained network: published scores, what the gate decided, and what that costs.

Two lines end a run. official: as the published script tests and counts. clean: the gate as it was trained, and
multiply-adds of what really runs. Both have the weights that the validation set selected.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from common.run import Run
from dynmm.modality.batches import Split
from dynmm.modality.evaluate import Evaluation, Inference, Task, evaluate, predict, timed
from dynmm.modality.madds import PathMadds, madds_by_rule, measured_madds
from dynmm.modality.train import routes, share_of_expert2

PASSES = 10  # passes over the test set that --measure takes the mean of
Metrics = dict[str, float | None]


def test(
    args: Namespace, run: Run, model: nn.Module, test_set: Split, task: Task, madds: PathMadds | float, epoch: int
) -> Tensor | None:
    """Test once for each protocol, print the published lines and record the final ones.

    madds: of gate and experts, or of a network without a gate in millions a sample. epoch: of the weights.
    Returns the gate's weights (N, 2) of the official test, for pictures.
    """
    trained_hard = getattr(model, "hard", None)
    protocols = {"official": trained_hard, "clean": trained_hard}
    if args.quirks.get("gate_in_test") == "official":
        protocols["official"] = True
    if args.eval_only:
        protocols = {"checkpoint": protocols["official"]}
    weights, found = None, {}
    for protocol, hard in protocols.items():
        if hard not in found:
            found[hard] = tested(args, run, model, test_set, task, hard)
        evaluation, measured = found[hard]
        weights = evaluation.weights if weights is None else weights
        metrics = {**evaluation.metrics, "task_loss": evaluation.losses.task, "madds_measured": measured["madds"]}
        metrics |= {"ms_per_sample": measured["ms"]} if args.measure else {}
        metrics |= costs(args, evaluation, madds, protocol, bool(hard), test_set.needs)
        run.record(epoch, "test", final=True, protocol=protocol, **metrics)
        say(run, task, metrics, protocol)
    if trained_hard is not None:
        model.hard = trained_hard
    return weights


def tested(
    args: Namespace, run: Run, model: nn.Module, test_set: Split, task: Task, hard: bool | None
) -> tuple[Evaluation, dict[str, float]]:
    """The test with a hard or a soft gate; multiply-adds (millions) and, with --measure, milliseconds a sample."""
    if hard is not None:
        model.hard = hard
    inference = Inference(args.batch_size, run.device, args.precision, run.procs, routes(args, model))
    evaluation: list[Evaluation] = []
    own = measured_madds(lambda: evaluation.append(evaluate(model, test_set, task, inference)), len(test_set))
    measured = {"madds": run.procs.sum(torch.tensor(own, device=run.device)).item()}
    if args.measure:
        seconds = timed(
            lambda: repeat(PASSES, lambda: predict(model, test_set, inference)), run.device, time.perf_counter
        )
        measured["ms"] = 1000 * seconds / PASSES / len(test_set)
    return evaluation[0], measured


def network_madds(model: nn.Module, inputs: Tensor | Sequence[Tensor], lengths: Tensor | None = None) -> float:
    """Millions of multiply-adds a sample by the rule of the published constants, of a network without a gate.

    inputs, lengths: one sample, on the CPU.
    """
    device = next(model.parameters()).device
    inputs = inputs.to(device) if isinstance(inputs, Tensor) else [x.to(device) for x in inputs]
    return madds_by_rule(model, inputs, None if lengths is None else lengths.to(device)) / 1e6


def repeat(times: int, once: Callable[[], object]) -> None:
    """Call once() so many times."""
    for _ in range(times):
        once()


def costs(
    args: Namespace,
    evaluation: Evaluation,
    madds: PathMadds | float,
    protocol: str,
    hard: bool,
    needs: np.ndarray | None,
) -> Metrics:
    """Multiply-adds (madds, millions a sample) in the protocol's accounting; with a gate its decisions too.

    official: the published constants, which hold the gate in every branch. clean: gate and experts as they ran.
    share_e2: share of samples whose larger weight is expert 2's (with a forced expert: 0 or 1); weight_e2: mean
    weight; flops: the published print, branches by mean weights, also where every expert runs.
    """
    if not isinstance(madds, PathMadds):
        return {"madds": madds}
    forced = args.infer_mode > 0
    used = [float(args.infer_mode == number) for number in (1, 2)] if forced else list(evaluation.mean_weights)
    share = used[1] if forced else share_of_expert2(evaluation.weights).item()
    found: Metrics = {"share_e2": share, "weight_e2": used[1], "flops": madds.accounted(evaluation.mean_weights)}
    chosen = forced or (hard and args.infer_mode == 0)
    if protocol == "clean":
        routed = forced or (chosen and args.real_gating != "never")
        found["madds"] = madds.spent(used if routed else None)
    elif chosen:
        found["madds"] = madds.accounted(used)
    else:
        found["madds"] = madds.spent() if args.quirks["gate_counted"] == "once" else madds.gate_counted_twice
    return found | (needed(evaluation.weights, needs) if needs is not None else {})


def needed(weights: Tensor, needs: np.ndarray) -> Metrics:
    """Share of expert 2 among the samples that the text decides, and among those that need all modalities."""
    to_second = (weights[:, 1] > weights[:, 0]).cpu().numpy()
    shares = {"share_e2_needs_text": to_second[needs == 0], "share_e2_needs_all": to_second[needs == 1]}
    return {name: float(part.mean()) if part.size else None for name, part in shares.items()}


def say(run: Run, task: Task, metrics: Metrics, protocol: str) -> None:
    """The published lines of a test, and one of ours in front that names the protocol."""
    shown = [
        ("madds", "madds {:.2f}M"),
        ("madds_measured", "measured {:.2f}M"),
        ("share_e2", "share of expert 2 {:.3f}"),
    ]
    parts = [form.format(metrics[name]) for name, form in shown if name in metrics]
    run.print(f"test  {protocol:<10s}  {'  '.join(parts)}")
    run.print(task.test_line(metrics))
    if "flops" in metrics and protocol != "clean":
        run.print(f"Total Flops {metrics['flops']:.2f}M")
    if "ms_per_sample" in metrics:
        run.print(f"Inference {metrics['ms_per_sample']:.4f} ms a sample (mean of {PASSES} passes)")
