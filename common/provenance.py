"""What stands behind a number: command, revision, packages, machine."""

import hashlib
import os
import platform
import resource
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from common.standins.marker import is_standin

PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "scikit-learn", "scipy", "transformers", "pillow")


def command_line(module: str, argv: list[str]) -> str:
    """The command as a user types it: `python -m <module> ...`."""
    return shlex.join(["python", "-m", module, *argv])


def git_state() -> dict[str, object] | None:
    """{"revision", "clean"} of the repository that this code lies in; None where it is no checkout."""
    folder = Path(__file__).resolve().parent
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"revision": revision, "clean": changes == ""}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def package_versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory(device: torch.device) -> int:
    """Bytes: of the device's allocator on CUDA, of the process (largest resident size) on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def python_version() -> str:
    """For example "3.11.7"."""
    return platform.python_version()


def shown_path(path: Path | str) -> str:
    """A path for a record: relative to the working folder where it lies below it."""
    absolute = Path(os.path.abspath(path))
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)


def describe_dataset(name: str, splits: list[Any]) -> dict[str, object]:
    """Name, folder, one fingerprint over all files, and whether it is a stand-in.

    splits: the opened readers, each with `folder`, `fingerprint()` and a length; the last one's folder is named.
    """
    fingerprints = "".join(split.fingerprint() for split in splits)
    return {
        "name": name,
        "folder": shown_path(splits[-1].folder),
        "fingerprint": hashlib.sha256(fingerprints.encode()).hexdigest(),
        "samples": [len(split) for split in splits],
        "standin": any(is_standin(split.folder) for split in splits),
    }
