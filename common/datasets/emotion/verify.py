"""What a folder of spoken clips with emotions holds: for each split the clips, shapes, lengths and ranges, the share of
each emotion, and what is wrong.
"""

from argparse import ArgumentParser, Namespace
from itertools import combinations
from pathlib import Path

import numpy as np

from common.datasets.emotion.reader import (
    SPLITS,
    SpokenClips,
    check_folder,
    differing_widths,
    read_names,
    read_split,
)
from common.errors import UserError
from common.standins.marker import is_standin


def add_flags(parser: ArgumentParser) -> None:
    """The check has no flags of its own."""


def run(args: Namespace) -> int:
    """Check what the flags name; returns the number of problems."""
    return verify_emotion(args.folder)


def verify_emotion(folder: Path) -> int:
    """Print what train.npz, valid.npz and test.npz hold; returns the number of problems.

    Files that the reader refuses, widths that differ between the splits and negative word pieces are problems. Emotions
    that a split never has, and audio that stands twice, are notes.
    Raises UserError for a missing folder, and for a missing or damaged names.json: without it no label means anything.
    """
    check_folder(folder)
    names = read_names(folder)
    print(f"{folder}: {len(names)} emotions{' (stand-in)' * is_standin(folder)}")
    splits: dict[str, SpokenClips] = {}
    problems = []
    for split in SPLITS:
        try:
            splits[split] = read_split(folder, split, len(names))
        except UserError as error:
            problems.append(str(error))
            print(f"{split}: unusable\n  {error}")
            continue
        found = _piece_problems(splits[split])
        print("\n".join([f"{split}: {len(splits[split])} clips", *describe_split(splits[split], names), *found]))
        problems += found
    if len(splits) == len(SPLITS):
        odd = differing_widths(folder, splits)
        print("".join(f"{problem}\n" for problem in odd), end="")
        problems += odd
    print("".join(f"note: {note}\n" for note in _notes(splits, names)), end="")
    return len(problems)


def describe_split(clips: SpokenClips, names: list[str]) -> list[str]:
    """What a split holds, as lines of text."""
    lines = []
    for what, mask in (("text", clips.text_mask), ("audio", clips.audio_mask)):
        values, steps = getattr(clips, what), mask.sum(axis=1)
        form = f"{values.dtype} {'x'.join(map(str, values.shape))}"
        if what == "text" and clips.tokens is not None:
            form, content = f"tokens {'x'.join(map(str, clips.tokens.shape))}", _piece_range(clips.tokens)
        else:
            content = _value_range(values[mask])
        lines.append(f"  {what:5}  {form}, {steps.min()} to {steps.max()} real steps, {content}")
    counts = np.bincount(clips.labels, minlength=len(names))
    width = max(map(len, names))
    return [
        *lines,
        *(f"  {label:3}  {name:{width}} {counts[label] / len(clips):7.2%}" for label, name in enumerate(names)),
    ]


def _value_range(values: np.ndarray) -> str:
    """Of all real steps' features (steps, d)."""
    if not values.size:
        return "no features"
    return f"from {values.min():.3f} to {values.max():.3f}, mean size {np.abs(values).mean(dtype=np.float64):.3f}"


def _piece_range(tokens: np.ndarray) -> str:
    return f"word pieces {tokens[:, 0].min()} to {tokens[:, 0].max()}"


def _piece_problems(clips: SpokenClips) -> list[str]:
    if clips.tokens is None or clips.tokens[:, 0].min() >= 0:
        return []
    row = int((clips.tokens[:, 0] < 0).any(axis=1).argmax())
    return [f"{clips.file}: 'text_tokens' has a negative word piece in row {row}; expected numbers from 0"]


def _notes(splits: dict[str, SpokenClips], names: list[str]) -> list[str]:
    """What someone should know and is no problem of the files."""
    notes = []
    for split, clips in splits.items():
        missing = [name for label, name in enumerate(names) if label not in clips.labels]
        notes += [f"{split} has no clip of {', '.join(missing)}"] if missing else []
    found = {split: {row.tobytes() for row in clips.audio} for split, clips in splits.items()}
    notes += [
        f"{len(clips) - len(found[split])} clips of {split} have the audio of another one"
        for split, clips in splits.items()
        if len(found[split]) < len(clips)
    ]
    for one, other in combinations(found, 2):
        shared = len(found[one] & found[other])
        notes += [f"the audio of {shared} clips stands in {one} and in {other}"] if shared else []
    return notes
