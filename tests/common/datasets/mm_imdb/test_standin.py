import json

import h5py
import numpy as np
import pytest
from sklearn.metrics import f1_score

from common.datasets.mm_imdb.reader import MMIMDB
from common.datasets.mm_imdb.standin import GENRES, draw_features, draw_films, oracle, write_mm_imdb
from common.errors import UserError
from common.standins.__main__ import main
from common.standins.marker import is_standin


def films(count=30000):
    return draw_films(np.random.default_rng(1), count)


def scores(truth, said):
    return [f1_score(truth, said, average=average, zero_division=0) for average in ("micro", "macro")]


def columns(*kinds):
    return [place for place, name in enumerate(GENRES) if name.startswith(kinds)]


def train_and_test(data, kinds):
    """Ridge regression (in its dual form) of genres and `needs` from the named features: what it says on the test."""
    inputs = [np.hstack([split[kind] / split[kind].std() for kind in kinds]) for split in data]
    mean = inputs[0].mean(axis=0)
    train, test = (part - mean for part in inputs)
    targets = np.hstack([data[0]["genres"], data[0]["needs"][:, None]]).astype(np.float32)
    kernel = train @ train.T
    weights = np.linalg.solve(kernel + 0.05 * np.trace(kernel) / len(kernel) * np.eye(len(kernel)), targets - 0.5)
    return (test @ (train.T @ weights)) > 0


@pytest.fixture(scope="module")
def data():
    """Features and truth of 1600 films to learn from and 800 to test."""
    drawn = draw_films(np.random.default_rng(0), 2400)
    text, image = draw_features(drawn, 0)
    whole = {"text": text, "image": image, "genres": drawn.genres, "needs": drawn.needs}
    return [{name: array[rows] for name, array in whole.items()} for rows in (slice(1600), slice(1600, None))]


