"""Timing of variants in turn, so that a machine whose speed drifts treats them alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch

from common.cuda import describe_device
from common.processes import Processes


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median over the rounds, the fastest and the slowest."""

    median: float
    low: float
    high: float


def machine(device: torch.device) -> str:
    """One line: device, capability, cores and threads, torch's version."""
    facts = describe_device(device, Processes())
    return (
        f"{facts['name']} ({facts['capability']}), {facts['cores']} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}"
    )


def time_in_turn(
    variants: Mapping[str, Callable[[], object]], rounds: int, warm_up: int, device: torch.device
) -> dict[str, Timing]:
    """Call the variants A B C A B C ..., and time each call until the device is done with it."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for round_ in range(warm_up + rounds):
        for name, call in variants.items():
            began = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if round_ >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    return {name: Timing(median(values), min(values), max(values)) for name, values in seconds.items()}


def show(timings: dict[str, Timing], unit: str, count: int) -> None:
    """A line a variant: rate at the median with its range, and the ratio to the first one."""
    first = next(iter(timings.values())).median
    for name, timing in timings.items():
        rates = [count / seconds for seconds in (timing.median, timing.high, timing.low)]
        print(
            f"  {name:<20s} {rates[0]:10.2f} {unit} ({rates[1]:.2f} to {rates[2]:.2f})   x{first / timing.median:.2f}"
        )
