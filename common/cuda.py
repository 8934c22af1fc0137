"""Where a script runs: devices of --gpu, seeds and precision."""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from common.errors import UserError
from common.processes import Processes, process_group, processes

AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def select_device(gpu: Sequence[int], procs: Processes) -> torch.device:
    """The device of this process for `--gpu I ...`.

    -1 is the CPU. Without any CUDA device everything runs on the CPU, after one line that says so. Under
    torchrun process i of a machine takes the i-th of the ids, or device i if a single id is given.
    Raises UserError for an id that is not there.
    """
    if -1 in gpu:
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        if procs.first:
            print(f"no CUDA device here: running on the CPU (--gpu {' '.join(map(str, gpu))} asked for)", flush=True)
        return torch.device("cpu")
    ids = [procs.local_rank] if len(gpu) == 1 and procs.world > 1 else gpu
    _check_devices(ids)
    if procs.world > 1 and procs.local_rank >= len(ids) > 1:
        raise UserError(f"--gpu names {len(ids)} devices, torchrun started more processes: name one for each")
    device = torch.device("cuda", ids[procs.local_rank if len(ids) > 1 else 0])
    torch.cuda.set_device(device)
    return device


def _check_devices(ids: Sequence[int]) -> None:
    count = torch.cuda.device_count()
    for index in ids:
        if not 0 <= index < count:
            there = ", ".join(f"{i} ({torch.cuda.get_device_name(i)})" for i in range(count))
            raise UserError(f"--gpu {index}: no such CUDA device; there are: {there}; -1 is the CPU")


def start_again_with_torchrun(gpu: Sequence[int], module: str, argv: list[str]) -> None:
    """Replace this process by torchrun, one process for each id, where --gpu names several CUDA devices.

    Does nothing on a machine without CUDA, for a single id or -1, or when torchrun has started this process.
    Raises UserError for an id that is not there.
    """
    if len(gpu) < 2 or -1 in gpu or "RANK" in os.environ or not torch.cuda.is_available():
        return
    _check_devices(gpu)
    print(f"several devices: starting {len(gpu)} processes with torchrun", flush=True)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={len(gpu)}"]
    os.execv(sys.executable, [*launcher, "-m", module, *argv])


@contextlib.contextmanager
def launched(
    gpu: Sequence[int], precision: str, module: str, argv: list[str]
) -> Iterator[tuple[torch.device, Processes]]:
    """Where a command does its work: the device of this process, inside the group of all of them.

    Several ids start the command again under torchrun (`start_again_with_torchrun`). Raises UserError for a device
    that is not there and for a precision that it cannot do.
    """
    start_again_with_torchrun(gpu, module, argv)
    procs = processes()
    device = select_device(gpu, procs)
    check_precision(device, precision, procs)
    with process_group(device, procs):
        yield device, procs


def seed_everything(seed: int) -> None:
    """Seed torch (all devices) and numpy's global generator; cuDNN deterministic, fp32 without TF32.

    Raises UserError for a seed that torch cannot take.
    """
    if not -(2**63) <= seed < 2**64:
        raise UserError(f"seed {seed}: expected a whole number of at most 64 bits")
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def seed_apart(seed: int, procs: Processes) -> None:
    """Seed every process but the first with a seed of its own, so that dropout differs between processes.

    Call it after the model is built, since all processes must draw the same initial weights.
    """
    if procs.rank > 0:
        torch.manual_seed(seed + procs.rank)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Autocast of `--precision fp32|bf16|fp16`; fp32 leaves everything as it is."""
    dtype = AUTOCAST[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def check_precision(device: torch.device, precision: str, procs: Processes) -> None:
    """Refuse what the device cannot do, warn once of what it only emulates.

    Raises UserError for fp16 on a CPU. bf16 on a CPU without the instructions takes 12 to 25 times longer.
    """
    if device.type != "cpu":
        return
    if precision == "fp16":
        raise UserError("--precision fp16: a CPU has no use for it; take bf16 or fp32")
    if precision == "bf16" and not cpu_has_bf16() and procs.first:
        print(
            f"warning: --precision bf16 is emulated on this processor ({cpu_capability()}): expect it 12 to 25 times "
            "slower than fp32",
            file=sys.stderr,
        )


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 in hardware (AMX or AVX512-BF16)."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def cpu_capability() -> str:
    """What torch uses of the processor, for example "AVX512" or "AVX2"; "+AMX", "+BF16" where it has them."""
    extras = {"AMX": torch.cpu._is_amx_tile_supported(), "BF16": torch.cpu._is_avx512_bf16_supported()}
    return "".join([torch.backends.cpu.get_cpu_capability(), *(f"+{name}" for name, there in extras.items() if there)])


def describe_device(device: torch.device, procs: Processes) -> dict[str, object]:
    """Type, name, capability, cores and number of processes, for run.json."""
    if device.type == "cuda":
        name, (major, minor) = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
        capability = f"sm_{major}{minor}"
    else:
        name, capability = cpu_name(), cpu_capability()
    return {
        "type": device.type,
        "name": name,
        "capability": capability,
        "cores": available_cores(),
        "processes": procs.world,
    }


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
