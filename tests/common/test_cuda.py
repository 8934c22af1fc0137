"""Where a script runs: the device of --gpu with and without CUDA, precision, seeds, torchrun and its processes."""

import os
import socket
import sys
import time

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from common import cuda
from common.cuda import select_device
from common.errors import UserError
from common.processes import Processes

CPU = torch.device("cpu")


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine with two CUDA devices; returns the list of those that were made current."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {getattr(device, 'index', device)}")
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.fixture
def alone(monkeypatch):
    """Not started by torchrun."""
    for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(key, raising=False)


@pytest.fixture
def executed(monkeypatch):
    """What would have replaced this process."""
    calls = []
    monkeypatch.setattr(os, "execv", lambda program, argv: calls.append((program, argv)))
    return calls


def test_minus_one_is_the_cpu_without_a_word(two_gpus, capsys):
    assert select_device([-1], Processes()) == CPU
    assert select_device([0, -1], Processes()) == CPU
    assert capsys.readouterr() == ("", "")
    assert two_gpus == []


@pytest.mark.parametrize("gpu", [[0], [7], [1, 3]])
def test_without_cuda_everything_runs_on_the_cpu_after_one_line(no_cuda, capsys, gpu):
    assert select_device(gpu, Processes()) == CPU
    captured = capsys.readouterr()
    assert captured.out == f"no CUDA device here: running on the CPU (--gpu {' '.join(map(str, gpu))} asked for)\n"
    assert captured.err == ""


