import h5py
import numpy as np
import pytest

from common.datasets.mm_imdb.standin import write_mm_imdb
from common.datasets.mm_imdb.verify import verify_mm_imdb
from common.errors import UserError
from common.verify.__main__ import main


@pytest.fixture
def path(tmp_path):
    write_mm_imdb(tmp_path, 40)
    return tmp_path / "multimodal_imdb.hdf5"


def change(path, name, rows, value):
    with h5py.File(path, "a") as file:
        file[name][rows] = value


def test_sound_file_is_summed_up(path, capsys):
    assert verify_mm_imdb(path.parent) == 0
    text = capsys.readouterr().out
    assert "features float32 70x300, vgg_features float32 70x4096, genres int32 70x23 (stand-in)" in text
    for part in ("train: 40 films", "valid: 10 films", "test: 20 films", "0 films without any", "0 NaN or infinite"):
        assert part in text


def test_shares_of_genres_are_those_of_the_split(path, capsys):
    change(path, "genres", slice(40, 50), 0)
    change(path, "genres", (slice(40, 47), 3), 1)
    with h5py.File(path) as file:
        share = np.mean(file["needs"][40:50])
    assert verify_mm_imdb(path) == 0
    valid = capsys.readouterr().out.split("valid: ")[1].split("test: ")[0].splitlines()
    assert "  genres        0.70 a film, 3 films without any" in valid
    assert sum(line.endswith(" 70.00%") for line in valid) == 1
    assert sum(line.endswith(" 0.00%") for line in valid) == 22
    assert valid[-1] == f"    needs picture   {share:7.2%}"


def test_ranges_leave_out_what_is_not_finite(path, capsys):
    change(path, "features", 0, 1.0)
    change(path, "features", (0, slice(0, 2)), [np.nan, np.inf])
    with h5py.File(path) as file:
        rest = file["features"][:40].ravel()[2:]
    verify_mm_imdb(path)
    expected = (
        f"features      from {rest.min():.3f} to {rest.max():.3f}, mean size {np.abs(rest).mean():.3f}, 0.0% zero"
    )
    assert expected + ", 2 NaN or infinite" in capsys.readouterr().out


def test_every_problem_has_a_line(path, capsys):
    change(path, "features", (slice(3, 6), 0), np.nan)
    change(path, "vgg_features", (69, 4), -np.inf)
    change(path, "genres", (45, 0), 7)
    change(path, "imdb_ids", 69, b"0000000")
    assert verify_mm_imdb(path) == 4
    lines = capsys.readouterr().out.splitlines()[-4:]
    for line, part in zip(
        lines,
        (
            "'features' holds nan in row 3 and 2 more",
            "'genres' holds 7 in row 45",
            "'vgg_features' holds -inf in row 69",
            "'imdb_ids' holds 0000000 twice",
        ),
        strict=True,
    ):
        assert line.startswith(f"{path}: dataset {part}")


def test_all_layout_problems_are_listed(path, capsys):
    with h5py.File(path, "a") as file:
        del file["genres"]
        narrow = file["vgg_features"][:, :100]
        del file["vgg_features"]
        file["vgg_features"] = narrow
    assert verify_mm_imdb(path) == 2
    text = capsys.readouterr().out
    assert "no dataset 'genres'" in text
    assert "'vgg_features' has shape (70, 100)" in text


def test_sizes_that_do_not_fit_are_a_problem(path, capsys):
    assert verify_mm_imdb(path, (40, 10, 21)) == 1
    assert "70 rows, but --sizes 40 10 21 make 71" in capsys.readouterr().out


def test_damaged_part_is_a_problem_and_the_other_splits_are_still_read(tmp_path, capsys):
    path = tmp_path / "a.hdf5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["sizes"] = (4, 2, 2)
        for name, width in (("features", 300), ("vgg_features", 4096), ("genres", 23)):
            file.create_dataset(name, data=rng.integers(0, 2, (8, width)), chunks=(2, width), fletcher32=True)
        place = file["features"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 5] ^= 0xFF
    path.write_bytes(data)
    assert verify_mm_imdb(path) == 1
    text = capsys.readouterr().out
    assert "dataset 'features' cannot be read" in text
    assert "test: 2 films\n  features " in text


def test_command_ends_with_a_verdict_and_its_status(path, capsys):
    main(["mm_imdb", str(path.parent), "--sizes", "30", "20", "20"])
    text = capsys.readouterr().out
    assert "train: 30 films" in text
    assert text.splitlines()[-1] == "all is well"
    change(path, "genres", (0, 0), 5)
    with pytest.raises(SystemExit) as stop:
        main(["mm_imdb", str(path)])
    assert stop.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 problem"


def test_missing_file_is_bad_usage(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        verify_mm_imdb(tmp_path / "nope.hdf5")
