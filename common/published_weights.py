"""Which files of weights are the published ones: told by their hash, or else by the user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.hashing import sha256_of
from common.provenance import shown_path

# How the SHA-256 of published files begins; torchvision puts these digits into its files' names.
KNOWN = {
    "19c8e357": "ResNet-50 of ImageNet (torchvision)",
    "5d3b4d8f": "ResNet-101 of ImageNet (torchvision)",
    "b121ed2d": "ResNet-152 of ImageNet (torchvision)",
    "397923af": "VGG-16 of ImageNet (torchvision)",
}


def known_name(sha256: str) -> str | None:
    """What the published file with this hash is; None for a hash that is not known here."""
    return next((name for digits, name in KNOWN.items() if sha256.startswith(digits)), None)


def weights_facts(files: Sequence[Path], said_to_be_published: bool, standin: bool) -> dict[str, Any]:
    """What run.json says of the files that a network starts from.

    {"file", "sha256"}: of all of them, separated by commas. standin: they were written by `python -m common.standins`.
    published: every hash is known, or the user says so (--weights-are-published), and no file is a stand-in;
    published_by: "hash", "user" or None.
    """
    digests = [sha256_of(file) for file in files]
    known = bool(digests) and all(map(known_name, digests))
    by = None if standin else "hash" if known else "user" if said_to_be_published else None
    return {
        "file": ", ".join(map(shown_path, files)),
        "sha256": ", ".join(digests),
        "published": by is not None,
        "published_by": by,
        "standin": standin,
    }


def checkpoint_facts(file: Path, ours: bool, said_to_be_published: bool) -> dict[str, Any]:
    """What run.json says of a checkpoint that is tested or gone on from. ours: one of our scripts has written it."""
    facts = weights_facts([file], said_to_be_published and not ours, standin=False)
    return {**facts, "ours": ours}
