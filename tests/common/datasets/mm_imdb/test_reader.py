import json
import os
import pickle

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from common.datasets.mm_imdb.reader import MMIMDB
from common.errors import UserError

RNG = np.random.default_rng(0)
SIZES = (5, 2, 3)


def arrays(rows=10):
    return {
        "features": RNG.standard_normal((rows, 300)).astype(np.float32),
        "vgg_features": RNG.random((rows, 4096), np.float32),
        "genres": RNG.integers(0, 2, (rows, 23)).astype(np.int32),
    }


def write(path, content, **attributes):
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            file[name] = array
        file.attrs.update(attributes)


@pytest.fixture
def content():
    return arrays()


@pytest.fixture
def path(tmp_path, content):
    write(tmp_path / "multimodal_imdb.hdf5", content, sizes=SIZES)
    return tmp_path / "multimodal_imdb.hdf5"


@pytest.mark.parametrize(("split", "rows"), [("train", (0, 5)), ("valid", (5, 7)), ("test", (7, 10))])
def test_each_split_holds_its_rows(path, content, split, rows):
    data = MMIMDB(path, split)
    assert len(data) == rows[1] - rows[0]
    whole = data.arrays()
    for place, name in enumerate(content):
        expected = content[name][slice(*rows)]
        assert whole[place].dtype == np.float32
        assert np.array_equal(whole[place], expected)
        assert np.array_equal(np.stack([item[place] for item in data]), expected)
    assert np.array_equal(data[-1][0], content["features"][rows[1] - 1])
    with pytest.raises(IndexError):
        data[len(data)]


def test_folder_is_as_good_as_the_file(path):
    data = MMIMDB(path.parent, "train")
    assert (data.path, data.folder) == (path, path.parent)


def test_wider_types_are_read_as_float32(tmp_path, content):
    content["features"] = content["features"].astype(np.float64)
    content["genres"] = content["genres"].astype(np.uint8)
    write(tmp_path / "a.hdf5", content)
    assert {part.dtype.name for part in MMIMDB(tmp_path / "a.hdf5", "test", SIZES)[0]} == {"float32"}


def test_workers_read_what_the_process_reads(path, content):
    data = MMIMDB(path, "train")
    data[0]  # this process has the file open when the workers start
    loader = DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="fork")
    text, image, genres = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert np.array_equal(text, content["features"][:5])
    assert np.array_equal(image, content["vgg_features"][:5])
    assert np.array_equal(genres, content["genres"][:5])


def test_handle_of_another_process_is_not_used(path, content):
    data = MMIMDB(path, "train")
    data[0]
    before = data._file
    data._process = os.getpid() + 1
    assert np.array_equal(data[1][0], content["features"][1])
    assert data._file is not before
    assert not before
    assert np.array_equal(pickle.loads(pickle.dumps(data))[2][0], content["features"][2])


def fuel_split(ranges):
    fields = [("split", "S5"), ("source", "S15"), ("start", "<i8"), ("stop", "<i8"), ("comment", "S1")]
    entries = [(name, source, *rows, b".") for name, rows in ranges.items() for source in ("genres", "features")]
    return np.array(entries, fields)


def test_sizes_come_from_fuels_table(tmp_path, content):
    table = fuel_split({"train": (0, 6), "dev": (6, 9), "test": (9, 10)})
    write(tmp_path / "a.hdf5", content, split=table)
    assert [len(MMIMDB(tmp_path / "a.hdf5", split)) for split in ("train", "valid", "test")] == [6, 3, 1]


def test_given_sizes_go_before_the_files_and_its_own_before_fuels(tmp_path, content):
    table = fuel_split({"train": (0, 6), "dev": (6, 9), "test": (9, 10)})
    write(tmp_path / "a.hdf5", content, split=table, sizes=SIZES)
    assert len(MMIMDB(tmp_path / "a.hdf5", "train")) == 5
    assert len(MMIMDB(tmp_path / "a.hdf5", "train", (2, 4, 4))) == 2


@pytest.mark.parametrize(
    "ranges", [{}, {"train": (0, 6), "test": (6, 10)}, {"train": (4, 10), "dev": (2, 4), "test": (0, 2)}]
)
def test_without_sizes_or_a_fitting_table_the_published_sizes_hold(tmp_path, content, ranges):
    write(tmp_path / "a.hdf5", content, **({"split": fuel_split(ranges)} if ranges else {}))
    with pytest.raises(UserError, match=r"a.hdf5: 10 rows, .*published sizes 15552 2608 7799 make 25959.*--sizes"):
        MMIMDB(tmp_path / "a.hdf5", "train")


@pytest.mark.parametrize("sizes", [(5, 2, 2), (5, 2, 4), (10, 0, 0), (5, 5)])
def test_sizes_that_do_not_fit_name_the_flag(path, sizes):
    with pytest.raises(UserError, match=rf"10 rows, but --sizes {sizes[0]} .* make {sum(sizes)}.*--sizes TRAIN VALID"):
        MMIMDB(path, "train", sizes)


