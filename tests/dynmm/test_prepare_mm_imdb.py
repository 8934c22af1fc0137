import json
from argparse import Namespace

import cv2
import h5py
import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from common.datasets.mm_imdb.plots import mean_vectors, read_word2vec, words_of
from common.datasets.mm_imdb.posters import DEVIATION, MEAN, poster_features, read_poster, vgg_features
from common.datasets.mm_imdb.prepare import genre_table, prepare, read_film, read_split
from common.datasets.mm_imdb.reader import MMIMDB
from common.errors import UserError
from dynmm.modality.prepare_mm_imdb import main, parser

CPU = torch.device("cpu")
WORDS = ("the", "night", "train", "it's")
SPLIT = {"train": ["0000007", "0000002", "0000003"], "dev": ["0000001"], "test": ["0000005", "0000004"]}
IDS = [imdb_id for ids in SPLIT.values() for imdb_id in ids]
NAMES = [f"genre {number:02d}" for number in range(24)]


class Means(nn.Module):
    """A stand-in for VGG-16: the mean of each colour, in the first three of 4096 outputs."""

    def forward(self, x):
        return nn.functional.pad(x.mean(dim=(2, 3)), (0, 4093))


@pytest.fixture
def raw(tmp_path):
    """Six films: film k in split order has genres 0..k (all 24 in the first), poster of one colour."""
    folder = tmp_path / "raw"
    (folder / "dataset").mkdir(parents=True)
    (folder / "split.json").write_text(json.dumps(SPLIT))
    for place, imdb_id in enumerate(IDS):
        genres = NAMES[: place + 1] if place else NAMES
        film = {"plot": ["The Night!", f"The night train: it's number {place}."], "genres": genres, "year": 1999}
        (folder / "dataset" / f"{imdb_id}.json").write_text(json.dumps(film))
        image = np.full((300, 200 + place, 3), (10 * place, 100, 200), np.uint8)  # blue, green, red
        cv2.imwrite(str(folder / "dataset" / f"{imdb_id}.jpeg"), image)
    return folder


@pytest.fixture
def vectors():
    return {word: np.random.default_rng(len(word)).standard_normal(300).astype(np.float32) for word in WORDS}


@pytest.fixture
def word2vec(tmp_path, vectors):
    lines = [" ".join([word, *map(repr, map(float, vector))]) for word, vector in vectors.items()]
    (tmp_path / "vectors.txt").write_text("\n".join([f"{len(lines)} 300", *lines]) + "\n")
    return tmp_path / "vectors.txt"


def flags(raw, word2vec, **changes):
    args = parser().parse_args([str(raw), str(raw.parent / "out/a.hdf5"), "--word2vec", str(word2vec), "--vgg", "x"])
    return Namespace(**{**vars(args), "batch_size": 4, **changes})


def write_binary(path, vectors, newline=b"\n"):
    body = b"".join(word.encode() + b" " + vector.astype("<f4").tobytes() + newline for word, vector in vectors.items())
    path.write_bytes(f"{len(vectors)} 300\n".encode() + body)
    return path


def test_raw_release_becomes_a_file_that_the_reader_takes(raw, word2vec, vectors, capsys):
    prepare(flags(raw, word2vec), Means(), CPU)
    out = raw.parent / "out/a.hdf5"
    assert capsys.readouterr().out.splitlines()[-1] == f"6 films (train 3, dev 1, test 2) written to {out}"
    splits = [MMIMDB(out, split) for split in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [3, 1, 2]
    text, image, genres = (np.concatenate(parts) for parts in zip(*(split.arrays() for split in splits), strict=True))
    expected = np.mean([vectors[word] for word in WORDS], axis=0)  # "number" and digits have no vector
    np.testing.assert_allclose(text, np.tile(expected, (6, 1)), rtol=1e-5, atol=1e-6)
    blue = (10 * np.arange(6) / 255 - MEAN[2]) / DEVIATION[2]
    np.testing.assert_allclose(image[:, 2], blue, atol=0.03)
    assert image.shape == (6, 4096)
    assert np.array_equal(genres[1:], np.tri(6, 23)[1:])
    with h5py.File(out) as file:
        assert [name.decode() for name in file["imdb_ids"][:]] == IDS
        assert (file["genres"].dtype, file["imdb_ids"].dtype.str) == (np.int32, "|S7")
    assert splits[0].target_names == tuple(NAMES[:23])
    assert [path.name for path in out.parent.iterdir()] == ["a.hdf5"]


def test_failed_preparation_leaves_the_older_file(raw, word2vec):
    args = flags(raw, word2vec)
    prepare(args, Means(), CPU)
    before = args.out.read_bytes()
    (raw / "dataset" / f"{IDS[4]}.jpeg").write_bytes(b"no image")
    with pytest.raises(UserError, match=rf"{IDS[4]}.jpeg: cannot be read as an image"):
        prepare(args, Means(), CPU)
    assert args.out.read_bytes() == before


def test_another_split_can_be_named(raw, word2vec, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"train": IDS[:1], "dev": IDS[1:2], "test": IDS[2:3]}))
    args = flags(raw, word2vec, split=tmp_path / "mine.json")
    prepare(args, Means(), CPU)
    assert [len(MMIMDB(args.out, split)) for split in ("train", "valid", "test")] == [1, 1, 1]


