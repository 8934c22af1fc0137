"""The runs of a table, one after the other and several at a time, with a stub in the place of Python."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Writes what it does to a log, waits, and fails where a file says so; on SIGTERM it says that it was ended.
STUB = """#!/bin/bash
row=$(sed 's/.*--row \\([^ ]*\\).*/\\1/' <<<"$*"); run=$(sed 's/.*--run-dir \\([^ ]*\\).*/\\1/' <<<"$*")
gpu=$(sed 's/.*--gpu \\([-0-9 ]*\\) --.*/\\1/' <<<"$*")
key="$row ${run##*/}"
trap 'echo "ended $key" >>LOG; exit 143' TERM
echo "start $key on $gpu" >>LOG
for ((i = 0; i < ${SLOW:-1} * 10; i++)); do sleep 0.01; done
[ ! -f FAILS ] || grep -qv "^$row$" FAILS || { echo "cannot do it"; exit 3; }
echo "printed by $key"
echo "stop $key on $gpu" >>LOG
"""


@pytest.fixture
def start(tmp_path):
    """Start a table script whose python is the stub; call it with the script and its options."""
    stub = tmp_path / "python"
    stub.write_text(STUB.replace("LOG", str(tmp_path / "log")).replace("FAILS", str(tmp_path / "fails")))
    stub.chmod(0o755)

    def call(name, *options, **more):
        environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / ".venv"), "PATH": f"{tmp_path}:/usr/bin:/bin", **more}
        arguments = ["bash", str(ROOT / "reproductions" / name), "--runs", str(tmp_path / "runs"), *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell cannot trap a signal that was ignored when it began, as Ctrl-C is where pytest runs in the background.
        return subprocess.Popen(
            arguments,
            text=True,
            env=environment,
            cwd="/",
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            **pipes,
        )

    return call


@pytest.fixture
def run(start):
    def call(*arguments):
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return call


def events(tmp_path, kind="start"):
    lines = (tmp_path / "log").read_text().splitlines()
    return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]


def most_at_once(tmp_path):
    running = most = 0
    for line in (tmp_path / "log").read_text().splitlines():
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    return most


def test_alone_runs_come_one_after_the_other_on_all_devices_and_print_here(run, tmp_path):
    code, out, err = run("main_xnorm.sh", "--rows", "rgb", "flow", "--seeds", "2", "--gpu", "0", "1")
    assert (code, err) == (0, "")
    assert [line.split(" on ")[0] for line in events(tmp_path)] == [
        *(f"rgb seed_{seed}" for seed in (0, 1)),
        *(f"flow seed_{seed}" for seed in (0, 1)),
    ]
    assert {line.split(" on ")[1].strip() for line in events(tmp_path)} == {"0 1"}
    assert most_at_once(tmp_path) == 1
    assert out.count("printed by") == 4
    assert len(re.findall("^[+] python -m xnorm.main --gpu 0 1 --fusion", out, re.MULTILINE)) == 4


def test_jobs_run_at_a_time_each_on_its_device_with_a_log_of_its_own(run, tmp_path):
    code, out, err = run("main_xnorm.sh", "--rows", "rgb", "flow", "--seeds", "3", "--gpu", "0", "1", "--jobs", "2")
    assert (code, err) == (0, "")
    assert most_at_once(tmp_path) == 2
    assert sorted(line.split(" on ")[0] for line in events(tmp_path, "stop")) == sorted(
        f"{row} seed_{seed}" for row in ("rgb", "flow") for seed in (0, 1, 2)
    )
    running = set()
    for line in (tmp_path / "log").read_text().splitlines():
        kind, device = line.split()[0], line.split(" on ")[1].strip()
        assert (device in running) == (kind == "stop")  # no device has two
        running ^= {device}
    assert "printed by" not in out
    for row in ("rgb", "flow"):
        for seed in (0, 1, 2):
            assert (tmp_path / "runs" / row / f"seed_{seed}.log").read_text() == f"printed by {row} seed_{seed}\n"
    assert out.count("finished: ") == 6


def test_row_waits_for_the_rows_that_it_starts_from_with_its_own_seed(run, tmp_path):
    rows = ("dynmm_imdb_reg_0.1", "late_fusion", "text_network")
    code, _, _ = run("table1_dynmm.sh", "--rows", *rows, "--seeds", "2", "--jobs", "6")
    assert code == 0
    lines = [line.split(" on ")[0] for line in (tmp_path / "log").read_text().splitlines()]
    for seed in (0, 1):
        begun = lines.index(f"start dynmm_imdb_reg_0.1 seed_{seed}")
        assert all(lines.index(f"stop {row} seed_{seed}") < begun for row in rows[1:])


def test_row_whose_experts_were_made_before_starts_at_once(run, tmp_path):
    code, _, _ = run("table1_dynmm.sh", "--rows", "dynmm_imdb_reg_0.1", "--jobs", "2")
    assert code == 0
    assert [line.split(" on ")[0] for line in events(tmp_path)] == ["dynmm_imdb_reg_0.1 seed_0"]


def test_failed_job_is_named_at_the_end_and_the_others_are_done(run, tmp_path):
    (tmp_path / "fails").write_text("text_network\n")
    rows = ("image_network", "text_network", "late_fusion", "dynmm_imdb_soft")
    code, out, err = run("table1_dynmm.sh", "--rows", *rows, "--jobs", "2")
    assert code == 1
    assert err.splitlines() == [
        f"error: failed: text_network 0, exit status 3, see {tmp_path}/runs/text_network/seed_0.log",
        "left out: dynmm_imdb_soft 0, which starts from a run that failed",
    ]
    assert "failed: text_network 0: cannot do it" in out
    assert {line.split()[0] for line in events(tmp_path, "stop")} == {"image_network", "late_fusion"}


def test_alone_the_first_failure_ends_the_table(run, tmp_path):
    (tmp_path / "fails").write_text("flow\n")
    code, _, err = run("main_xnorm.sh", "--rows", "rgb", "flow", "early")
    assert code == 1
    assert "error: failed: flow 0, exit status 3" in err
    assert [line.split()[0] for line in events(tmp_path)] == ["rgb", "flow"]


@pytest.mark.parametrize(("jobs", "kind"), [("1", signal.SIGINT), ("2", signal.SIGINT), ("2", signal.SIGTERM)])
def test_interruption_ends_what_is_running(start, tmp_path, jobs, kind):
    process = start("main_xnorm.sh", "--rows", "rgb", "flow", "early", "--jobs", jobs, SLOW="100")
    deadline = time.monotonic() + 20
    while not ((tmp_path / "log").exists() and len(events(tmp_path)) == int(jobs)) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(kind)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + kind
    assert err.endswith("interrupted; the same command goes on where it stopped\n")
    assert sorted(events(tmp_path, "ended")) == sorted(line.split(" on ")[0] for line in events(tmp_path))


def test_standins_are_made_first_and_once(run, tmp_path):
    if (ROOT / "data" / "standins" / "emotion" / "standin.json").exists():
        pytest.skip("the stand-in is there already")
    _, out, _ = run("emotion_xnorm.sh", "--standin", "--rows", "emotion_text", "emotion_audio")
    lines = [line for line in out.splitlines() if line.startswith("+ ")]
    assert [line.split()[3] for line in lines] == ["common.standins", "xnorm.emotion", "xnorm.emotion"]
