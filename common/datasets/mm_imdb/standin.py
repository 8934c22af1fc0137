"""Films as features in the file of MM-IMDB, with a planted truth.

    python -m common.standins mm_imdb FOLDER --samples 1600

writes FOLDER/multimodal_imdb.hdf5 (1600 training films, a quarter as many for validation, half as many for the test;
sizes and types of common.datasets.mm_imdb.reader) and standin.json. The 23 genres are of three sorts:

| genres             | occur in              | text                           | picture                            |
| ------------------ | --------------------- | ------------------------------ | ---------------------------------- |
| 8 text_1 ...       | all films             | yes                            | no trace but `needs`               |
| 7 picture_1 ...    | films that need it    | no trace but `needs`           | yes                                |
| 4 pairs both_1_a,  | one in each film that | which pair                     | a or b (a in 65 %), not which pair |
| both_1_b ...       | needs it              |                                |                                    |

In 55 % of the films only text genres occur: the text decides them all, a gate should take the cheap text expert. The
other 45 % need the picture: the text cannot see their picture genres and not which of a pair it is. Which film is which
stands in the dataset `needs` (0 = text decides, 1 = needs the picture); both modalities show it, the text along one
direction of its own. The columns stand in the order of falling frequency, as in the real file.

Best F1 (`oracle`), where a genre is said if its probability is above one half, as the metric rounds, and the highest
macro F1 of a predictor that guesses wherever that raises it:

|               | micro | macro | macro, guessing |
| ------------- | ----- | ----- | --------------- |
| text alone    | 0.77  | 0.49  | 0.75            |
| picture alone | 0.61  | 0.34  | 0.60            |
| both          | 1     | 1     | 1               |

Trained networks fall between the two columns of macro F1, because they are not sure of odds near one half. On the test
films a text MLP reached micro 0.76 and macro 0.64 (20 epochs at 1e-3; 0.76 and 0.57 after 40 at 1e-4), an image MLP
0.61 and 0.35 (12 at 1e-4), late fusion of two Maxout networks 1.00 and 1.00 (8 at 8e-3).
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from common.datasets.mm_imdb.reader import FILE, WIDTHS
from common.errors import UserError
from common.standins.marker import prepare_folder, write_marker

TEXT_ODDS = (0.65, 0.48, 0.42, 0.34, 0.28, 0.22, 0.18, 0.15)
PICTURE_ODDS = (0.47, 0.45, 0.43, 0.40, 0.37, 0.34, 0.30)
PAIR_SHARES = (0.34, 0.28, 0.21, 0.17)
FIRST_OF_PAIR = 0.65
NEEDS_PICTURE = 0.45
GENRES = (
    *(f"text_{number + 1}" for number in range(len(TEXT_ODDS))),
    *(f"picture_{number + 1}" for number in range(len(PICTURE_ODDS))),
    *(f"both_{number + 1}_{member}" for number in range(len(PAIR_SHARES)) for member in "ab"),
)
# The steps are far above the noise: reading one of them wrongly, halfway between, is as good as impossible. They are
# so large because the published text expert has to get going at a learning rate of 1e-4 in 13 steps an epoch.
TEXT_NOISE, TEXT_STEP = 0.06, 1.8
UNITS, NEEDS_UNITS = 128, 400  # picture units that show one sign, and that show that the film needs the picture
LIFT, REST = 1.5, -0.9  # of a unit's mean before its ReLU; the noise is 1


class Films(NamedTuple):
    """Truth of n films. genres: bool (n, 23) in the order of GENRES; needs: int8 (n,); second: bool (n,), "b" shows."""

    genres: np.ndarray
    needs: np.ndarray
    second: np.ndarray


def add_flags(parser: ArgumentParser) -> None:
    """Flags of the stand-in."""
    parser.add_argument("--samples", type=int, default=1600, help="training films; 3/4 as many are added for the rest")


def run(args: Namespace) -> None:
    """Write what the flags ask for."""
    write_mm_imdb(args.folder, args.samples, args.seed)


def write_mm_imdb(folder: str | Path, samples: int = 1600, seed: int = 0) -> None:
    """Write a stand-in with `samples` training films. An older stand-in in the folder is replaced.

    Raises UserError for samples below 40 (fewer leave genres without a film) and a folder that holds anything else.
    """
    if samples < 40:
        raise UserError(f"--samples {samples}: expected at least 40, so that every genre can occur")
    folder = prepare_folder(folder, "mm_imdb")
    sizes = (samples, samples // 4, samples // 2)
    films = draw_films(np.random.default_rng([seed, 0]), sum(sizes))
    text, image = draw_features(films, seed)
    order = np.argsort(-films.genres.sum(axis=0), kind="stable")
    truth = {"text_alone": 8, "picture_alone": 7, "both_only": 8, "needs_picture": round(float(films.needs.mean()), 3)}
    write_marker(folder, "mm_imdb", seed, samples, truth)
    with h5py.File(folder / FILE, "w") as file:
        file.attrs["sizes"] = sizes
        file["features"], file["vgg_features"] = text, image
        file["genres"] = films.genres[:, order].astype(np.int32)
        file["genres"].attrs["target_names"] = json.dumps([GENRES[column] for column in order])
        file["imdb_ids"] = np.array([f"{row:07d}" for row in range(sum(sizes))], "S7")
        file["needs"] = films.needs


def draw_films(rng: np.random.Generator, count: int) -> Films:
    """Genres of `count` films, none of them without a genre."""
    needs = rng.random(count) < NEEDS_PICTURE
    second = rng.random(count) >= FIRST_OF_PAIR
    odds = np.tile(TEXT_ODDS, (count, 1))
    odds[needs, 1:] *= 0.5
    text = rng.random((count, len(TEXT_ODDS))) < odds
    alone = np.flatnonzero(~text.any(axis=1) & ~needs)
    weights = np.array(TEXT_ODDS) / sum(TEXT_ODDS)
    text[alone, rng.choice(len(weights), len(alone), p=weights)] = True
    picture = (rng.random((count, len(PICTURE_ODDS))) < PICTURE_ODDS) & needs[:, None]
    pair = rng.choice(len(PAIR_SHARES), count, p=PAIR_SHARES)
    both = np.zeros((count, 2 * len(PAIR_SHARES)), bool)
    both[np.arange(count), 2 * pair + second] = True
    return Films(np.hstack([text, picture, both & needs[:, None]]), needs.astype(np.int8), second)


def draw_features(films: Films, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """text float32 (n, 300), |x| about 0.1; image float32 (n, 4096), at least 0 and sparse."""
    signs, rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    texts, pictures = len(TEXT_ODDS), len(PICTURE_ODDS)
    needs = films.needs.astype(bool)[:, None]
    pairs = films.genres[:, texts + pictures :].reshape(len(needs), -1, 2).any(axis=2)

    said = np.hstack([films.genres[:, :texts], pairs, needs]).astype(np.float32)
    directions = np.linalg.qr(signs.standard_normal((WIDTHS[0], said.shape[1])))[0].T.astype(np.float32)
    text = signs.normal(0, TEXT_NOISE, WIDTHS[0]) + TEXT_STEP * said @ directions
    text += rng.normal(0, TEXT_NOISE, text.shape)

    second = films.second[:, None]
    shown = np.hstack([films.genres[:, texts : texts + pictures], second, ~second])
    ends = np.cumsum([UNITS] * shown.shape[1] + [NEEDS_UNITS])
    image = rng.standard_normal((len(needs), WIDTHS[1]), np.float32) + np.float32(REST)
    places = np.split(signs.permutation(WIDTHS[1])[: ends[-1]], ends[:-1])
    for units, there in zip(places, [*shown.T, needs[:, 0]], strict=True):
        image[:, units] += np.float32(LIFT) * there[:, None]
    return text.astype(np.float32), np.maximum(image, 0)


def oracle(genres: np.ndarray, names: Sequence[str], guessing: bool = False) -> dict[str, np.ndarray]:
    """What ideal predictors say that see the "text" alone, the "picture" alone, and "both"; each bool (n, 23).

    genres: (n, 23), 0 or 1; names: those of the columns, GENRES in any order.
    A genre is said where its probability is above one half. Text alone: the text genres and always the first of a
    pair. Picture alone: the picture genres and always text_1. With `guessing` it is said wherever that raises its own
    F1. Text alone: also the second of a pair, and all picture genres in films that need the picture. Picture alone:
    also what fits the shown member in films that need the picture, all text genres in the others.
    """
    truth = np.asarray(genres).astype(bool)
    columns = {kind: [place for place, name in enumerate(names) if name.startswith(kind)] for kind in ("text", "pict")}
    firsts, seconds = ([names.index(f"both_{k + 1}_{member}") for k in range(len(PAIR_SHARES))] for member in "ab")
    pairs = truth[:, firsts] | truth[:, seconds]
    needs = pairs.any(axis=1, keepdims=True)
    text, picture = np.zeros_like(truth), np.zeros_like(truth)
    text[:, columns["text"]], picture[:, columns["pict"]] = truth[:, columns["text"]], truth[:, columns["pict"]]
    text[:, firsts] = pairs
    if guessing:
        text[:, seconds], text[:, columns["pict"]] = pairs, needs
        for members in (firsts, seconds):
            picture[:, members] = truth[:, members].any(axis=1, keepdims=True)
        picture[:, columns["text"]] = ~needs
    picture[:, names.index("text_1")] = True
    return {"text": text, "picture": picture, "both": truth.copy()}