@pytest.mark.parametrize("suffix", ["json", "jpeg"])
def test_missing_file_of_a_film_is_named(raw, word2vec, suffix):
    (raw / "dataset" / f"{IDS[3]}.{suffix}").unlink()
    with pytest.raises(UserError, match=rf"{IDS[3]}\.{suffix}: no such"):
        prepare(flags(raw, word2vec), Means(), CPU)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"genres": ["a"]}', "'plot' is None, expected a list of texts"),
        ('{"plot": [], "genres": ["a"]}', r"'plot' is \[\]"),
        ('{"plot": ["p"], "genres": 3}', "'genres' is 3"),
        ('{"plot": ["p"]', "cannot be read as JSON"),
        ("[]", "'plot' is None"),
    ],
)
def test_malformed_film_is_named(raw, content, message):
    (raw / "dataset" / f"{IDS[0]}.json").write_text(content)
    with pytest.raises(UserError, match=rf"{IDS[0]}.json: {message}"):
        read_film(raw / "dataset", IDS[0])


def test_longest_plot_is_taken_and_a_single_one_may_stand_bare(raw):
    assert read_film(raw / "dataset", IDS[1]).words == ["the", "night", "train", "it's", "number", "1"]
    (raw / "dataset" / f"{IDS[1]}.json").write_text('{"plot": "One plot", "genres": ["a"]}')
    assert read_film(raw / "dataset", IDS[1]).words == ["one", "plot"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ["1"], "test": ["2"]}', "expected"),
        ('{"train": ["1"], "dev": [], "test": ["2"]}', "each with films"),
        ('{"train": ["1"], "dev": ["2"], "test": ["1"]}', "film 1 stands in two places"),
        ("[1]", "expected"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_malformed_split_is_refused(tmp_path, content, message):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match=rf"split.json: .*{message}"):
        read_split(tmp_path / "split.json")


def film(*genres):
    return Namespace(genres=list(genres))


def test_genres_are_the_most_frequent_in_falling_order_equal_ones_by_name():
    films = [film("c", "b"), film("b", "b"), film("a", "c"), film("z"), film("b")]
    names, table = genre_table(films, 3)
    assert names == ["b", "c", "a"]  # "b" twice in one film counts once
    assert table.tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]]  # none of them: kept with zeros
    with pytest.raises(UserError, match="4 genres in 5 films, expected at least 23"):
        genre_table(films)


def test_words_are_lower_case_without_punctuation():
    assert words_of("The U.S. night-train: Zoé's 2nd 'trip'_x") == (
        ["the", "u", "s", "night", "train", "zoé's", "2nd", "trip", "x"]
    )


def test_mean_counts_repeated_words_and_is_zero_without_known_ones():
    vectors = {"a": np.array([3.0, 0.0]), "b": np.array([0.0, 6.0])}
    means = mean_vectors([["a", "b", "a", "unknown"], ["unknown"], []], vectors, 2)
    assert (means.dtype, means.tolist()) == (np.float32, [[2, 2], [0, 0], [0, 0]])


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_binary_and_text_word_vectors_are_the_same(tmp_path, word2vec, vectors, newline):
    path = write_binary(tmp_path / "vectors.bin", vectors, newline)
    wanted = {"train", "the", "unknown"}
    from_binary, from_text = (read_word2vec(file, wanted) for file in (path, word2vec))
    assert set(from_binary) == set(from_text) == {"train", "the"}
    for word, vector in from_binary.items():
        assert np.array_equal(vector, vectors[word])
        assert np.array_equal(from_text[word], vector)


