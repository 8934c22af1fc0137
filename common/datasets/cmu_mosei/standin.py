"""Spoken clips in the format of CMU-MOSEI and CMU-MOSI, with a sentiment that is split over three modalities.

    python -m common.standins cmu_mosei FOLDER --samples 400
    python -m common.standins cmu_mosei FOLDER --layout multibench

writes pickles {"train" | "valid" | "test": {"text", "audio", "vision", "labels", "id", "raw_text", "needs"}} of numpy
arrays, and standin.json. Text (n, L, 300), audio (n, L, 74), vision (n, L, 35), labels (n, 1, 1), float32; id (n, 3):
video, start, end, as text, for MOSI in the layout mult as bytes; raw_text (n,): a sentence with the text's part, for
BERT. Zeros pad aligned clips in front, others behind.

| layout     | MOSEI                        | MOSI                  | steps of text, audio, vision | decisive text |
| ---------- | ---------------------------- | --------------------- | ---------------------------- | ------------- |
| mult       | mosei_senti_data.pkl         | mosi_data.pkl         | 20, 20, 20: aligned          | 0             |
| mult       | mosei_senti_data_noalign.pkl | mosi_data_noalign.pkl | 20, 50, 40                   | 0             |
| multibench | mosei_senti_data.pkl         | mosi_raw.pkl          | 20, 20, 20: aligned          | 0.5           |

MOSI in the layout mult has 5 audio and 20 vision features. Two clips in a hundred have some -inf in the audio; in the
layout multibench four in a hundred have no text at all (all zero), which readers of that layout drop.

Planted truth (sentences.plan): score = text part + audio part + vision part, cut to [-3, 3]. In a share of clips, the
"decisive text", the text holds the whole score and a marker that says so, and the others hold noise; in the rest the
three hold parts of the same size. The further key "needs" (n,) int8, which official files lack, says which is which:
0 = text decides, 1 = needs all. Both files of one call hold the same clips.

Best mean absolute error, and best accuracy of the sign with zero as positive (`oracle_scores`):

| sees                    | MOSEI mult  | MOSEI multibench | MOSI mult   | MOSI multibench |
| ----------------------- | ----------- | ---------------- | ----------- | --------------- |
| nothing                 | 1.062 0.546 | 1.062 0.546      | 1.325 0.536 | 1.325 0.536     |
| text                    | 0.856 0.722 | 0.428 0.861      | 1.069 0.718 | 0.534 0.859     |
| audio, or vision        | 0.856 0.722 | 0.959 0.634      | 1.069 0.718 | 1.197 0.627     |
| text, and one of them   | 0.667 0.787 | 0.333 0.894      | 0.815 0.788 | 0.408 0.894     |
| audio and vision        | 0.667 0.787 | 0.864 0.667      | 0.815 0.788 | 1.070 0.662     |
| all three               | 0.000 1.000 | 0.000 1.000      | 0.000 1.000 | 0.000 1.000     |

Clip number i is a function of (seed, i) alone. With N samples the first N clips are for training, the next N / 2 for
validation, the next N for testing: 400 test clips settle a network's error to about 0.03 and its accuracy to 0.02.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.datasets.sentences.clips import draw_signs, render_clip, sentence
from common.datasets.sentences.plan import oracle_scores, plan_clip
from common.errors import UserError
from common.pickles import save_arrays_pickle
from common.standins.marker import prepare_folder, write_marker

REACH = {"cmu_mosei": 3, "cmu_mosi": 4}
FILES = {
    ("cmu_mosei", "mult"): {"aligned": "mosei_senti_data.pkl", "unaligned": "mosei_senti_data_noalign.pkl"},
    ("cmu_mosi", "mult"): {"aligned": "mosi_data.pkl", "unaligned": "mosi_data_noalign.pkl"},
    ("cmu_mosei", "multibench"): {"aligned": "mosei_senti_data.pkl"},
    ("cmu_mosi", "multibench"): {"aligned": "mosi_raw.pkl"},
}
WIDTHS = {  # of audio and vision
    ("cmu_mosei", "mult"): (74, 35),
    ("cmu_mosi", "mult"): (5, 20),
    ("cmu_mosei", "multibench"): (74, 35),
    ("cmu_mosi", "multibench"): (74, 35),
}
LAYOUTS = ("mult", "multibench")
DECISIVE_TEXT = {"mult": 0.0, "multibench": 0.5}
LENGTHS = (20, 50, 40)
SHORTEST = 5
DAMAGED_EVERY, BLANK_EVERY = 50, 25


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--samples", type=int, default=400, help="training clips; 1.5 times as many are added")
    parser.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="whose release the files are like")
    parser.add_argument(
        "--lengths",
        type=int,
        nargs=3,
        default=LENGTHS,
        metavar=("L", "A", "V"),
        help="steps of text, audio and vision; aligned files have L of each",
    )


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_cmu_mosei(args.folder, args.samples, args.seed, args.layout, tuple(args.lengths))


def write_cmu_mosei(
    folder: str | Path,
    samples: int = 400,
    seed: int = 0,
    layout: str = "mult",
    lengths: tuple[int, int, int] = LENGTHS,
    dataset: str = "cmu_mosei",
) -> None:
    """Write a stand-in of `dataset` ("cmu_mosei" or "cmu_mosi"): `samples` clips each for training and test, half as
    many (at least one) for validation.

    layout: "mult" or "multibench", see above; lengths: steps of text, audio and vision where they are not aligned,
    the first of them where they are. An older stand-in in the folder is replaced.
    Raises UserError for samples below 1, lengths below 5, an unknown name, and a folder that holds anything else.
    """
    _check(samples, layout, lengths, dataset)
    folder = prepare_folder(folder, dataset)
    decisive = DECISIVE_TEXT[layout]
    truth = {"layout": layout, "decisive_text": decisive, "best_scores": oracle_scores(REACH[dataset], decisive)}
    write_marker(folder, dataset, seed, samples, truth)
    for name in {name for key, names in FILES.items() if key[0] == dataset for name in names.values()}:
        (folder / name).unlink(missing_ok=True)
    half = max(1, samples // 2)
    numbers = {
        "train": range(samples),
        "valid": range(samples, samples + half),
        "test": range(samples + half, 2 * samples + half),
    }
    for kind, name in FILES[dataset, layout].items():
        steps = lengths if kind == "unaligned" else (lengths[0],) * 3
        splits = {split: clip_arrays(dataset, layout, seed, clips, steps, kind) for split, clips in numbers.items()}
        save_arrays_pickle(splits, folder / name)


def clip_arrays(
    dataset: str, layout: str, seed: int, numbers: Sequence[int], lengths: tuple[int, int, int], kind: str
) -> dict[str, np.ndarray]:
    """The arrays of one split, keyed as in the file, that hold the clips of these numbers.

    kind: "aligned" or "unaligned", which says where zeros stand; the rest as for `write_cmu_mosei`.
    """
    reach, decisive = REACH[dataset], DECISIVE_TEXT[layout]
    signs = draw_signs(seed, 3 * reach, WIDTHS[dataset, layout])
    plans = [plan_clip(seed, number, reach, decisive) for number in numbers]
    clips = [
        render_clip(signs, plan, np.random.default_rng([seed, number, *lengths]), lengths, kind == "aligned")
        for number, plan in zip(numbers, plans, strict=True)
    ]
    text, audio, vision = (np.stack(sequences) for sequences in zip(*clips, strict=True))
    _damage(text, audio, numbers, layout)
    ids = np.array([_identity(number) for number in numbers])
    said = [
        sentence(plan, np.random.default_rng([seed, number, 1])) for number, plan in zip(numbers, plans, strict=True)
    ]
    return {
        "text": text,
        "audio": audio,
        "vision": vision,
        "labels": np.array([plan.score for plan in plans], np.float32)[:, None, None],
        "id": ids.astype("S") if (dataset, layout) == ("cmu_mosi", "mult") else ids,
        "raw_text": np.array(said),
        "needs": np.array([plan.needs for plan in plans], np.int8),
    }


def _damage(text: np.ndarray, audio: np.ndarray, numbers: Sequence[int], layout: str) -> None:
    """What official files have, in place: some -inf in audio; clips without text, in the layout multibench."""
    clips = np.asarray(numbers)
    damaged, blank = clips % DAMAGED_EVERY == DAMAGED_EVERY // 2, clips % BLANK_EVERY == BLANK_EVERY // 2
    steps = audio.shape[1]
    audio[damaged, 2 * steps // 5 : 3 * steps // 5, 0] = -np.inf
    if layout == "multibench":
        text[blank] = 0


def _identity(number: int) -> tuple[str, str, str]:
    """Video, start and end in seconds of a clip; eight clips come from one video."""
    start = 7 * (number % 8)
    return f"video{number // 8:06d}", f"{start:.3f}", f"{start + 6:.3f}"


def _check(samples: int, layout: str, lengths: tuple[int, int, int], dataset: str) -> None:
    if samples < 1:
        raise UserError(f"--samples {samples}: expected at least 1")
    if min(lengths) < SHORTEST:
        raise UserError(f"--lengths {' '.join(map(str, lengths))}: expected at least {SHORTEST} steps each")
    if layout not in LAYOUTS:
        raise UserError(f"--layout {layout}: expected one of {', '.join(LAYOUTS)}")
    if dataset not in REACH:
        raise UserError(f"stand-in {dataset}: expected one of {', '.join(REACH)}")
