"""Pickled arrays, read without executing anything and written whole or not at all.

A pickle may name any function of the machine and call it. Here only those few are known that numpy's arrays and plain
containers need, under the module names of numpy 1 and 2, of Python 2 and 3; any other name ends the reading.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from common.errors import UserError
from common.files import replacing

PLAIN_KINDS = "biufcSUO"  # numbers, strings, objects


class _Refused(pickle.UnpicklingError):
    """The pickle holds what is not loaded; the message goes on after the file's name."""


def load_arrays_pickle(path: Path) -> Any:
    """The content of a pickle of numpy arrays, strings, numbers and plain containers, of any protocol.

    Byte strings of Python 3 and arrays of type S stay bytes. Python 2's own byte strings, which may be text as well,
    become str, decoded as latin1. Elements of object arrays pass through the same checks.
    Raises UserError naming the file if it is missing, unreadable, empty, truncated, no pickle, or names anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a pickle")
    try:
        with open(path, "rb") as file:
            return _ArraysUnpickler(file, encoding="latin1").load()
    except _Refused as error:
        raise UserError(f"{path}: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise UserError(f"{path}: damaged, or larger than the memory ({path.stat().st_size} bytes)") from error
    except Exception as error:
        # pickle and numpy raise nearly every kind of exception, by the kind of damage
        raise UserError(f"{path}: {_damage(path)}") from error


def save_arrays_pickle(content: object, path: Path) -> None:
    """Pickle by way of `replacing`: the old file or the new one, never half."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(content, file, protocol=4)


def _damage(path: Path) -> str:
    size = path.stat().st_size
    if size == 0:
        return "is empty; expected a pickle. Copy the file again"
    with open(path, "rb") as file:
        start = file.read(16)
    if start[:1] == b"\x80":
        return f"truncated or damaged: not a pickle that can be read ({size} bytes). Copy the file again"
    return f"not a pickle, or damaged: {size} bytes that begin with {start!r}. Copy the file again, unpacked"


class _ArrayType:
    """Stands for the class numpy.ndarray, which pickles name as an argument only; it cannot be called."""


def _plain_dtype(spec: Any, align: bool = False, copy: bool = True) -> np.dtype:
    """A new dtype of numbers, strings or objects; records could place objects over raw bytes, so they are refused."""
    dtype = np.dtype(spec, copy=True)
    if dtype.kind not in PLAIN_KINDS or dtype.names is not None or dtype.subdtype is not None:
        raise _Refused(f"holds an array of type {dtype}; expected numbers, strings or objects")
    return dtype


def _empty_array(*_: object) -> np.ndarray:
    """An array that gets its shape, type and content as state."""
    return np.empty(0, np.int8)


def _array_of_buffer(buffer: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    """How protocol 5 spells an array; over another array's memory it could overwrite objects, so that is refused."""
    if type(buffer) not in (bytes, bytearray):
        raise _Refused(f"holds an array over the memory of a {type(buffer).__name__}; expected bytes")
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _scalar(dtype: np.dtype, raw: bytes | str) -> np.generic:
    if dtype.kind == "O":
        raise _Refused("holds an object as a numpy scalar; expected a number or a string")
    return np._core.multiarray.scalar(dtype, raw)  # type: ignore[attr-defined]  # what numpy's own pickles call


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """How protocols below 3 spell bytes: _codecs.encode(text, "latin1"); no other codec is looked up."""
    if type(text) is not str or encoding != "latin1":
        raise _Refused(f"asks for the codec {str(encoding)[:40]!r}, which is not loaded; expected 'latin1'")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """How protocols below 3 spell empty bytes."""
    return b""


KNOWN = {
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _plain_dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    KNOWN[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    KNOWN[f"{_core}.multiarray", "scalar"] = _scalar
    KNOWN[f"{_core}.numeric", "_frombuffer"] = _array_of_buffer
for _builtins in ("builtins", "__builtin__"):
    KNOWN[_builtins, "bytes"] = _no_bytes
    KNOWN |= {(_builtins, kind.__name__): kind for kind in (set, frozenset, bytearray)}


_PythonUnpickler: Any = pickle._Unpickler  # its steps are no public interface


class _ArraysUnpickler(_PythonUnpickler):
    """The standard library's unpickler in Python, whose single steps can be checked (the one in C hides them)."""

    dispatch: ClassVar[dict[int, Callable]] = dict(_PythonUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """The known object of that name. Raises _Refused for any other."""
        if (module, name) not in KNOWN:
            raise _Refused(
                f"holds '{module}.{name}', which a file of arrays has no need of; it is not loaded, since that could "
                "execute code"
            )
        return KNOWN[module, name]

    def load_build(self) -> None:
        """Give an array or a dtype its state. Raises _Refused for the state of anything else.

        Of a dtype's state only the byte order is taken: its flags could have numpy take raw bytes for objects.
        """
        target = self.stack[-2]
        if isinstance(target, np.dtype):
            order = self.stack.pop()[1]
            own = target.__reduce__()[2]
            if order in ("<", ">") and own[1] != "|":
                cast(Any, target).__setstate__((own[0], order, *own[2:]))
        elif type(target) is np.ndarray:
            super().load_build()
        else:
            raise _Refused(f"sets the state of a {type(target).__name__}, which is not loaded; expected arrays only")

    dispatch[pickle.BUILD[0]] = load_build
