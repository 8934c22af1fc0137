"""Repack TBJE's CMU-MOSEI features (mel spectrograms, words) into the pickle that the reader takes.

    python -m common.prepare cmu_mosei SOURCE TARGET --glove glove.840B.300d.txt [--vision-suffix NAME]

reads SOURCE/{train,valid,test}_{sentences,mels,sentiment}.p (and _NAME.p), dicts keyed video[segment], and writes
TARGET/mosei_senti_data_noalign.pkl: text (N, 60, 300), audio (N, 60, 80), vision (N, 60, 512), labels (N, 1, 1),
float32, zero padded behind or cut to 60 steps; id (N, 3) video, segment, video[segment]. Without --vision-suffix
vision is zeros (N, 1, 1): train then on text and audio alone. It prints for each split the clips, the keys that not
all files have, and the share of unknown words, and ends with

    wrote TARGET/mosei_senti_data_noalign.pkl: train .., valid .., test .. clips
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.datasets.cmu_mosei.reader import SPLITS, file_problems
from common.datasets.cmu_mosei.words import embed, plain_words, read_glove
from common.errors import UserError
from common.flags import positive
from common.pickles import load_arrays_pickle, save_arrays_pickle

FILE_NAME = "mosei_senti_data_noalign.pkl"
KEY = re.compile(r"(.+)\[(.+)\]")
SHOWN = 10  # dropped keys that are named


@dataclass(frozen=True)
class Source:
    """The clips of a split that all its files have: in the order of the sentences, words already plain.

    audio, vision: an array (T, d) a clip; vision is None without --vision-suffix. dropped: keys of some files only.
    """

    keys: list[str]
    words: list[list[str]]
    audio: list[np.ndarray]
    vision: list[np.ndarray] | None
    labels: np.ndarray
    dropped: list[str]


def read_source(folder: Path, split: str, vision_suffix: str | None = None) -> Source:
    """Read one split's files.

    Raises UserError for a missing or damaged file, files without a common key, and an entry of another form.
    """
    names = {"sentences": "sentences", "audio": "mels", "labels": "sentiment"}
    names |= {"vision": vision_suffix} if vision_suffix else {}
    paths = {kind: folder / f"{split}_{name}.p" for kind, name in names.items()}
    tables = {kind: _read_table(path) for kind, path in paths.items()}
    keys = [key for key in tables["sentences"] if all(key in table for table in tables.values())]
    if not keys:
        listed = ", ".join(path.name for path in paths.values())
        raise UserError(f"{folder}: {listed} have no key in common; expected keys such as video[segment]")
    every = dict.fromkeys(key for table in tables.values() for key in table)
    kept = set(keys)
    labels = [_score(tables["labels"][key], f"{paths['labels']}: '{key}'") for key in keys]
    return Source(
        keys=keys,
        words=[_words(tables["sentences"][key], f"{paths['sentences']}: '{key}'") for key in keys],
        audio=_sequences(tables["audio"], keys, paths["audio"]),
        vision=_sequences(tables["vision"], keys, paths["vision"]) if vision_suffix else None,
        labels=np.array(labels, np.float32).reshape(-1, 1, 1),
        dropped=[key for key in every if key not in kept],
    )


def _read_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected TBJE's features of CMU-MOSEI, <split>_sentences.p, <split>_mels.p and "
            "<split>_sentiment.p for train, valid and test (the repository jbdel/MOSEI_UMONS names their source)"
        )
    table = load_arrays_pickle(path)
    if not isinstance(table, Mapping):
        raise UserError(f"{path}: holds a {type(table).__name__}; expected a dict keyed video[segment]")
    odd = next((key for key in table if not isinstance(key, str) or not KEY.fullmatch(key)), None)
    if odd is not None:
        raise UserError(f"{path}: the key {odd!r} is none; expected video[segment]")
    return dict(table)


def _words(sentence: Any, where: str) -> list[str]:
    words = sentence.tolist() if isinstance(sentence, np.ndarray) else sentence
    if not isinstance(words, str) and not (
        isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)
    ):
        raise UserError(f"{where}: is a {type(sentence).__name__}; expected a string or a list of words")
    return plain_words(words)


def _score(value: Any, where: str) -> float:
    score = np.asarray(value)
    if score.size != 1 or score.dtype.kind not in "fiu" or not abs(float(score.reshape(()))) <= 3:
        raise UserError(f"{where}: the score is {str(value)[:60]!r}; expected one number in [-3, 3]")
    return float(score.reshape(()))


def _sequences(table: dict[str, Any], keys: list[str], path: Path) -> list[np.ndarray]:
    """The clips' arrays (T, d), all of the width of the first. Raises UserError for any other form."""
    width = None
    for key in keys:
        array = table[key]
        form = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
            raise UserError(f"{path}: '{key}': is {form}; expected an array of numbers (steps, features)")
        width = width or array.shape[1]
        if array.shape[1] != width or not width:
            raise UserError(f"{path}: '{key}': is {form}; expected {width or 'some'} features, as in '{keys[0]}'")
    return [table[key] for key in keys]