def test_file_is_read_by_the_reader_of_the_real_data(tmp_path):
    main(["mm_imdb", str(tmp_path / "d"), "--samples", "60", "--seed", "3"])
    splits = [MMIMDB(tmp_path / "d", split) for split in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [60, 15, 30]
    text, image, genres = splits[0].arrays()
    assert (text.shape, image.shape, genres.shape) == ((60, 300), (60, 4096), (60, 23))
    assert set(splits[0].target_names) == set(GENRES)
    assert set(splits[0].needs.tolist()) == {0, 1}
    with h5py.File(tmp_path / "d/multimodal_imdb.hdf5") as file:
        types = {name: file[name].dtype.str for name in file}
        assert len(set(file["imdb_ids"][:])) == 105
    expected = {"features": "<f4", "vgg_features": "<f4", "genres": "<i4", "imdb_ids": "|S7", "needs": "|i1"}
    assert types == expected


def test_columns_stand_in_the_order_of_falling_frequency(tmp_path):
    write_mm_imdb(tmp_path, 200)
    splits = [MMIMDB(tmp_path, split) for split in ("train", "valid", "test")]
    counts = np.sum([split.arrays()[2].sum(axis=0) for split in splits], axis=0)
    assert (np.diff(counts) <= 0).all()
    names = splits[0].target_names
    truth = draw_films(np.random.default_rng([0, 0]), 350).genres[:200]
    stored = splits[0].arrays()[2]
    assert all(np.array_equal(stored[:, names.index(name)], truth[:, place]) for place, name in enumerate(GENRES))


def test_marker_tells_generator_seed_and_truth(tmp_path):
    write_mm_imdb(tmp_path, 40, seed=7)
    record = json.loads((tmp_path / "standin.json").read_text())
    assert is_standin(tmp_path)
    assert record["generator"] == "python -m common.standins mm_imdb"
    assert (record["seed"], record["samples"]) == (7, 40)
    assert record["truth"]["both_only"] == len(columns("both"))


def test_same_seed_gives_the_same_values_and_another_seed_others(tmp_path):
    prints = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_mm_imdb(tmp_path / name, 40, seed)
        prints.append(MMIMDB(tmp_path / name, "train").fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_older_stand_in_is_replaced_and_other_files_are_left_alone(tmp_path):
    write_mm_imdb(tmp_path / "a", 60)
    write_mm_imdb(tmp_path / "a", 40)
    assert len(MMIMDB(tmp_path / "a", "train")) == 40
    (tmp_path / "b").mkdir()
    (tmp_path / "b/multimodal_imdb.hdf5").write_text("the real one")
    with pytest.raises(UserError, match="holds other files"):
        write_mm_imdb(tmp_path / "b", 40)
    assert (tmp_path / "b/multimodal_imdb.hdf5").read_text() == "the real one"


def test_too_few_samples_are_refused(tmp_path):
    with pytest.raises(UserError, match="--samples 39: expected at least 40"):
        write_mm_imdb(tmp_path / "d", 39)


def test_text_decides_exactly_the_films_that_are_said_not_to_need_the_picture():
    drawn = films()
    others = drawn.genres[:, columns("picture", "both")].any(axis=1)
    assert np.array_equal(others, drawn.needs == 1)
    assert drawn.genres.any(axis=1).all()
    assert abs(drawn.needs.mean() - 0.45) < 0.01
    assert set(drawn.genres[drawn.needs == 1][:, columns("both")].sum(axis=1)) == {1}


def test_no_genre_that_a_modality_cannot_see_has_odds_above_one_half():
    drawn = films()
    for needs in (0, 1):
        shares = drawn.genres[drawn.needs == needs].mean(axis=0)
        assert shares[GENRES.index("text_1")] > 0.6
        assert np.delete(shares, GENRES.index("text_1")).max() < 0.495
    assert films().genres.mean(axis=0).min() > 0.02


@pytest.mark.parametrize(
    ("guessing", "kind", "micro", "macro"),
    [
        (False, "text", 0.77, 0.49),
        (False, "picture", 0.61, 0.34),
        (False, "both", 1, 1),
        (True, "text", None, 0.75),
        (True, "picture", None, 0.60),
        (True, "both", 1, 1),
    ],
)
def test_best_scores_of_each_modality_are_those_stated(guessing, kind, micro, macro):
    truth = films().genres
    order = np.random.default_rng(0).permutation(len(GENRES))
    said = oracle(truth[:, order], [GENRES[place] for place in order], guessing)[kind]
    found = scores(truth[:, order], said)
    assert micro is None or abs(found[0] - micro) < 0.01
    assert abs(found[1] - macro) < 0.01


def test_features_have_the_scale_of_the_official_ones(data):
    text, image = data[0]["text"], data[0]["image"]
    assert text.dtype == image.dtype == np.float32
    assert 0.05 < np.abs(text).mean() < 0.2
    assert image.min() == 0
    assert 0.6 < (image == 0).mean() < 0.9
    assert 0.3 < image[image > 0].mean() < 3


def test_linear_predictors_learn_what_the_text_the_picture_and_both_tell(data):
    truth, learnt = data[1]["genres"], {}
    for name, kinds in {"text": ["text"], "image": ["image"], "both": ["text", "image"]}.items():
        said = train_and_test(data, kinds)
        learnt[name] = scores(truth, said[:, :-1])
        right = (said[:, :-1] == truth).mean(axis=0)
        if name != "image":
            assert right[columns("text")].min() > 0.97
        if name != "text":
            assert right[columns("picture")].min() > 0.97
        assert (said[:, -1] == data[1]["needs"]).mean() > 0.99
    assert learnt["both"][0] > learnt["text"][0] + 0.1 > learnt["image"][0] + 0.2
    assert learnt["both"][1] > learnt["text"][1] + 0.1 > learnt["image"][1] + 0.1


def test_text_and_picture_leave_no_trace_where_none_is_stated(data):
    by_text, by_image = (train_and_test(data, [kind])[:, :-1] for kind in ("text", "image"))
    need = data[1]["needs"] == 1
    truth = data[1]["genres"]
    for said, unseen in ((by_text, columns("picture")), (by_image, columns("text_2", "text_3", "text_4"))):
        for place in unseen:
            hits = truth[need & said[:, place], place]
            expected = truth[need, place].mean()
            assert len(hits) == 0 or abs(hits.mean() - expected) < 4 * np.sqrt(0.25 / len(hits))
