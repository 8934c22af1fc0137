"""The shortest command line of the emotion task, for tests."""

from pathlib import Path


def command(data: Path, run_dir: Path, fusion: str, *flags: str) -> list[str]:
    """Flags of a run of two epochs of three steps, narrow networks of two layers."""
    return [
        *("--fusion", fusion, "--gpu", "-1", "--data", str(data), "--width", "8", "--heads", "2", "--layers", "2"),
        *("--exchange", "0", "1", "--hidden_size", "8", "--num_epochs", "2", "--batch_size", "12"),
        *("--learning_rate", "1e-3", "--run-dir", str(run_dir)),
        *flags,
    ]
