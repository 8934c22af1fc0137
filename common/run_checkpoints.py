"""A run's checkpoints: the last, the one before it, the best; written whole, verified by hash, fallen back to."""

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from common.checkpoint import safe_load, save_atomically
from common.errors import UserError
from common.hashing import sha256_of


class RunCheckpoints:
    """FOLDER/last.pt, previous.pt and best.pt.

    hashes: {file name: sha256} of what was written, kept in run.json. A save moves hashes from name to name; after a
    kill in the middle of one, a file is intact if its hash stands under any name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last, self.previous, self.best = (folder / f"{name}.pt" for name in ("last", "previous", "best"))
        self.hashes: MutableMapping[str, str] = {}

    @property
    def saved(self) -> bool:
        """Whether there is anything to resume from."""
        return self.last.exists() or self.previous.exists()

    def write(self, state: dict[str, Any], best: dict[str, Any] | None, write_record: Callable[[], None]) -> None:
        """Write last.pt, keep the one before it as previous.pt, and, if given, write best.pt.

        write_record: writes run.json with the new hashes, before the files take their names.
        """
        if best is not None:
            self.hashes["best.pt"] = save_atomically(best, self.best)

        def announce(digest: str) -> None:
            kept = self.last.exists()
            if kept:
                self.hashes["previous.pt"] = self.hashes["last.pt"]
            self.hashes["last.pt"] = digest
            write_record()
            if kept:
                os.replace(self.last, self.previous)

        save_atomically(state, self.last, before_rename=announce)

    def load(self, known: set[str], drop_damaged: Callable[[Path], None]) -> tuple[dict[str, Any], Path, str]:
        """The last intact checkpoint's content, its path and its hash.

        known: the hashes that run.json has. drop_damaged: says so and removes a file that has another one.
        Raises UserError if neither last.pt nor previous.pt is intact.
        """
        for path in (self.last, self.previous):
            digest = sha256_of(path) if path.exists() else None
            if digest is not None and digest in known:
                return safe_load(path), path, digest
            if digest is not None:
                drop_damaged(path)
        raise UserError(f"{self.folder}: no intact checkpoint to resume from; start anew with --overwrite")
