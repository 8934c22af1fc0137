"""Files that are written whole or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, before_rename: Callable[[], None] | None = None) -> Iterator[Path]:
    """A temporary name to write a file under; after the block it is synced, renamed to `path`, the folder synced.

    At any time there is the old file or the new one, never half; an error in the block leaves the old one.
    before_rename: called once the temporary file is complete and on disk.
    """
    temporary = path.with_name(path.name + ".tmp")
    yield temporary
    _sync(temporary)
    if before_rename is not None:
        before_rename()
    os.replace(temporary, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Have the file's content, or the names in the folder, written to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
