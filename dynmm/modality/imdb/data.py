"""MM-IMDB as DynMM reads it: the features as stored, without normalisation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from common.datasets.mm_imdb.reader import MMIMDB, SPLITS
from common.provenance import describe_dataset
from dynmm.modality.batches import Data, Split


def open_films(path: Path, sizes: tuple[int, int, int] | None = None, only: int | None = None) -> Data:
    """The three splits of a file or folder.

    sizes: films of train, valid and test; None: as the file says, else as published. only: 0 the text or 1 the image
    alone. Raises UserError as the reader does.
    """
    readers = {name: MMIMDB(path, name, sizes) for name in SPLITS}
    splits = {name: replace(read_films(reader), only=only) for name, reader in readers.items()}
    counts = ", ".join(f"{name} {len(split)}" for name, split in splits.items())
    facts = describe_dataset("mm_imdb", list(readers.values()))
    return Data(splits, facts, [f"MM-IMDB {path}: {counts} films"])


def read_films(reader: MMIMDB) -> Split:
    """All of a split: inputs text (N, 300) and image (N, 4096), labels float32 (N, 23), 0 or 1."""
    text, image, genres = (torch.from_numpy(np.asarray(x, np.float32)) for x in reader.arrays())
    return Split((text, image), genres, needs=reader.needs)
