"""State dicts out of whole pickled modules, without the modules' code: nothing in the file is executed.

Some published checkpoints are `torch.save(module)`. Their unpickling would import the authors' classes; here every
class of a module becomes an inert one that only keeps its attributes.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from common.checkpoint import ForbiddenGlobalError, safe_load
from common.errors import UserError


class InertModule:
    """Stands for any module of the file: its attributes, and no behaviour; what it is made with is dropped."""

    def __new__(cls, *_: object) -> "InertModule":
        return super().__new__(cls)


def load_module_state(path: Path, classes: Sequence[str]) -> dict[str, Tensor]:
    """The state dict of a pickled module under the names that `module.state_dict()` would give, without `module.`.

    classes: full names ("src.models.Net") of the authors' classes that may occur, beside those of torch.nn.
    Raises UserError naming the file for any other class, or if the file holds no module.
    """
    inert = [(InertModule, name) for name in (*classes, *_library_classes())]
    try:
        module = safe_load(path, [*inert, set, torch.device])
    except ForbiddenGlobalError as error:
        raise ForbiddenGlobalError(path, error.name, "this reader does not know") from error
    if not isinstance(module, InertModule):
        raise UserError(f"{path}: holds a {type(module).__name__}, expected a pickled module")
    state = {name.removeprefix("module."): value for name, value in _entries(module, "")}
    if not state:
        raise UserError(f"{path}: the pickled module has no parameters")
    return state


def _library_classes() -> list[str]:
    """Names under which torch pickles its own modules."""
    found = [value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module)]
    names = [f"{one.__module__}.{one.__qualname__}" for one in found]
    distributed = ("DistributedDataParallel", "_BucketCapacityConfig", "_DDPJoinConfig")
    names += [f"torch.nn.parallel.distributed.{name}" for name in distributed]
    names += ["torch.nn.parallel.data_parallel.DataParallel", "torch.distributed.algorithms.join._JoinConfig"]
    return [*names, "torch.nn.modules.linear.NonDynamicallyQuantizableLinear"]


def _entries(module: InertModule, prefix: str) -> list[tuple[str, Tensor]]:
    """Parameters, buffers that persist, then the parts: the order of torch's state dicts."""
    facts = vars(module)
    passing = facts.get("_non_persistent_buffers_set", set())
    own = {**facts.get("_parameters", {})}
    own |= {name: value for name, value in facts.get("_buffers", {}).items() if name not in passing}
    found = [(prefix + name, value.detach()) for name, value in own.items() if isinstance(value, torch.Tensor)]
    for name, part in facts.get("_modules", {}).items():
        if isinstance(part, InertModule):
            found += _entries(part, f"{prefix}{name}.")
    return found
