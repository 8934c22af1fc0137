"""Checkpoints: written atomically, loaded without executing anything, published key names accepted."""

import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from common.errors import UserError


class _Hashed:
    """A file opened for writing that hashes what passes through."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def save_atomically(content: object, path: Path, before_rename: Callable[[str], None] | None = None) -> str:
    """torch.save to a temporary name, sync, rename, sync the folder: the old file or the new one, never half.

    before_rename: called with the sha256 once the temporary file is complete.
    Returns the sha256 of the file.
    """
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        hashed = _Hashed(file)
        torch.save(content, hashed)
        file.flush()
        os.fsync(file.fileno())
    digest = hashed.sha256.hexdigest()
    if before_rename is not None:
        before_rename(digest)
    os.replace(temporary, path)
    sync_folder(path.parent)
    return digest


def sync_folder(folder: Path) -> None:
    """Have the names in the folder written to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def safe_load(path: Path, allowed: list[Any] | None = None) -> Any:
    """torch.load of tensors and plain containers only; nothing in the file is executed.

    allowed: further globals, as torch.serialization.safe_globals takes them.
    Raises UserError naming the file if it is missing, truncated, damaged or asks for any other global.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint")
    try:
        with torch.serialization.safe_globals(allowed or []):
            return torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        # torch raises RuntimeError, UnpicklingError, EOFError, KeyError or zipfile errors, by the kind of damage
        forbidden = re.search(r"GLOBAL (\S+)", str(error))
        if forbidden:
            raise UserError(
                f"{path}: holds '{forbidden[1]}', which a checkpoint has no need of; it is not loaded, since that "
                "could execute code"
            ) from error
        state = "truncated or damaged" if not zipfile.is_zipfile(path) else "damaged"
        raise UserError(
            f"{path}: {state}: not a checkpoint that torch can read ({path.stat().st_size} bytes)"
        ) from error


def load_published(model: nn.Module, state: object, path: Path, hint: str = "") -> None:
    """Load a state dict with published key names into the bare model, strictly.

    One leading `module.` (DataParallel) is dropped; missing `num_batches_tracked` are accepted.
    hint: added to the error of a wrong shape.
    Raises UserError naming the file and the first missing, unknown or wrongly shaped entry; the model is then
    as it was.
    """
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{path}: expected a state dict of tensors, found {type(state).__name__}")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    own = model.state_dict()
    unknown = [name for name in state if name not in own]
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    for name, value in state.items():
        if name in own and value.shape != own[name].shape:
            raise UserError(f"{path}: '{name}' is {tuple(value.shape)}, this network's {tuple(own[name].shape)}{hint}")
    for names, what in ((missing, "lacks"), (unknown, "holds")):
        if names:
            rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
            end = "which this network needs" if what == "lacks" else "which this network does not have"
            raise UserError(f"{path}: {what} '{names[0]}'{rest}, {end}{hint}")
    model.load_state_dict(state, strict=False)
