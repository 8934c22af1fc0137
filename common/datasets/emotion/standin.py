"""Spoken clips as token features of text and audio, with one of six emotions that the two tell between them.

    python -m common.standins emotion FOLDER --samples 480

writes train.npz, valid.npz, test.npz, names.json and standin.json. Of n clips: text (n, 12, 24) and audio (n, 30, 16)
float32, features of their steps; text_mask (n, 12) and audio_mask (n, 30) bool, True where a step is real (the others
are zero); label (n,) int64, an index into the names.

Planted truth. Text is filler words and, in a few places, cue words; audio is noise and, in one stretch, a cue tone.
Each modality has five cues:

| emotion    | text            | audio           | told by                 |
| ---------- | --------------- | --------------- | ----------------------- |
| angry      | angry           | loud            | text                    |
| happy      | happy           | loud            | text                    |
| sad        | calm            | sad             | audio                   |
| neutral    | calm            | neutral         | audio                   |
| excited    | a or b          | a or b, the same| both together           |
| frustrated | a or b          | b or a, another | both together           |

All six are equally frequent. Best accuracy (`oracle_accuracy`): majority 0.167; text alone, or audio alone, 0.667; the
sum of what each says alone 0.833; both together 1. 480 test clips settle a network's accuracy to about 0.02.

Clip number i is a function of (seed, i) alone. With N samples the first N clips are for training, the next N / 2 for
validation, the next N for testing.
"""

import json
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.standins.marker import prepare_folder, write_marker

EMOTIONS = ("angry", "happy", "sad", "neutral", "excited", "frustrated")
TEXT_CUES, AUDIO_CUES = ("angry", "happy", "calm", "a", "b"), ("loud", "sad", "neutral", "a", "b")
PLAIN = {"angry": ("angry", "loud"), "happy": ("happy", "loud"), "sad": ("calm", "sad"), "neutral": ("calm", "neutral")}
TEXT_STEPS, TEXT_WIDTH, AUDIO_STEPS, AUDIO_WIDTH = 12, 24, 30, 16
FILLERS, CUE_WORDS, STRETCH, NOISE, LOUDNESS = 40, 3, 8, 0.5, 1.5
SHORTEST = 0.6  # share of the steps that the shortest clip has


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--samples", type=int, default=480, help="training clips; 1.5 times as many are added")


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_emotion(args.folder, args.samples, args.seed)


def write_emotion(folder: str | Path, samples: int = 480, seed: int = 0) -> None:
    """Write the stand-in; samples: training clips.

    Raises UserError for fewer than 12 samples and for a folder that holds anything else.
    """
    if samples < 12:
        raise UserError(f"--samples {samples}: expected at least 12, two of each emotion")
    folder = prepare_folder(folder, "emotion")
    reach = {subset: round(oracle_accuracy(subset), 3) for subset in ("nothing", "text", "audio", "sum", "both")}
    write_marker(folder, "emotion", seed, samples, {"emotions": list(EMOTIONS), "best_accuracy": reach})
    (folder / "names.json").write_text(json.dumps(list(EMOTIONS)) + "\n", encoding="utf-8")
    first = 0
    for split, count in (("train", samples), ("valid", samples // 2), ("test", samples)):
        arrays: dict[str, Any] = {**render_clips(seed, range(first, first + count))}
        np.savez(folder / f"{split}.npz", **arrays)
        first += count


def render_clips(seed: int, numbers: range) -> dict[str, np.ndarray]:
    """The arrays of these clips, by their names in the file."""
    signs = _draw_signs(seed)
    clips = [_render_clip(signs, seed, number) for number in numbers]
    return {name: np.stack([clip[name] for clip in clips]) for name in clips[0]}


def cues(emotion: str, odd: int) -> tuple[str, str]:
    """Cue of the text and of the audio; odd (0 or 1) chooses between the two ways of excited and frustrated."""
    if emotion in PLAIN:
        return PLAIN[emotion]
    return "ab"[odd], "ab"[odd if emotion == "excited" else 1 - odd]


def oracle_accuracy(subset: str) -> float:
    """The best accuracy of who sees "nothing", "text", "audio", "both", or adds up what each says alone ("sum")."""
    plans = [(emotion, cues(emotion, odd)) for emotion in EMOTIONS for odd in (0, 1)]
    if subset == "sum":
        beliefs = [_belief(plans, 0), _belief(plans, 1)]
        hits = 0.0
        for emotion, (text, audio) in plans:
            total = {name: beliefs[0][text].get(name, 0) + beliefs[1][audio].get(name, 0) for name in EMOTIONS}
            best = [name for name, value in total.items() if value == max(total.values())]
            hits += (emotion in best) / len(best)
        return hits / len(plans)
    seen = {"nothing": lambda cue: None, "text": lambda cue: cue[0], "audio": lambda cue: cue[1], "both": tuple}[subset]
    groups: dict[object, Counter] = {}
    for emotion, cue in plans:
        groups.setdefault(seen(cue), Counter())[emotion] += 1
    return sum(max(group.values()) for group in groups.values()) / len(plans)


def _belief(plans: list[tuple[str, tuple[str, str]]], position: int) -> dict[str, dict[str, float]]:
    """For every cue of one modality, the share of each emotion among the clips with it."""
    counts: dict[str, Counter] = {}
    for emotion, cue in plans:
        counts.setdefault(cue[position], Counter())[emotion] += 1
    return {cue: {name: n / group.total() for name, n in group.items()} for cue, group in counts.items()}


def _draw_signs(seed: int) -> dict[str, np.ndarray]:
    """Vectors of filler words (40, 24), of cue words by cue (5, 24), and of cue tones by cue (5, 16)."""
    rng = np.random.default_rng([seed, 2])
    words = np.linalg.qr(rng.standard_normal((TEXT_WIDTH, TEXT_WIDTH)))[0][: len(TEXT_CUES)]
    tones = np.linalg.qr(rng.standard_normal((AUDIO_WIDTH, AUDIO_WIDTH)))[0][: len(AUDIO_CUES)]
    return {
        "fillers": 0.3 * rng.standard_normal((FILLERS, TEXT_WIDTH)),
        "words": 2.0 * words,
        "tones": LOUDNESS * tones,
    }


def _render_clip(signs: dict[str, np.ndarray], seed: int, number: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, 1, number])
    label, odd = number % len(EMOTIONS), int(rng.integers(2))
    text_cue, audio_cue = cues(EMOTIONS[label], odd)
    spoken = rng.uniform(SHORTEST, 1)
    words, frames = (max(1, round(spoken * steps)) for steps in (TEXT_STEPS, AUDIO_STEPS))
    text, audio = np.zeros((TEXT_STEPS, TEXT_WIDTH), np.float32), np.zeros((AUDIO_STEPS, AUDIO_WIDTH), np.float32)
    text[:words] = signs["fillers"][rng.integers(0, FILLERS, words)]
    text[rng.permutation(words)[:CUE_WORDS]] += signs["words"][TEXT_CUES.index(text_cue)]
    audio[:frames] = NOISE * rng.standard_normal((frames, AUDIO_WIDTH))
    start = rng.integers(0, frames - STRETCH + 1)
    audio[start : start + STRETCH] += signs["tones"][AUDIO_CUES.index(audio_cue)]
    masks = {"text_mask": np.arange(TEXT_STEPS) < words, "audio_mask": np.arange(AUDIO_STEPS) < frames}
    return {"text": text, "audio": audio, **masks, "label": np.array(label, np.int64)}
