"""CMU-MOSEI and CMU-MOSI as DynMM reads them: MultiBench's rules, over whole splits at once.

In order: clips whose text sums to exactly 0 are left out; -inf in the audio becomes 0; each clip begins at the first
step whose text is not all zero (the files put zeros in front), the same step for all three modalities; optionally
each clip is normalised over its steps. A batch is padded with zeros at the END, to the longest of its clips.
"""

from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.datasets.cmu_mosei.reader import SentimentSplit, clean_audio, read_sentiment_file
from common.errors import UserError
from common.provenance import describe_dataset
from common.training.batches import fitting_device
from dynmm.modality.batches import Batch

FILES = {"mosei": "mosei_senti_data.pkl", "mosi": "mosi_raw.pkl"}
FOLDERS = (Path("data/multibench"), Path("data"))  # the published scripts do not agree; each has its own first
MODALITIES = ("vision", "audio", "text")
BINARY = ("mosi", "mosei", "sarcasm")  # data whose classification target is 1 for a label above 0
TWO_SIDED = ("humor", "sarcasm")  # data whose labels become -1 and 1 first


@dataclass(frozen=True)
class Clips:
    """One split. vision, audio, text: float32 (N, T, d), a clip's steps in front, zeros behind.

    lengths: int64 (N,), steps of each clip, on the CPU, so that a batch's longest is known without waiting for the
    device. labels: float32 (N, 1), or int64 for classification. needs: int8 (N,), what a stand-in planted (0 the
    text decides, 1 all modalities are needed), or None. dropped: clips left out. only: the place of the one modality
    that batches give, in the order of the fields, None for all three.
    """

    vision: Tensor
    audio: Tensor
    text: Tensor
    lengths: Tensor
    labels: Tensor
    needs: np.ndarray | None = None
    dropped: int = 0
    only: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def widths(self) -> tuple[int, int, int]:
        """Features of vision, audio, text."""
        return tuple(getattr(self, name).shape[2] for name in MODALITIES)

    @property
    def steps(self) -> int:
        """Steps of the longest clip."""
        return int(self.lengths.max())

    def on(self, device: torch.device) -> "Clips":
        """The same with what batches give on the device, if it fits there; lengths stay."""
        place = fitting_device(sum(x.numel() * x.element_size() for x in self._given()), device)
        moved = {name: getattr(self, name).to(place) for name in self._names()}
        return replace(self, **moved, labels=self.labels.to(place))

    def batch(self, indices: Tensor, device: torch.device, share: slice = slice(None)) -> Batch:
        """inputs: [vision, audio, text] float32 (B, L, d), or one of them; L: the longest of all `indices`."""
        longest = int(self.lengths[indices].max())
        own = indices[share]
        rows = own.to(self.labels.device, non_blocking=True)
        inputs = [x[:, :longest].index_select(0, rows).to(device, non_blocking=True) for x in self._given()]
        lengths = self.lengths[own].to(device, non_blocking=True)
        labels = self.labels[rows].to(device, non_blocking=True)
        return Batch(inputs if self.only is None else inputs[0], lengths, labels, len(indices))

    def _names(self) -> tuple[str, ...]:
        return MODALITIES if self.only is None else (MODALITIES[self.only],)

    def _given(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._names()]


def read_clips(split: SentimentSplit, task: str | None = None, data: str = "mosei", z_norm: bool = False) -> Clips:
    """All of a split by the rules above.

    task, data: see `targets`; z_norm: see `normalised`.
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
        modalities = [normalised(x, lengths) for x in modalities]
    needs = split.extra.get("needs")
    labels = targets(split.labels[keep], task, data)
    return Clips(*modalities, lengths, labels, None if needs is None else needs[keep], int((~keep).sum()))


def has_text(text: np.ndarray) -> np.ndarray:
    """bool (N,): the text's values (N, T, d) do not sum to exactly 0, in the array's own type."""
    return text.reshape(len(text), -1).sum(axis=1) != 0


def first_steps(text: np.ndarray) -> np.ndarray:
    """int64 (N,): the first step with any value other than 0."""
    return (text != 0).any(axis=2).argmax(axis=1)


def to_front(values: np.ndarray, start: np.ndarray) -> Tensor:
    """float32 (N, T, d): each clip's steps from `start` (N,) on moved to the front, zeros behind."""
    steps = np.arange(values.shape[1])[None] + start[:, None]
    with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite, as published
        moved = np.take_along_axis(values, np.minimum(steps, values.shape[1] - 1)[..., None], 1).astype(np.float32)
    moved[steps >= values.shape[1]] = 0
    return torch.from_numpy(moved)


def normalised(values: Tensor, lengths: Tensor) -> Tensor:
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

    None of the scripts uses it. Raises nothing: NaN becomes 0, an infinity the largest finite number.
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


def padded(values: Tensor, steps: int) -> Tensor:
    """The first `steps` of (N, T, d), with zeros behind where there are fewer (MultiBench's max_pad)."""
    cut = values[:, :steps]
    return torch.nn.functional.pad(cut, (0, 0, 0, steps - cut.shape[1]))


def open_clips(
    args: Namespace, folder: Path, only: int | None = None
) -> tuple[dict[str, Clips], dict[str, object], list[str]]:
    """The splits of --data and --data-path, what run.json says of them, and lines for the log.

    folder: the script's published one, of FOLDERS. only: 0 vision, 1 audio, 2 text alone.
    Raises UserError for other data, and as the reader does.
    """
    path = data_file(args, folder)
    raw = read_sentiment_file(path, hint(args.data, path))
    facts = describe_dataset(f"cmu_{args.data}", list(raw.values()))
    splits = {name: replace(read_clips(split, data=args.data), only=only) for name, split in raw.items()}
    counts = ", ".join(f"{name} {len(clips)} ({clips.dropped} without text)" for name, clips in splits.items())
    return splits, facts, [f"CMU-{args.data.upper()} {path}: {counts} clips", *_odd_values(splits)]


def hint(data: str, path: Path) -> str:
    """What makes a stand-in of this file."""
    return f"--layout multibench (expected: {FILES[data]} in {path.parent}, aligned, words at the end)"


def data_file(args: Namespace, folder: Path) -> Path:
    """The file that --data and --data-path name; without the latter the published place, or else the other one."""
    if args.data not in FILES:
        raise UserError(f"--data {args.data}: expected {' or '.join(FILES)}")
    if args.data_path is not None:
        return args.data_path / FILES[args.data] if args.data_path.is_dir() else args.data_path
    places = [folder / FILES[args.data], *(other / FILES[args.data] for other in FOLDERS if other != folder)]
    return next((place for place in places if place.is_file()), places[0])


def _odd_values(splits: dict[str, Clips]) -> list[str]:
    """A warning for values that no rule cleans and that spoil a training."""
    counts = {
        name: sum(int((~getattr(clips, modality).isfinite()).sum()) for modality in clips._names())
        for name, clips in splits.items()
    }
    found = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return [f"warning: NaN or infinite values, which are kept as published: {found}"] if found else []