def test_driver_without_devices_is_no_cuda_either(two_gpus, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert select_device([0], Processes()) == CPU
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_only_the_first_process_says_that_there_is_no_cuda(no_cuda, capsys):
    assert select_device([0, 1], Processes(1, 2, 1)) == CPU
    assert capsys.readouterr().out == ""


def test_device_that_is_there_is_taken_and_made_current(two_gpus, capsys):
    assert select_device([1], Processes()) == torch.device("cuda", 1)
    assert two_gpus == [torch.device("cuda", 1)]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("gpu", [[7], [0, 7], [-3]])
def test_device_that_is_not_there_is_an_error_that_lists_the_others(two_gpus, gpu):
    with pytest.raises(UserError) as error:
        select_device(gpu, Processes())
    assert f"--gpu {gpu[-1]}: no such CUDA device; there are: 0 (Card 0), 1 (Card 1)" in str(error.value)
    assert two_gpus == []


@pytest.mark.parametrize(
    ("gpu", "local_rank", "index"), [([1, 0], 0, 1), ([1, 0], 1, 0), ([0], 0, 0), ([0], 1, 1), ([1], 0, 0)]
)
def test_process_of_torchrun_takes_the_id_of_its_place(two_gpus, gpu, local_rank, index):
    assert select_device(gpu, Processes(local_rank, 2, local_rank)) == torch.device("cuda", index)


def test_place_counts_on_its_machine_and_not_among_all_processes(two_gpus):
    second = Processes(rank=3, world=4, local_rank=1)
    assert select_device([1, 0], second) == torch.device("cuda", 0)
    assert select_device([0], second) == torch.device("cuda", 1)


def test_more_processes_than_devices_are_an_error(two_gpus):
    with pytest.raises(UserError, match="names 2 devices, torchrun started more processes"):
        select_device([0, 1], Processes(2, 3, 2))
    with pytest.raises(UserError, match="--gpu 2: no such CUDA device"):
        select_device([0], Processes(2, 3, 2))


def test_several_devices_start_again_under_torchrun(two_gpus, alone, executed, capsys):
    cuda.start_again_with_torchrun([1, 0], "duet.main", ["--gpu", "1", "0", "--name", "a b"])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    assert executed == [(sys.executable, [*launcher, "-m", "duet.main", "--gpu", "1", "0", "--name", "a b"])]
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_single_device_stays_in_this_process(two_gpus, alone, executed):
    cuda.start_again_with_torchrun([1], "duet.main", [])
    cuda.start_again_with_torchrun([-1], "duet.main", [])
    assert executed == []


def test_process_of_torchrun_does_not_start_torchrun(two_gpus, alone, executed, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    cuda.start_again_with_torchrun([0, 1], "duet.main", [])
    assert executed == []


def test_machine_without_cuda_starts_no_processes(no_cuda, alone, executed):
    cuda.start_again_with_torchrun([0, 1], "duet.main", [])
    assert executed == []


def test_cpu_among_several_devices_starts_no_processes(two_gpus, alone, executed):
    cuda.start_again_with_torchrun([0, -1], "duet.main", [])
    assert executed == []


def test_missing_device_among_several_is_an_error_before_torchrun(two_gpus, alone, executed):
    with pytest.raises(UserError, match="--gpu 7: no such CUDA device"):
        cuda.start_again_with_torchrun([0, 7], "duet.main", [])


def test_torchruns_environment_is_read(alone, monkeypatch):
    assert cuda.processes() == Processes(rank=0, world=1, local_rank=0)
    for key, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    assert cuda.processes() == Processes(rank=5, world=8, local_rank=1)
    assert (Processes(rank=0, world=8).first, cuda.processes().first) == (True, False)


def test_single_process_needs_no_group():
    with cuda.process_group(CPU, Processes()):
        assert not dist.is_initialized()
        tensor = torch.tensor([1, 2])
        assert Processes().sum(tensor) is tensor
        assert Processes().gather("value") == ["value"]
        Processes().wait()


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_group_fits_the_device_and_is_left_also_after_an_error(monkeypatch, device, backend):
    calls = []
    monkeypatch.setattr(dist, "init_process_group", calls.append)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("end"))
    with pytest.raises(UserError), cuda.process_group(torch.device(device), Processes(world=2)):
        raise UserError("bad input")
    assert calls == [backend, "end"]


def talk(rank, port, folder):
    """What one of two processes does: sum, gather, wait for the first one's file."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    procs = cuda.processes()
    with cuda.process_group(CPU, procs):
        total = procs.sum(torch.tensor([procs.rank + 1, 10])).tolist()
        values = procs.gather({"rank": procs.rank})
        if procs.first:
            time.sleep(0.2)
            (folder / "written").touch()
        procs.wait()
        (folder / f"{rank}").write_text(str([total, values, (folder / "written").exists()]))


def test_two_processes_sum_gather_and_wait(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.start_processes(talk, (port, tmp_path), nprocs=2, start_method="fork")
    expected = str([[3, 20], [{"rank": 0}, {"rank": 1}], True])
    assert [(tmp_path / rank).read_text() for rank in "01"] == [expected, expected]


@pytest.fixture
def switches():
    """The switches that seeding turns, put back afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    places = [(cudnn, "deterministic"), (cudnn, "benchmark"), (cudnn, "allow_tf32"), (matmul, "allow_tf32")]
    before = [getattr(owner, name) for owner, name in places]
    yield
    for (owner, name), value in zip(places, before, strict=True):
        setattr(owner, name, value)


@pytest.mark.parametrize("seed", [0, 42, 2**32 + 1, -1])
def test_same_seed_gives_the_same_numbers(switches, seed):
    drawn = []
    for _ in range(2):
        cuda.seed_everything(seed)
        drawn.append((torch.rand(3).tolist(), np.random.rand(3).tolist()))
    cuda.seed_everything(seed + 1)
    assert drawn[0] == drawn[1]
    assert torch.rand(3).tolist() != drawn[0][0]
    assert np.random.rand(3).tolist() != drawn[0][1]


def test_seeding_makes_cudnn_deterministic_and_fp32_exact(switches):
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    cuda.seed_everything(1)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_have_the_precision_asked_for(precision, dtype):
    with cuda.autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize(("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_autocast_of_cuda_has_the_dtype_asked_for(precision, dtype):
    assert cuda.autocast(torch.device("cuda"), precision).fast_dtype == dtype


def test_fp16_is_refused_on_a_cpu():
    with pytest.raises(UserError, match=r"--precision fp16: .*take bf16 or fp32"):
        cuda.check_precision(CPU, "fp16", Processes())


def test_emulated_bf16_is_warned_of_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(cuda, "cpu_has_bf16", lambda: False)
    cuda.check_precision(CPU, "bf16", Processes())
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("warning: --precision bf16 is emulated on this processor")
    assert torch.backends.cpu.get_cpu_capability() in line


def test_what_the_device_can_do_is_passed_over_in_silence(monkeypatch, capsys):
    cuda.check_precision(CPU, "fp32", Processes())
    cuda.check_precision(torch.device("cuda"), "fp16", Processes())
    monkeypatch.setattr(cuda, "cpu_has_bf16", lambda: False)
    cuda.check_precision(torch.device("cuda"), "bf16", Processes())
    monkeypatch.setattr(cuda, "cpu_has_bf16", lambda: True)
    cuda.check_precision(CPU, "bf16", Processes())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("amx", "bf16", "extras"),
    [(False, False, ""), (False, True, "+BF16"), (True, False, "+AMX"), (True, True, "+AMX+BF16")],
)
def test_capability_names_what_makes_bf16_fast(monkeypatch, amx, bf16, extras):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    assert cuda.cpu_capability() == f"AVX512{extras}"
    assert cuda.cpu_has_bf16() == bool(extras)


def test_device_is_described_for_the_record(two_gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(cuda, "available_cores", lambda: 16)
    gpu = cuda.describe_device(torch.device("cuda", 1), Processes(world=2))
    assert gpu == {"type": "cuda", "name": "Card 1", "capability": "sm_90", "cores": 16, "processes": 2}
    cpu = cuda.describe_device(CPU, Processes())
    assert (cpu["type"], cpu["name"], cpu["processes"]) == ("cpu", cuda.cpu_name(), 1)
    assert cpu["capability"] == cuda.cpu_capability()
    assert cpu["name"]


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5})
    assert cuda.available_cores() == 3
