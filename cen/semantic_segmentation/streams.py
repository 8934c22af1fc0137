"""Names of the streams."""

from collections.abc import Sequence


def stream_names(inputs: Sequence[str]) -> list[str]:
    """The inputs' names; one that is given again has its position appended."""
    return [f"{name}{i}" if name in inputs[:i] else name for i, name in enumerate(inputs)]
