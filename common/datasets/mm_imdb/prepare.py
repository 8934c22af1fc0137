"""Make multimodal_imdb.hdf5 from the raw release of MM-IMDB.

    python -m common.prepare mm_imdb RAW data/multimodal_imdb.hdf5 \\
        --word2vec GoogleNews-vectors-negative300.bin --vgg vgg16-397923af.pth

RAW/split.json holds {"train": [id, ...], "dev": [...], "test": [...]}, RAW/dataset/<id>.json "plot" and "genres",
RAW/dataset/<id>.jpeg the poster. It ends with

    25959 films (train 15552, dev 2608, test 7799) written to data/multimodal_imdb.hdf5

Written are features, vgg_features, genres (attribute target_names) and imdb_ids, in the order of split.json; of the
published file's other datasets (images, sequences, three_grams, word_grams) the networks need none.

Known of the published features: the mean word2vec vector of the plot's words; VGG-16's second fully connected layer;
23 genres by falling frequency. Inferred, so that these features come close to the published ones and do not equal them:
the longest of several plots is taken; words are lower-case runs of letters and digits, those without a vector are left
out; the layer is taken after its ReLU, from torchvision's weights, of the poster scaled to 256 on its shorter side and
cut to 224x224 around the centre; frequencies are counted over all three splits, equal ones ordered by name. A film that
has none of the 23 genres is kept with zeros, so that the published sizes of the splits stay.
"""

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from common.cuda import select_device
from common.datasets.mm_imdb.plots import WIDTH, mean_vectors, read_word2vec, words_of
from common.datasets.mm_imdb.posters import poster_features, vgg_features
from common.errors import UserError
from common.files import replacing
from common.flags import positive
from common.processes import Processes

SPLITS = ("train", "dev", "test")
GENRES = 23


class Film(NamedTuple):
    """One film of the raw release. words: of its longest plot."""

    imdb_id: str
    words: list[str]
    genres: list[str]
    poster: Path


def read_split(path: Path) -> dict[str, list[str]]:
    """Ids of "train", "dev" and "test". Raises UserError for a missing or malformed file and an id in two places."""
    content = _read_json(path, "the release's split.json")
    lists: list[Any] = [content.get(name) if isinstance(content, dict) else None for name in SPLITS]
    if not all(isinstance(ids, list) and ids for ids in lists):
        raise UserError(f'{path}: expected {{"train": [id, ...], "dev": [...], "test": [...]}}, each with films')
    split = {name: [str(imdb_id) for imdb_id in ids] for name, ids in zip(SPLITS, lists, strict=True)}
    counts = Counter(imdb_id for ids in split.values() for imdb_id in ids)
    twice = [imdb_id for imdb_id, count in counts.items() if count > 1]
    if twice:
        raise UserError(f"{path}: film {twice[0]} stands in two places; expected it once")
    return split


def read_film(folder: Path, imdb_id: str) -> Film:
    """Read <folder>/<id>.json. Raises UserError if it or the poster is missing, or plot or genres are."""
    path, poster = folder / f"{imdb_id}.json", folder / f"{imdb_id}.jpeg"
    content = _read_json(path, "a film of the raw release")
    given: dict[str, Any] = content if isinstance(content, dict) else {}
    plots: Any = given.get("plot")
    genres: Any = given.get("genres")
    plots = [plots] if isinstance(plots, str) else plots
    for key, value in (("plot", plots), ("genres", genres)):
        if not isinstance(value, list) or not value or not all(isinstance(part, str) for part in value):
            raise UserError(
                f"{path}: '{key}' is {str(value)[:60]}, expected a list of texts; or take the film out of the split"
            )
    if not poster.is_file():
        raise UserError(f"{poster}: no such poster; complete the release or take the film out of split.json")
    return Film(imdb_id, words_of(max(plots, key=len)), genres, poster)


def _read_json(path: Path, what: str) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected {what}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); expected {what}. Copy it again") from error


def genre_table(films: Sequence[Film], count: int = GENRES) -> tuple[list[str], np.ndarray]:
    """Names of the most frequent genres and int32 (n, count) of 0 and 1.

    Raises UserError where there are fewer than `count` genres.
    """
    frequency = Counter(genre for film in films for genre in set(film.genres))
    if len(frequency) < count:
        raise UserError(
            f"{len(frequency)} genres in {len(films)} films, expected at least {count}. Take the whole release"
        )
    names = sorted(frequency, key=lambda name: (-frequency[name], name))[:count]
    return names, np.array([[name in film.genres for name in names] for film in films], np.int32)


def write_features(path: Path, sizes: Sequence[int], names: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    """Write the file under a temporary name, then rename it. names: of the genres' columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["sizes"] = list(sizes)
        for name, array in arrays.items():
            file[name] = array
        file["genres"].attrs["target_names"] = json.dumps(list(names))


def prepare(args: Namespace, network: nn.Module, device: torch.device) -> None:
    """Read films, make features, write the file. network: normalised RGB (B, 3, 224, 224) -> (B, 4096)."""
    split = read_split(args.split or args.raw / "split.json")
    ids = [imdb_id for name in SPLITS for imdb_id in split[name]]
    films = [read_film(args.raw / "dataset", imdb_id) for imdb_id in tqdm(ids, desc="films", disable=None)]
    names, genres = genre_table(films)
    vocabulary = {word for film in films for word in film.words}
    vectors = read_word2vec(args.word2vec, vocabulary)
    print(f"{len(vectors)} of the plots' {len(vocabulary)} words have a vector", flush=True)
    print(f"{(genres.sum(axis=1) == 0).sum()} films have none of the {len(names)} genres", flush=True)
    posters = [film.poster for film in films]
    arrays = {
        "features": mean_vectors((film.words for film in films), vectors, WIDTH),
        "vgg_features": poster_features(posters, network, device, args.batch_size, args.num_workers),
        "genres": genres,
        "imdb_ids": np.array([imdb_id.encode() for imdb_id in ids]),
    }
    sizes = [len(split[name]) for name in SPLITS]
    write_features(args.out, sizes, names, arrays)
    counts = ", ".join(f"{name} {size}" for name, size in zip(SPLITS, sizes, strict=True))
    print(f"{len(films)} films ({counts}) written to {args.out}")


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the preparation; the published builder has a configuration file."""
    add = parser.add_argument
    add("raw", type=Path, metavar="RAW", help="folder of the raw release: split.json and dataset/")
    add("out", type=Path, metavar="OUT.hdf5")
    add("--word2vec", type=Path, required=True, metavar="FILE", help="*.bin is binary, *.npz arrays, else text")
    add("--vgg", type=Path, required=True, metavar="FILE", help="VGG-16 of torchvision, vgg16-397923af.pth")
    add("--split", type=Path, metavar="FILE", help="default: RAW/split.json")
    add("--gpu", type=int, nargs="+", default=[0], metavar="I", help="CUDA device; -1 is the CPU")
    add("--batch-size", type=positive, default=64, help="posters at once")
    add("--num-workers", type=int, default=0, help="processes that read posters")


def run(args: Namespace) -> None:
    """Prepare what the flags name. Raises UserError for anything missing or damaged; nothing is then written."""
    prepare(args, vgg_features(args.vgg), select_device(args.gpu, Processes()))
