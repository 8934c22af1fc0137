"""Runs UCRN's command in two processes, as torchrun would start them, once for each of the given command lines.

    python -m tests.support.ucrn_two_processes LIST.json

LIST.json holds [[flag, ...], ...]. The processes are forked behind the imports, which take longer than a small run.
Prints one line of JSON for each command line: the exit status of both processes.
"""

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from common.errors import run_main
from ucrn import pictures
from ucrn.main import main

pictures.save_figure = lambda *args: None  # most of a small run's time


def run_rank(rank: int, port: int, argv: list[str]) -> int:
    """The command as the process of this rank; returns its exit status."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        run_main(lambda: main(argv))
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def start(rank: int, port: int, argv: list[str]) -> int:
    """Fork; returns the child's process id."""
    child = os.fork()
    if child:
        return child
    signal.alarm(120)  # of processes that wait for each other
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        status = run_rank(rank, port, argv)
    sys.stderr.flush()
    os._exit(status)


for command_line in json.loads(Path(sys.argv[1]).read_text()):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        master_port = free.getsockname()[1]
    children = [start(rank, master_port, command_line) for rank in range(2)]
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
