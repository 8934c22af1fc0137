"""Small data, settings and the shortest command lines of UCRN, for tests."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from common.datasets.cmu_mosei.standin import write_cmu_mosei
from ucrn.data import Clips
from ucrn.flags import Settings, read_flags
from ucrn.model import UCRN


def settings_of(*flags: str, active: Sequence[str] = "lav", **changes: Any) -> Settings:
    """The settings of a command line with these flags and modalities; then with these values changed."""
    settings = read_flags([*(f"--{modality}only" for modality in active), "--gpu", "-1", *flags])
    return replace(settings, **changes)


WIDTHS, LENGTHS = (4, 5, 6), (6, 9, 8)


def random_clips(
    count: int = 8, lengths: Sequence[int] = LENGTHS, widths: Sequence[int] = WIDTHS, seed: int = 0
) -> Clips:
    """Clips of noise, without ids."""
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(count, *form, generator=generator) for form in zip(lengths, widths, strict=True)]
    return Clips(*parts, torch.randn(count, 1, generator=generator), [(0, 0, 0)] * count)


def small_model(active: Sequence[str] = "lav", seed: int = 0, **options: Any) -> UCRN:
    """A network for `random_clips`: one layer, no dropout unless it is given."""
    rates = ("attn_dropout", "attn_dropout_a", "attn_dropout_v", "relu_dropout", "res_dropout", "out_dropout")
    given = {"layers": 1, **dict.fromkeys((*rates, "embed_dropout"), 0.0), **options}
    widths, lengths = given.pop("widths", WIDTHS), given.pop("lengths", LENGTHS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UCRN(widths, lengths, active, **given)


def inputs_of(clips: Clips) -> tuple[Tensor, Tensor, Tensor]:
    return clips.text, clips.audio, clips.vision


def write_inputs(folder: Path, dataset: str = "cmu_mosei") -> None:
    """24 clips to train, 12 to validate, 24 to test; unaligned of 6, 9 and 8 steps, and aligned."""
    write_cmu_mosei(folder, samples=24, lengths=LENGTHS, dataset=dataset)


def command(data: Path, run_dir: Path, *flags: str, active: str = "lav") -> list[str]:
    """Flags of a run of two epochs of three steps, one layer an encoder."""
    return [
        *(f"--{modality}only" for modality in active),
        *("--gpu", "-1", "--data_path", str(data), "--nlevels", "1", "--num_epochs", "2", "--batch_size", "8"),
        *("--optim", "Adam", "--jsd", "--run-dir", str(run_dir)),
        *flags,
    ]


def log_lines(run_dir: Path) -> list[str]:
    """log.txt without its first line (the command), times and the run folder taken out."""
    lines = (run_dir / "log.txt").read_text().replace(str(run_dir), "RUN").splitlines()[1:]
    return [re.sub(r"(Time|Time/Batch\(ms\)) +[\d.]+", r"\1 ..", line) for line in lines]


PUBLISHED_NAMES = {
    "UCRN": "src.models.UCRNModel",
    "UnimodalRefinement": "modules.transformer.TransformerEncoder",
    "CrossmodalRefinement": "modules.transformer.TransformerEncoder",
    "TransformerEncoderLayer": "modules.transformer.TransformerEncoderLayer",
    "SelfQualityImprovement": "modules.transformer.SQLayer",
    "MultiheadAttention": "modules.multihead_attention.MultiheadAttention",
}


@contextmanager
def published_classes(model: UCRN) -> Iterator[nn.Module]:
    """A copy of the model whose classes have the published modules' names, which can be pickled inside the block."""
    made: dict[str, type] = {}
    for name in PUBLISHED_NAMES.values():
        module, _, short = name.rpartition(".")
        made[name] = type(short, (nn.Module,), {"__module__": module})
    files = {name: ModuleType(name) for cls in made.values() for name in (cls.__module__, cls.__module__.split(".")[0])}
    for cls in made.values():
        setattr(files[cls.__module__], cls.__name__, cls)
    copy = deepcopy(model)
    copy.without, copy.active = 0, list(copy.active)
    for part in copy.modules():
        if type(part).__name__ in PUBLISHED_NAMES:
            part.__class__ = made[PUBLISHED_NAMES[type(part).__name__]]
    with patch.dict(sys.modules, files):
        yield copy
