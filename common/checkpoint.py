"""Checkpoints: written atomically, loaded without executing anything, published key names accepted."""

import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor, nn

from common.errors import UserError
from common.files import replacing


class ForbiddenGlobalError(UserError):
    """A file holds the name of an object that is not loaded.

    name: its full name; why: ends "NAME, which ...".
    """

    def __init__(self, path: Path, name: str, why: str = "a checkpoint has no need of") -> None:
        super().__init__(f"{path}: holds '{name}', which {why}; it is not loaded, since that could execute code")
        self.name = name


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
    """torch.save by way of `replacing`: the old file or the new one, never half.

    before_rename: called with the sha256 once the temporary file is complete.
    Returns the sha256 of the file.
    """

    def announce() -> None:
        if before_rename is not None:
            before_rename(hashed.sha256.hexdigest())

    with replacing(path, announce) as temporary, open(temporary, "wb") as file:
        hashed = _Hashed(file)
        torch.save(content, cast(IO[bytes], hashed))  # all that it asks of a file is there
    return hashed.sha256.hexdigest()


def safe_load(path: Path, allowed: list[Any] | None = None) -> Any:
    """torch.load of tensors and plain containers only; nothing in the file is executed.

    allowed: further globals, as torch.serialization.safe_globals takes them.
    Raises UserError naming the file if it is missing, truncated or damaged, ForbiddenGlobalError if it asks for any
    other global.
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
            raise ForbiddenGlobalError(path, forbidden[1]) from error
        state = "truncated or damaged" if not zipfile.is_zipfile(path) else "damaged"
        raise UserError(
            f"{path}: {state}: not a checkpoint that torch can read ({path.stat().st_size} bytes)"
        ) from error


def cpu_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's state dict on the CPU, which further training leaves alone."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


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
