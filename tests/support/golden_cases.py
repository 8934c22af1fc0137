"""Golden cases: read one, build what it describes, hold what came out against it (format: golden/README.md)."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.golden import fill

HERE = Path(__file__).parents[1]
GOLDEN_DIR = Path(os.environ.get("GOLDEN_DIR", HERE / "golden"))


@dataclass(frozen=True)
class Case:
    folder: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / "tensors.npz") as stored:
            return dict(stored)

    @property
    def config(self) -> dict[str, Any]:
        return self.facts["config"]

    @property
    def component(self) -> str:
        return f"{self.facts['paper']}.{self.facts['component']}"

    @cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        return {
            name: self.arrays[f"in/{name}"] if spec.get("stored") else fill.fill_input(name, spec)
            for name, spec in self.facts["inputs"].items()
        }

    def tensors(self, *names: str) -> list[Tensor]:
        return [torch.from_numpy(self.inputs[name]) for name in names]

    def numbered(self, prefix: str) -> list[Tensor]:
        """Inputs prefix0, prefix1, ... as tensors."""
        return self.tensors(*sorted(name for name in self.inputs if name.rstrip("0123456789") == prefix))

    def state(self, key: str = "state") -> dict[str, Tensor]:
        state = self.facts[key]
        assert state["protocol"] == "fill-v1"
        filled = fill.fill_state(state["params"], state["seed"])
        return {name: torch.from_numpy(np.asarray(value)) for name, value in filled.items()}

    def fill(self, module: nn.Module) -> nn.Module:
        """Every key of the case, no other key, in the case's order."""
        state = self.state()
        assert list(module.state_dict()) == list(state), "state-dict names or their order differ"
        module.load_state_dict(state, strict=True)
        return module.train(self.facts["mode"] == "train")

    def compare(self, found: dict[str, Any]) -> None:
        """Every output of the case within its tolerance; all misses are told at once."""
        misses = []
        for name, spec in self.facts["outputs"].items():
            if name not in found:
                misses.append(f"{name}: the adapter returned no such output")
                continue
            actual = np.asarray(_numpy(found[name]))
            if list(actual.shape) != spec["shape"]:
                misses.append(f"{name}: shape {list(actual.shape)}, expected {spec['shape']}")
                continue
            if spec["at"] is not None:
                actual = actual.ravel()[self.arrays[f"at/{name}"]]
            tolerance = self.facts.get("tolerances", {}).get(name, self.facts["tolerance"])
            expected = self.arrays[f"out/{name}"]
            try:
                np.testing.assert_allclose(
                    actual.astype(np.float64), expected.astype(np.float64).reshape(actual.shape), **tolerance
                )
            except AssertionError as error:
                misses.append(f"{name}: {error}")
        assert not misses, "\n".join(misses)


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


Adapter = Callable[[Case], dict[str, Any]]


def all_cases() -> list[Case]:
    return [Case(path.parent) for path in sorted(GOLDEN_DIR.rglob("case.json"))]