def test_names_of_genres_are_the_files_or_numbers(path):
    assert MMIMDB(path, "train").target_names[:2] == ("genre 0", "genre 1")
    names = [f"g{number}" for number in range(23)]
    for place in ("genres", "/"):
        with h5py.File(path, "a") as file:
            file["genres"].attrs.pop("target_names", None)
            file[place].attrs["target_names"] = json.dumps(names)
        assert MMIMDB(path, "train").target_names == tuple(names)


def test_needs_is_none_unless_the_file_has_it(path):
    assert MMIMDB(path, "valid").needs is None
    with h5py.File(path, "a") as file:
        file["needs"] = np.arange(10) % 2
    assert MMIMDB(path, "valid").needs.tolist() == [1, 0]


def test_fingerprint_follows_split_and_values_alone(path, content, tmp_path):
    first = {split: MMIMDB(path, split).fingerprint() for split in ("train", "valid")}
    assert len(first["train"]) == 64
    assert first["train"] != first["valid"]
    content["vgg_features"][4, 7] += 1
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array, compression="gzip")
    assert MMIMDB(tmp_path / "b.hdf5", "valid", SIZES).fingerprint() == first["valid"]
    assert MMIMDB(tmp_path / "b.hdf5", "train", SIZES).fingerprint() != first["train"]


def test_missing_file_tells_source_preparation_and_stand_in(tmp_path):
    expected = r"multimodal_imdb.hdf5: no such file.*gmu-mmimdb.*archive.org.*prepare_mm_imdb.*standins mm_imdb .*"
    with pytest.raises(UserError, match=expected + tmp_path.name):
        MMIMDB(tmp_path, "train")


def test_file_of_another_kind_or_cut_short_is_refused(path, tmp_path):
    (tmp_path / "a.hdf5").write_bytes(b"PK\3\4 not HDF5")
    with pytest.raises(UserError, match=r"a.hdf5: not an HDF5 file \(13 bytes\)"):
        MMIMDB(tmp_path / "a.hdf5", "train")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"multimodal_imdb.hdf5: truncated.*Copy it again"):
        MMIMDB(path, "train")


def test_damage_inside_a_dataset_is_named(tmp_path, content):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array, chunks=array.shape, fletcher32=True)
        place = file["vgg_features"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 50] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a.hdf5: dataset 'vgg_features' cannot be read .*damaged"):
        MMIMDB(path, "train", SIZES)


@pytest.mark.parametrize("name", ["features", "vgg_features", "genres"])
def test_missing_dataset_and_wrong_width_are_named(tmp_path, content, name):
    whole = content.pop(name)
    write(tmp_path / "a.hdf5", content)
    with pytest.raises(UserError, match=rf"a.hdf5: no dataset '{name}'; found "):
        MMIMDB(tmp_path / "a.hdf5", "train", SIZES)
    write(tmp_path / "b.hdf5", {**content, name: whole[:, :-1]})
    width = whole.shape[1]
    with pytest.raises(
        UserError, match=rf"b.hdf5: dataset '{name}' has shape \(10, {width - 1}\), expected \(N, {width}\)"
    ):
        MMIMDB(tmp_path / "b.hdf5", "train", SIZES)


def test_other_widths_can_be_asked_for(tmp_path, content):
    write(tmp_path / "a.hdf5", {**content, "features": content["features"][:, :50]})
    assert MMIMDB(tmp_path / "a.hdf5", "test", SIZES, widths=(50, 4096, 23))[0][0].shape == (50,)


def test_unequal_rows_and_texts_are_named(tmp_path, content):
    write(tmp_path / "a.hdf5", {**content, "genres": content["genres"][:-1]})
    with pytest.raises(UserError, match=r"a.hdf5: unequal numbers of rows: features 10, vgg_features 10, genres 9"):
        MMIMDB(tmp_path / "a.hdf5", "train", SIZES)
    write(tmp_path / "b.hdf5", {**content, "genres": np.full((10, 23), b"Drama")})
    with pytest.raises(UserError, match=r"b.hdf5: dataset 'genres' has type \|S5, expected numbers"):
        MMIMDB(tmp_path / "b.hdf5", "train", SIZES)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("features", np.nan, "nan in row 6; expected finite"),
        ("vgg_features", np.inf, "inf in row 6; expected finite"),
        ("genres", 2, "2 in row 6; expected 0 or 1"),
        ("genres", -1, "-1 in row 6; expected 0 or 1"),
    ],
)
def test_value_that_cannot_be_is_named_in_its_own_split(tmp_path, content, name, value, expected):
    content[name][6, 3] = value
    write(tmp_path / "a.hdf5", content)
    with pytest.raises(UserError, match=rf"a.hdf5: dataset '{name}' holds {expected}"):
        MMIMDB(tmp_path / "a.hdf5", "valid", SIZES)
    assert len(MMIMDB(tmp_path / "a.hdf5", "train", SIZES)) == 5


def test_unknown_split_is_refused(path):
    with pytest.raises(UserError, match=r"split 'dev': expected one of train, valid, test"):
        MMIMDB(path, "dev")


def test_missing_folder_is_the_one_that_the_stand_in_is_written_to(tmp_path):
    with pytest.raises(UserError, match=r"new: no such file.*standins mm_imdb .*/new$"):
        MMIMDB(tmp_path / "new", "train")
