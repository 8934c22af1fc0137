"""CMU-MOSEI and CMU-MOSI as DynMM reads them: MultiBench's rules, over whole splits at once.

In order: clips whose text sums to exactly 0 are left out; -inf in the audio becomes 0; each clip begins at the first
step whose text is not all zero (the files put zeros in front), the same step for all three modalities; optionally
each clip is normalised over its steps. A batch is padded with zeros at the END, to the longest of its clips.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.datasets.cmu_mosei.reader import SentimentSplit, clean_audio, read_sentiment_file
from common.errors import UserError
from common.provenance import describe_dataset
from dynmm.modality.batches import Data, Split

FILES = {"mosei": "mosei_senti_data.pkl", "mosi": "mosi_raw.pkl"}
FOLDERS = (Path("data/multibench"), Path("data"))  # the published scripts do not agree; each has its own first
BINARY = ("mosi", "mosei", "sarcasm")  # data whose classification target is 1 for a label above 0
TWO_SIDED = ("humor", "sarcasm")  # data whose labels become -1 and 1 first


def open_clips(data: str, path: Path | None, folder: Path, only: int | None = None) -> Data:
    """The three splits of a file.

    data: mosei or mosi; path: a file or its folder, None: in the published place, which is `folder`, of FOLDERS.
    only: 0 vision, 1 audio, 2 text alone. Raises UserError for other data, and as the reader does.
    """
    file = data_file(data, path, folder)
    raw = read_sentiment_file(file, hint(data, file))
    facts = describe_dataset(f"cmu_{data}", list(raw.values()))
    splits = {name: replace(read_clips(split, data=data), only=only) for name, split in raw.items()}
    counts = ", ".join(f"{name} {len(clips)} ({clips.dropped} without text)" for name, clips in splits.items())
    return Data(splits, facts, [f"CMU-{data.upper()} {file}: {counts} clips", *_odd_values(splits)])


def hint(data: str, path: Path) -> str:
    """What makes a stand-in of this file."""
    return f"--layout multibench (expected: {FILES[data]} in {path.parent}, aligned, words at the end)"


def data_file(data: str, path: Path | None, folder: Path) -> Path:
    """The file that --data and --data-path name; without the latter the published place, or else the other one."""
    if data not in FILES:
        raise UserError(f"--data {data}: expected {' or '.join(FILES)}")
    if path is not None:
        return path / FILES[data] if path.is_dir() else path
    places = [folder / FILES[data], *(other / FILES[data] for other in FOLDERS if other != folder)]
    return next((place for place in places if place.is_file()), places[0])


def _odd_values(splits: dict[str, Split]) -> list[str]:
    """A warning for values that no rule cleans and that spoil a training."""
    counts = {name: sum(int((~x.isfinite()).sum()) for x in split.used) for name, split in splits.items()}
    found = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return [f"warning: NaN or infinite values, which are kept as published: {found}"] if found else []


def read_clips(split: SentimentSplit, task: str | None = None, data: str = "mosei", z_norm: bool = False) -> Split:
    """All of a split by the rules above: inputs vision, audio and text (N, T, d), labels (N, 1).

    task, data: see `targets`; z_norm: see `normalise`. The scripts leave both at their defaults; the published reader
    has them, and golden cases hold ours to it.
    Raises UserError for a split whose modalities differ in length, or with nothing left.
    """
    if len(set(split.lengths)) > 1:
        raise UserError(
            f"{split.path}: '{split.name}' has {split.lengths} steps of text, audio, vision; expected an aligned file, "
            "with one length for all; name it with --data-path"
        )
    keep = has_text(split.text)
    if not keep.any():
        raise UserError(f"{split.path}: '{split.name}': the text of every clip sums to 0; nothing is left")
    text = split.text[keep]
    start = first_steps(text)
    modalities = [to_front(x, start) for x in (split.vision[keep], clean_audio(split.audio[keep]), text)]
    lengths = torch.from_numpy(text.shape[1] - start)
    if z_norm:
        modalities = [normalise(x, lengths) for x in modalities]
    needs = split.extra.get("needs")
    labels = targets(split.labels[keep], task, data)
    kept = None if needs is None else needs[keep]
    return Split(tuple(modalities), labels, lengths, kept, dropped=int((~keep).sum()))


def has_text(text: np.ndarray) -> np.ndarray:
    """bool (N,): the text's values (N, T, d) do not sum to exactly 0, in the array's own type."""
    return text.reshape(len(text), -1).sum(axis=1) != 0


def first_steps(text: np.ndarray) -> np.ndarray:
    """int64 (N,): the first step with any value other than 0."""
    return (text != 0).any(axis=2).argmax(axis=1)


def to_front(values: np.ndarray, start: np.ndarray) -> Tensor:
    """float32 (N, T, d): each clip's steps from `start` (N,) on moved to the front, zeros after them."""
    steps = np.arange(values.shape[1])[None] + start[:, None]
    with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, as published
        moved = np.take_along_axis(values, np.minimum(steps, values.shape[1] - 1)[..., None], 1).astype(np.float32)
    moved[steps >= values.shape[1]] = 0
    return torch.from_numpy(moved)


def normalise(values: Tensor, lengths: Tensor) -> Tensor:
    """(x - mean) / deviation (unbiased) over each clip's own steps and for each feature; (N, T, d).

    NaN becomes 0 (constant features, clips of one step), an infinity the largest finite number.
    """
    result = torch.zeros_like(values)
    for length in lengths.unique().tolist():
        clips = lengths == length
        x = values[clips, :length]
        mean, deviation = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=min(1, length - 1)).sqrt()
        result[clips, :length] = torch.nan_to_num((x - mean) / deviation)
    return result


def z_norm(values: np.ndarray, steps: int = 50) -> np.ndarray:
    """The published function of this name: the first `steps` of (N, T, d), biased deviation, nothing cut or left out.

    None of the scripts uses it; it is kept for a golden case of the published file. NaN becomes 0, an infinity the
    largest finite number.
    """
    x = values[:, :steps]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num((x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True))


def targets(labels: np.ndarray, task: str | None, data: str) -> Tensor:
    """(N, 1) targets of labels (N, 1, 1): float32 as stored, or int64 0 and 1 for task "classification".

    For data "humor" and "sarcasm" a label below 1 becomes -1, any other 1. A class is 1 for a label above 0.
    """
    values = torch.from_numpy(labels.reshape(len(labels), -1)[:, :1].astype(np.float32))
    if data in TWO_SIDED and task in (None, "regression"):
        values = torch.where(values < 1, -1.0, 1.0)
    if task == "classification" and data in BINARY:
        return (values > 0).long()
    return values


def pad(values: Tensor, steps: int) -> Tensor:
    """The first `steps` of (N, T, d), with zeros after them where there are fewer: MultiBench's max_pad.

    None of the scripts asks for it; it is kept for a golden case of the published reader.
    """
    cut = values[:, :steps]
    return torch.nn.functional.pad(cut, (0, 0, 0, steps - cut.shape[1]))
