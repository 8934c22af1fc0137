"""Pickles of arrays: all that numpy writes is read, nothing else is even looked up."""

import builtins
import codecs
import contextlib
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from common.errors import UserError
from common.pickles import load_arrays_pickle, save_arrays_pickle

PROTOCOLS = range(6)
# Written by hand in Python 2's protocol 2: {'id': ['ab\xe9', u'd\xe9'], 'x': array([1., 2.], '<f4')}
PYTHON_2 = (
    b"\x80\x02}(U\x02id](U\x03ab\xe9X\x03\x00\x00\x00d\xc3\xa9eU\x01x"
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    b"(K\x01K\x02\x85cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    b"U\x08\x00\x00\x80?\x00\x00\x00@tbu."
)


class Call:
    """Pickled, it asks for a call of any function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class Custom:
    """A class of somebody's own."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some_data.pkl"


def loaded(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return load_arrays_pickle(path)


def error_of(path, content):
    """The message of the UserError, which is one line and begins with the file."""
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 2))
    with pytest.raises(UserError) as error:
        load_arrays_pickle(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def array_state(dtype, raw, shape=(1,)):
    """Opcodes for an array with this dtype (opcodes as well) and raw content."""
    return (
        b"\x80\x03cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
        b"(K\x01K" + bytes(shape) + b"\x85" + dtype + b"\x89C" + bytes([len(raw)]) + raw + b"tb."
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(12, dtype=np.int64)[::2],
        np.arange(3, dtype=">f8"),
        np.zeros((0, 5), np.float16),
        np.array([True, False]),
        np.array([[b"vid", b"1"], [b"other", b""]]),
        np.array(["word", "wörd"]),
        np.array([b"bytes", "text", 1, None, 2.5], object),
        np.array(0.5),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_come_back_as_plain_pickle_gives_them(path, array, protocol):
    array_read = loaded(path, array, protocol)
    expected = pickle.loads(path.read_bytes())
    assert type(array_read) is np.ndarray
    assert (array_read.dtype, array_read.shape) == (expected.dtype, expected.shape)
    assert array_read.tolist() == array.tolist()
    assert [type(value) for value in array_read.ravel().tolist()] == [type(value) for value in array.ravel().tolist()]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_containers_and_scalars_come_back(path, protocol):
    content = {
        "ordered": OrderedDict(b=1, a=[2, (3,)]),
        "sets": [{1}, frozenset([2])],
        "bytes": [b"", b"\xff\x00", bytearray(b"x")],
        "scalars": [np.float32(0.5), np.int64(-3), np.str_("s"), np.bytes_(b"s"), np.bool_(True)],
        "plain": [None, True, 1 << 80, 0.1, "é"],
    }
    result = loaded(path, content, protocol)
    assert result == content
    assert [type(value) for value in result["scalars"]] == [type(value) for value in content["scalars"]]
    assert list(result["ordered"]) == ["b", "a"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_arrays_in_one_file_share_nothing_they_should_not(path, protocol):
    twice = np.arange(2000.0)
    first, second, other = loaded(path, [twice, twice, twice.copy()], protocol)
    first[0] = 7
    assert second[0] == 7  # one object in the file, one object read
    assert other[0] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_modules_of_numpy_1_and_2_are_both_known(path, protocol):
    array = np.arange(600.0)
    data = pickle.dumps([array, np.float64(2)], protocol)
    assert b"numpy._core." in data
    if protocol >= 4:  # names carry their length, the frame its own
        data = data.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray")
        data = data.replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        length = len(data) - 11
        data = data[:2] + b"\x95" + length.to_bytes(8, "little") + data[11:] if data[2:3] == b"\x95" else data
    else:
        data = data.replace(b"numpy._core.", b"numpy.core.")
    assert b"numpy._core." not in data
    path.write_bytes(data)
    first, second = load_arrays_pickle(path)
    assert np.array_equal(first, array)
    assert second == 2


def test_byte_strings_of_python_2_become_text_and_its_arrays_numbers(path):
    path.write_bytes(PYTHON_2)
    content = load_arrays_pickle(path)
    assert content["id"] == ["abé", "dé"]
    assert content["x"].dtype == np.float32
    assert content["x"].tolist() == [1, 2]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (builtins.eval, r"(builtins|__builtin__)\.eval"),
        (builtins.exec, r"(builtins|__builtin__)\.exec"),
        (builtins.getattr, r"(builtins|__builtin__)\.getattr"),
        (np.load, r"numpy\.load"),
        (codecs.lookup, r"_codecs\.lookup"),
        (Custom, r"tests\.common\.test_pickles\.Custom"),
    ],
)
def test_any_other_object_is_named_and_not_looked_up(path, function, name, protocol):
    path.write_bytes(pickle.dumps({"train": Call(function, "1")}, protocol))
    with pytest.raises(UserError, match=rf"some_data.pkl: holds '{name}', .* could execute code"):
        load_arrays_pickle(path)


@pytest.mark.parametrize("inside", [lambda x: x, lambda x: {"a": [x]}, lambda x: np.array([1, x, "b"], object)])
def test_command_in_a_pickle_is_not_executed(path, tmp_path, inside):
    trace = tmp_path / "trace"
    for function, text in ((os.system, f"touch {trace}"), (eval, f"open({str(trace)!r}, 'w')")):
        content = pickle.dumps(inside(Call(function, text)), 4)
        assert "could execute code" in error_of(path, content)
    assert not trace.exists()
    pickle.loads(content)  # with plain pickle it would have been
    assert trace.exists()


def test_object_of_os_by_its_plain_name_is_named(path):
    assert "holds 'os.system'" in error_of(path, b"cos\nsystem\n(S'true'\ntR.")


def test_no_other_codec_is_looked_up(path, monkeypatch):
    asked = []
    monkeypatch.setattr(codecs, "lookup", asked.append)
    message = error_of(path, Call(codecs.encode, "text", "rot13"))
    assert "codec 'rot13'" in message
    assert asked == []


def test_dtype_flags_of_a_file_cannot_turn_bytes_into_objects(path):
    state = b"(K\x03X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    flags_0 = b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R" + state
    assert "damaged" in error_of(path, array_state(flags_0, b"\x01" * 8))
    number = flags_0.replace(b"O8", b"f8").replace(b"|", b"<")
    path.write_bytes(array_state(number, np.float64(2.5).tobytes()))
    assert load_arrays_pickle(path).tolist() == [2.5]


@pytest.mark.parametrize(
    "content", [np.zeros(2, [("a", "f4"), ("b", object)]), np.zeros(2, "M8[s]"), np.zeros(2, "V4")]
)
def test_records_and_dates_are_refused(path, content):
    assert "expected numbers, strings or objects" in error_of(path, content)


def test_array_over_the_memory_of_another_is_refused(path):
    objects = np.array([None, None], object)
    message = error_of(path, Call(np._core.numeric._frombuffer, objects, np.dtype("i8"), (2,), "C"))
    assert "over the memory of a ndarray" in message


def test_class_of_arrays_cannot_be_called(path):
    assert "damaged" in error_of(path, Call(np.ndarray, (2,)))


def test_state_of_anything_but_an_array_is_refused(path):
    ordered = OrderedDict(a=1)
    ordered.extra = 5
    assert "sets the state of a OrderedDict" in error_of(path, ordered)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncated_file_is_one_line_wherever_it_ends(path, protocol):
    data = pickle.dumps({"a": np.arange(5.0), "b": [b"x", "y"], "c": np.array([b"q", None], object)}, protocol)
    for end in range(1, len(data), 3):
        message = error_of(path, data[:end])
        if protocol > 3:  # the older ones end names by a line, so that half a name may be read
            assert f"damaged: not a pickle that can be read ({end} bytes)" in message or end == 1


@pytest.mark.parametrize("value", [0, 0x2E, 0x52, 0x62, 0xFF])
def test_damaged_byte_is_read_over_or_one_line(path, value):
    data = pickle.dumps({"a": np.arange(5.0), "b": ["x", b"y"], "c": np.float32(1)}, 4)
    refused = 0
    for place in range(0, len(data), 2):
        path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
        with contextlib.suppress(UserError):
            load_arrays_pickle(path)
            continue
        refused += 1
    assert refused > len(data) / 8


def test_empty_file_is_said_to_be_empty(path):
    assert "is empty" in error_of(path, b"")


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>", b"PK\x03\x04zip", b"\x1f\x8b\x08gzip", b"hello\n"])
def test_file_that_is_no_pickle_is_quoted(path, content):
    assert f"not a pickle, or damaged: {len(content)} bytes that begin with {content[:16]!r}" in error_of(path, content)


def test_missing_and_unreadable_files_are_one_line(tmp_path, path, monkeypatch):
    with pytest.raises(UserError, match=r"nope.pkl: no such file"):
        load_arrays_pickle(tmp_path / "nope.pkl")
    path.write_bytes(b"x")
    monkeypatch.setattr(builtins, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(UserError, match=r"some_data.pkl: cannot be read: Permission denied"):
        load_arrays_pickle(path)


def test_what_is_saved_comes_back_and_leaves_no_temporary_file(path):
    path.write_bytes(b"older")
    save_arrays_pickle({"a": np.arange(3.0)}, path)
    assert load_arrays_pickle(path)["a"].tolist() == [0, 1, 2]
    assert os.listdir(path.parent) == [path.name]


def test_failed_save_leaves_the_older_file(path):
    path.write_bytes(b"older")
    with pytest.raises((AttributeError, pickle.PicklingError)):
        save_arrays_pickle({"a": lambda: 0}, path)
    assert path.read_bytes() == b"older"
