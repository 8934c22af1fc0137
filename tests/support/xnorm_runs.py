"""Small data, settings and the shortest command lines of X-Norm, for tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from common.datasets.epic_kitchens.standin import write_epic_kitchens
from common.standins.weights.standin import write_weights
from tests.support.run_folders import assert_same_checkpoint
from xnorm.flags import Settings, read_flags

NARROW, SIDE, FRAMES = 64, 32, 9


def settings_of(fusion: str, *flags: str, **changes: Any) -> Settings:
    """The settings of a command line with these flags; then with these values changed."""
    return replace(read_flags(["--fusion", fusion, "--gpu", "-1", *flags]), **changes)


def write_inputs(folder: Path) -> None:
    """16 training segments and 8 + 8 others in FOLDER/kitchens, I3Ds 64 times narrower in FOLDER/i3d."""
    write_epic_kitchens(folder / "kitchens", samples=16, size=(40, 40))
    write_weights(folder / "i3d", only=["i3d"], narrow=NARROW)


def command(inputs: Path, run_dir: Path, fusion: str, *flags: str) -> list[str]:
    """Flags of a run of two epochs of two steps; with gb, of one clip a step."""
    return [
        *("--fusion", fusion, "--gpu", "-1", "--data_root", f"{inputs}/kitchens", "--i3d", f"{inputs}/i3d"),
        *("--narrow", str(NARROW), "--crop-size", str(SIDE), "--num_frames", str(FRAMES), "--num_workers", "0"),
        *("--hidden_size", "8", "--num_epochs", "2", "--learning_rate", "1e-3", "--num_gb_epochs", "1"),
        *("--batch_size", "1" if fusion == "gb" else "6", "--run-dir", str(run_dir)),
        *flags,
    ]


def log_lines(run_dir: Path) -> list[str]:
    """log.txt without its first line, the command, which names the folder."""
    return (run_dir / "log.txt").read_text().splitlines()[1:]


def assert_same_run(one: Path, other: Path) -> None:
    """Log and metrics letter for letter, checkpoints bit for bit."""
    assert log_lines(one) == log_lines(other)
    assert (one / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    for name in ("last.pt", "best.pt"):
        assert_same_checkpoint(one, other, name)