def test_text_vectors_need_no_header(word2vec):
    lines = word2vec.read_text().splitlines()
    word2vec.write_text("\n".join(lines[1:]))
    assert set(read_word2vec(word2vec, WORDS)) == set(WORDS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bin", b"", "empty"),
        ("a.bin", b"the 0.1 0.2\n", "expected COUNT WIDTH"),
        ("a.bin", b"1 200\nthe ", "vectors of 200 numbers, expected 300"),
        ("a.bin", b"2 300\nthe " + bytes(1200) + b"\nnight 1234", "ends within word 2 of 2"),
        ("a.txt", b"the 0.1 0.2\n", "a.txt:1: 2 numbers after the word, expected 300"),
        ("a.txt", b"5 50\n", "vectors of 50 numbers"),
        ("a.txt", b"the" + b" 0.1" * 299 + b" x\n", "a.txt:1: .*expected 300 numbers"),
        ("a.txt", b"1 300\n\xff\xfe\n", "binary word2vec file has to be called"),
        ("a.bin.gz", b"\x1f\x8b\x08", "packed with gzip; unpack it first"),
        ("a.txt", b"1 300\nzz" + b" 0" * 300, "has none of the 4 words"),
    ],
)
def test_damaged_word_vectors_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}.*{message}|{message}"):
        read_word2vec(tmp_path / name, WORDS)


def test_missing_word_vectors_tell_what_is_expected(tmp_path):
    with pytest.raises(UserError, match=r"no.bin: no such word2vec file; expected GoogleNews"):
        read_word2vec(tmp_path / "no.bin", WORDS)


def test_poster_is_scaled_and_cut_around_its_centre(tmp_path):
    image = np.zeros((512, 1024, 3), np.uint8)
    image[:, 256:768] = (0, 0, 255)  # red in the middle half
    cv2.imwrite(str(tmp_path / "a.png"), image)
    poster = read_poster(tmp_path / "a.png")
    assert (poster.shape, poster.dtype) == ((3, 224, 224), torch.uint8)
    assert poster[0].min() > 250
    assert poster[1:].max() < 5
    cv2.imwrite(str(tmp_path / "b.png"), image[:30, :40])
    assert read_poster(tmp_path / "b.png").shape == (3, 224, 224)


def test_features_do_not_depend_on_batch_or_workers(raw):
    posters = [raw / "dataset" / f"{imdb_id}.jpeg" for imdb_id in IDS]
    whole = poster_features(posters, Means(), CPU, batch_size=6)
    assert np.array_equal(poster_features(posters, Means(), CPU, batch_size=4, workers=1), whole)


def test_vgg_features_are_the_second_fully_connected_layer_after_its_relu(tmp_path):
    """All weights zero but that layer's bias, so that it decides; stored with stride 0, so that the file is small."""
    with torch.device("meta"):
        state = torchvision.models.vgg16().state_dict()
    bias = torch.linspace(-1, 1, 4096)
    state = {name: torch.zeros(1).expand(value.shape) for name, value in state.items()} | {"classifier.3.bias": bias}
    torch.save(state, tmp_path / "vgg16.pth")
    network = vgg_features(tmp_path / "vgg16.pth")
    with torch.inference_mode():
        assert torch.equal(network(torch.randn(1, 3, 224, 224)), bias.relu()[None])


def test_missing_or_unfit_vgg_file_is_named_by_the_command(raw, word2vec, tmp_path):
    command = [str(raw), str(tmp_path / "a.hdf5"), "--word2vec", str(word2vec), "--gpu", "-1", "--vgg"]
    with pytest.raises(UserError, match=r"no.pth: no such file; expected VGG-16.*vgg16-397923af.pth"):
        main([*command, str(tmp_path / "no.pth")])
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "few.pth")
    with pytest.raises(UserError, match=r"few.pth: lacks 'features.0.bias'"):
        main([*command, str(tmp_path / "few.pth")])
    assert not (tmp_path / "a.hdf5").exists()