def padded(sequences: list[np.ndarray], steps: int) -> np.ndarray:
    """Float32 (N, steps, d): the first steps of every sequence (T, d), zeros behind shorter ones."""
    result = np.zeros((len(sequences), steps, sequences[0].shape[1]), np.float32)
    for row, sequence in zip(result, sequences, strict=True):
        cut = sequence[:steps]
        row[: len(cut)] = cut
    return result


def pack(source: Source, vectors: dict[str, np.ndarray], steps: int) -> dict[str, np.ndarray]:
    """The arrays of one split, as common.datasets.cmu_mosei.reader reads them."""
    blank = np.zeros((len(source.keys), 1, 1), np.float32)
    return {
        "text": embed(source.words, vectors, steps),
        "audio": padded(source.audio, steps),
        "vision": blank if source.vision is None else padded(source.vision, steps),
        "labels": source.labels,
        "id": np.array([(*found.groups(), key) for key in source.keys if (found := KEY.fullmatch(key))]),
    }


def summary(split: str, source: Source, vectors: dict[str, np.ndarray]) -> str:
    """Clips, dropped keys, unknown words and clips without words of a split, as lines."""
    spoken = [word for words in source.words for word in words]
    unknown = [word for word in spoken if word not in vectors]
    lines = [
        f"{split}: {len(source.keys)} clips, {len(source.dropped)} dropped; {len(spoken)} words, "
        f"{len(unknown) / max(len(spoken), 1):.2%} unknown ({len(set(unknown))} different)"
    ]
    silent = sum(not words for words in source.words)
    lines += [f"  {silent} clips without words"] if silent else []
    if source.dropped:
        more = f" and {len(source.dropped) - SHOWN} more" if len(source.dropped) > SHOWN else ""
        lines.append(f"  dropped, since not in all files: {', '.join(source.dropped[:SHOWN])}{more}")
    return "\n".join(lines)


def add_flags(parser: ArgumentParser) -> None:
    """Folders, word vectors, and what is not fixed by the layout."""
    add = parser.add_argument
    add("source", type=Path, help="folder of <split>_sentences.p, <split>_mels.p, <split>_sentiment.p")
    add("target", type=Path, help=f"folder that gets {FILE_NAME}")
    add("--glove", type=Path, required=True, metavar="FILE", help="word vectors: text, .npz, or word2vec's .bin")
    add("--vision-suffix", metavar="NAME", help="read <split>_NAME.p, arrays (T, 512), as vision")
    add("--steps", type=positive, default=60, help="steps that every sequence is cut or padded to")
    add("--overwrite", action="store_true", help=f"replace a {FILE_NAME} that is there")


def run(args: Namespace) -> None:
    """Repack what the flags name. Raises UserError, before anything is written, for whatever does not fit."""
    path = args.target / FILE_NAME
    if path.exists() and not args.overwrite:
        raise UserError(f"{path}: is there already; name another folder, or give --overwrite to replace it")
    sources = {split: read_source(args.source, split, args.vision_suffix) for split in SPLITS}
    vocabulary = {word for source in sources.values() for words in source.words for word in words}
    vectors = read_glove(args.glove, vocabulary)
    for split, source in sources.items():
        print(summary(split, source, vectors))
    content = {split: pack(source, vectors, args.steps) for split, source in sources.items()}
    problems = file_problems(path, content)
    if problems:
        raise UserError(f"{args.source}: what it holds makes no readable file: {problems[0]}")
    args.target.mkdir(parents=True, exist_ok=True)
    save_arrays_pickle(content, path)
    counts = ", ".join(f"{split} {len(source.keys)}" for split, source in sources.items())
    print(f"wrote {path}: {counts} clips")
