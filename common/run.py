"""A run's folder: log, metrics, provenance, TensorBoard, checkpoints, pictures (layout in README.md)."""

import json
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from common import provenance
from common.cuda import autocast, describe_device
from common.errors import UserError
from common.flags import RunSettings
from common.processes import Processes
from common.run_checkpoints import RunCheckpoints

Item = TypeVar("Item")


class Run:
    """The record of one call of a script; used as a context manager around all of its work.

    Nothing is written before the `with` block is entered, and only by the first process. `run.json` says
    running inside the block, and finished or failed (with the reason) after it.

    folder: DIR of --run-dir or runs/<paper>/<script>/<name>; resumed: whether --resume auto found a
    checkpoint there. Raises UserError where the folder holds another run and neither --overwrite nor
    --resume auto was given, or where --resume auto meets other flags than before.
    """

    def __init__(
        self,
        paper: str,
        script: str,
        name: str,
        settings: RunSettings,
        device: torch.device,
        procs: Processes,
        command: str,
        facts: Mapping[str, object],
    ) -> None:
        self.device, self.procs, self.precision = device, procs, settings.precision
        self.folder = settings.run_dir or Path("runs") / paper / script / name
        self.images = self.folder / "images"
        self.checkpoints = RunCheckpoints(self.folder / "checkpoints")
        self.facts: dict[str, Any] = {
            "paper": paper,
            "script": script,
            "name": name,
            "row": settings.row,
            "command": command,
            "args": {key: _plain(value) for key, value in settings.recorded().items()},
            "quirks": dict(settings.quirks),
            "python": provenance.python_version(),
            "packages": provenance.package_versions(),
            "git": provenance.git_state(),
            "device": describe_device(device, procs),
            "precision": settings.precision,
            "deterministic": True,
            "shortened": settings.max_steps is not None,
            "weights": None,
            "checkpoint": None,
            **facts,
        }
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"--run-dir {self.folder}: is a file, expected a folder")
        self._auto = settings.resume == "auto" and not settings.overwrite
        self._found = {} if settings.overwrite else _read_json(self.folder / "run.json")
        self.finished = self._auto and self._found.get("state") == "finished"
        self.resumed = self._auto and self.checkpoints.saved and not self.finished
        if not settings.overwrite:
            self._check_folder(settings.FREE)
        if self.finished:
            self.note(f"{self.folder}: already finished")
        self._samples, self._seconds = 0, 0.0
        self._purge_step: int | None = None

    def _check_folder(self, free: Collection[str]) -> None:
        if not self._found:
            if self.checkpoints.saved:
                raise UserError(f"{self.folder}: holds checkpoints but no run.json; start anew with --overwrite")
            return
        if not self._auto and (self._found.get("state") == "finished" or self.checkpoints.saved):
            state = "a finished run" if self._found.get("state") == "finished" else "an interrupted run"
            raise UserError(
                f"{self.folder}: holds {state}; continue it with --resume auto, start anew with --overwrite, "
                "or name another folder with --run-dir"
            )
        if self.resumed or self.finished:
            before, now = self._found.get("args", {}), self.facts["args"]
            changed = [key for key in now if key not in free and key in before and before[key] != now[key]]
            if changed:
                key = changed[0]
                flag = "quirk" if key == "quirks" else key.replace("_", "-")
                raise UserError(
                    f"{self.folder}: --resume auto with --{flag} {now[key]}, but the run there had "
                    f"{before[key]}; give the same flags, or start anew with --overwrite"
                )
            data = [facts.get("dataset", {}).get("fingerprint") for facts in (self._found, self.facts)]
            if data[0] != data[1]:
                raise UserError(
                    f"{self.folder}: --resume auto on other data than before (their fingerprint has changed); give "
                    "back the same, or start anew with --overwrite"
                )

    @property
    def last(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.checkpoints.last

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.checkpoints.best

    def autocast(self) -> torch.autocast:
        """A context around a forward pass, in the precision that --precision asks for."""
        return autocast(self.device, self.precision)

    def __enter__(self) -> "Run":
        self.procs.wait()  # all have looked at the folder before the first one changes it
        self._started = time.monotonic()
        if not self.procs.first:
            return self
        for folder in (self.images, self.checkpoints.folder):
            folder.mkdir(parents=True, exist_ok=True)
        earlier = self._found if self.resumed else {}
        self.facts |= {
            "started": earlier.get("started") or _now(),
            "ended": None,
            "state": "running",
            "why": None,
            "git_at_start": earlier.get("git_at_start", self.facts["git"]),
            "weights": earlier.get("weights", self.facts["weights"]),
            "checkpoint": earlier.get("checkpoint", self.facts["checkpoint"]),
            "checkpoints": self.checkpoints.hashes,
            "resumed": [*earlier.get("resumed", []), _now()] if self.resumed else [],
        }
        self.checkpoints.hashes.update(earlier.get("checkpoints", {}))
        self._earlier_seconds = earlier.get("wall_seconds", 0.0)
        if not self.resumed:
            for stale in (*self.checkpoints.folder.iterdir(), *self.images.iterdir(), *self.folder.glob("events.*")):
                stale.unlink()
        mode = "a" if self.resumed else "w"
        self._log = open(self.folder / "log.txt", mode)
        self._metrics = open(self.folder / "metrics.jsonl", mode)
        self._board: SummaryWriter | None = None
        self._write_facts()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if not self.procs.first:
            if isinstance(error, UserError):  # what the first process may not have met
                print(f"error: process {self.procs.rank}: {error}", file=sys.stderr, flush=True)
            return
        self.facts["state"] = "finished" if kind is None else "failed"
        self.facts["why"] = None if kind is None else f"{kind.__name__}: {error}"
        self.facts["ended"] = _now()
        self._write_facts()
        for file in (self._log, self._metrics):
            file.close()
        if self._board is not None:
            self._board.close()

    def _write_facts(self) -> None:
        self.facts["wall_seconds"] = round(self._earlier_seconds + time.monotonic() - self._started, 3)
        self.facts["peak_memory_bytes"] = provenance.peak_memory(self.device)
        self.facts["samples_per_second"] = round(self._samples / self._seconds, 3) if self._seconds else None
        temporary = self.folder / "run.json.tmp"
        temporary.write_text(json.dumps(self.facts, indent=2) + "\n")
        os.replace(temporary, self.folder / "run.json")

    def print(self, line: str = "") -> None:
        """To the screen and to log.txt, by the first process."""
        self.note(line)
        if self.procs.first:
            self._log.write(line + "\n")
            self._log.flush()

    def note(self, line: str = "") -> None:
        """To the screen alone: what is not part of the run's result."""
        if self.procs.first:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def progress(self, batches: Iterable[Item], what: str) -> Iterator[Item]:
        """The batches, under a progress bar on a terminal."""
        hidden = not (self.procs.first and sys.stderr.isatty())
        return iter(tqdm(batches, desc=what, leave=False, disable=hidden))

    def record(self, epoch: int, split: str, *, final: bool = False, **metrics: Any) -> None:
        """One line of metrics.jsonl, and the numbers in TensorBoard as <split>/<metric>.

        Scalar tensors are read here: call it once an epoch, not in the inner loop.
        """
        if not self.procs.first:
            return
        values = {
            key: value.item() if isinstance(value, Tensor | np.generic) else value for key, value in metrics.items()
        }
        line = {"epoch": epoch, "split": split, **values, **({"final": True} if final else {})}
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()
        for key, value in values.items():
            if isinstance(value, int | float):
                self.board.add_scalar(f"{split}/{key}", value, epoch)

    def history(self, split: str) -> list[dict[str, Any]]:
        """What `record` wrote of one split so far, also before an interruption; on the first process."""
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["split"] == split]

    @property
    def board(self) -> SummaryWriter:
        """TensorBoard, opened when first written to; on the first process."""
        if self._board is None:
            self._board = SummaryWriter(str(self.folder), purge_step=self._purge_step)
        return self._board

    def trained(self, epoch: int, samples: int, seconds: float) -> None:
        """Count an epoch's training samples and seconds: the throughput in run.json and TensorBoard.

        Not in metrics.jsonl, which holds nothing but results.
        """
        self._samples, self._seconds = self._samples + samples, self._seconds + seconds
        if self.procs.first:
            self.board.add_scalar("train/samples_per_second", samples / seconds, epoch)

    def save(self, epoch: int, state: dict[str, Any], best: dict[str, Any] | None = None) -> None:
        """Write last.pt (keeping the one before as previous.pt) and, if given, best.pt; all processes wait for it.

        With the state goes how far log and metrics had come, so that a resumed run writes the same files.
        """
        if self.procs.first:
            files = {"log": _synced_length(self._log), "metrics": _synced_length(self._metrics)}
            progress = {"epoch": epoch, "samples": self._samples, "seconds": self._seconds}
            self.checkpoints.write({**state, "run": {**files, **progress}}, best, self._write_facts)
        self.procs.wait()

    def load_last(self) -> dict[str, Any]:
        """The state of the last intact checkpoint; log and metrics go back to where they were then.

        Raises UserError if neither last.pt nor previous.pt is intact.
        """
        known = set(self._found.get("checkpoints", {}).values())
        state, path, digest = self.checkpoints.load(known, self._drop_damaged)
        self.checkpoints.hashes[path.name] = digest
        self._rewind(state["run"])
        return state

    def _drop_damaged(self, path: Path) -> None:
        self.note(f"{path}: damaged (its hash is not the one in run.json): falling back to the one before")
        self.procs.wait()  # all have read it
        if self.procs.first:
            path.unlink()  # or the next save would keep it instead of the intact one

    def _rewind(self, then: Mapping[str, Any]) -> None:
        self._samples, self._seconds, self._purge_step = then["samples"], then["seconds"], then["epoch"] + 1
        if self.procs.first:
            for file, end in ((self._log, then["log"]), (self._metrics, then["metrics"])):
                file.truncate(min(end, os.fstat(file.fileno()).st_size))
                file.seek(0, os.SEEK_END)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return provenance.shown_path(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{path}: damaged: {error}; start anew with --overwrite or another --run-dir") from error


def _synced_length(file: IO[str]) -> int:
    """Bytes in the file, all of them on disk."""
    file.flush()
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
