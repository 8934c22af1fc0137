"""Checkpoints on disk: whole or not at all, hashed, and loaded without executing anything."""

import hashlib
import os
import pickle
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from common.checkpoint import load_published, safe_load, save_atomically
from common.errors import UserError
from common.hashing import sha256_of

NUMPY_SCALAR = [np._core.multiarray.scalar, np.dtype, np.dtypes.Float64DType]


class Command:
    """Pickled, it asks for os.system with a command that leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


class Custom:
    """A class of somebody's own."""


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), bn=nn.BatchNorm2d(2)))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "last.pt"


def error_of(path, **kwargs):
    """The message of the UserError, which is one line and begins with the file."""
    with pytest.raises(UserError) as error:
        safe_load(path, **kwargs)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_what_is_saved_comes_back(path):
    content = {"w": torch.arange(6.0).view(2, 3), "epoch": 3, "rates": [0.1, None, True], "name": "exp"}
    save_atomically(content, path)
    loaded = safe_load(path)
    assert torch.equal(loaded.pop("w"), content.pop("w"))
    assert loaded == content


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_hash_returned_is_the_files(path, size):
    digest = save_atomically({"w": torch.rand(size)}, path)
    assert digest == sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_the_final_name_is_left(path):
    save_atomically({"w": torch.ones(2)}, path)
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_old_file_stays_when_writing_stops_midway(path, monkeypatch, error):
    save_atomically({"epoch": 1}, path)
    before = path.read_bytes()

    def write_half(_: object, file: object) -> None:
        file.write(before[: len(before) // 2])
        raise error

    monkeypatch.setattr(torch, "save", write_half)
    with pytest.raises(type(error)):
        save_atomically({"epoch": 2}, path)
    assert path.read_bytes() == before


def test_new_file_is_complete_and_the_old_one_in_place_when_its_hash_is_announced(path):
    save_atomically({"epoch": 1}, path)
    seen = []

    def announced(digest: str) -> None:
        seen.append((digest, safe_load(path), sha256_of(path.with_name("last.pt.tmp"))))

    digest = save_atomically({"epoch": 2}, path, before_rename=announced)
    assert seen == [(digest, {"epoch": 1}, digest)]
    assert safe_load(path) == {"epoch": 2}


def test_file_and_folder_are_synced_before_the_call_returns(path, monkeypatch):
    order, sync, rename = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda source, target: (order.append("rename"), rename(source, target)))
    save_atomically({"epoch": 1}, path)
    assert order == ["sync", "rename", "sync"]


@pytest.mark.parametrize("torch_format", ["zip", "legacy", "bare pickle"])
def test_command_in_a_checkpoint_is_refused_and_does_not_run(path, torch_format):
    trace = path.with_name("trace")
    content = {"w": torch.ones(1), "best_val": Command(trace)}
    if torch_format == "bare pickle":
        path.write_bytes(pickle.dumps(Command(trace), protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=torch_format == "zip")
    message = error_of(path, allowed=NUMPY_SCALAR)
    assert re.search(r"holds '(posix|nt)\.system', which a checkpoint has no need of", message)
    assert "could execute code" in message
    assert not trace.exists()
    pickle.loads(pickle.dumps(Command(trace)))
    assert trace.exists(), "the command would have left its trace"


def test_class_of_somebodys_own_is_named(path):
    torch.save({"net": Custom()}, path)
    assert "Custom'" in error_of(path)


def test_numpy_scalar_needs_the_allow_list(path):
    torch.save({"best_val": np.float64(48.5)}, path)
    assert "holds 'numpy._core.multiarray.scalar'" in error_of(path)
    assert safe_load(path, NUMPY_SCALAR) == {"best_val": 48.5}
    assert "numpy._core.multiarray.scalar" in error_of(path), "the list was for one call"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_file_is_named_with_its_size(path, share):
    save_atomically({"w": torch.rand(1000)}, path)
    content = path.read_bytes()
    kept = int(share * len(content))
    path.write_bytes(content[:kept])
    message = error_of(path)
    assert "truncated or damaged" in message
    assert f"({kept} bytes)" in message


def test_archive_of_another_kind_is_named(path):
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    path.with_suffix(".npz").rename(path)
    assert "damaged: not a checkpoint" in error_of(path)


@pytest.mark.parametrize("name", ["nowhere.pt", "."])
def test_missing_file_is_named(tmp_path, name):
    assert error_of(tmp_path / name).endswith("no such checkpoint")


def test_published_names_load_strictly(path):
    source, target = small_net(), small_net()
    nn.init.constant_(source.conv.weight, 0.5)
    source.bn.num_batches_tracked += 7
    load_published(target, source.state_dict(), path)
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_one_leading_module_is_dropped(path):
    source, target = small_net(), small_net()
    nn.init.constant_(source.conv.weight, 0.5)
    load_published(target, {f"module.{name}": value for name, value in source.state_dict().items()}, path)
    assert torch.equal(target.conv.weight, source.conv.weight)
    twice = {f"module.module.{name}": value for name, value in source.state_dict().items()}
    with pytest.raises(UserError, match=r"lacks 'conv.weight'"):
        load_published(target, twice, path)


def test_checkpoint_of_an_old_torch_lacks_only_the_batch_counts(path):
    source, target = small_net(), small_net()
    state = {name: value + 1 for name, value in source.state_dict().items() if "num_batches" not in name}
    load_published(target, state, path)
    assert torch.equal(target.bn.running_mean, state["bn.running_mean"])
    assert target.bn.num_batches_tracked == 0


BREACHES = {
    "shape": (
        {"conv.weight": torch.zeros(2, 1, 5, 5)},
        (),
        r"'conv.weight' is (2, 1, 5, 5), this network's (2, 1, 3, 3)",
    ),
    "missing": ({}, ("bn.weight",), "lacks 'bn.weight', which this network needs"),
    "two missing": ({}, ("conv.bias", "bn.weight"), "lacks 'conv.bias' and 1 more, which this network needs"),
    "unknown": ({"fc.weight": torch.ones(1)}, (), "holds 'fc.weight', which this network does not have"),
    "three unknown": (
        {f"fc.{i}": torch.ones(1) for i in range(3)},
        (),
        "holds 'fc.0' and 2 more, which this network does not have",
    ),
}


@pytest.mark.parametrize(("changed", "removed", "message"), BREACHES.values(), ids=BREACHES)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_does_not_fit_is_named_and_the_model_stays_as_it_was(path, changed, removed, message, prefix):
    model = small_net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: value + 1 for name, value in before.items() if name not in removed}
    state = {f"{prefix}{name}": value for name, value in {**state, **changed}.items()}
    with pytest.raises(UserError) as error:
        load_published(model, state, path, " (another --width?)")
    assert str(error.value) == f"{path}: {message} (another --width?)"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("state", "found"), [([torch.ones(1)], "list"), ({"state_dict": {"w": torch.ones(1)}}, "dict"), (None, "NoneType")]
)
def test_what_is_no_state_dict_is_refused(path, state, found):
    with pytest.raises(UserError, match=f"expected a state dict of tensors, found {found}"):
        load_published(small_net(), state, path)


def test_state_dict_with_numbers_for_names_is_refused(path):
    with pytest.raises(UserError, match=r"last.pt"):
        load_published(small_net(), {0: torch.ones(1)}, path)


def test_file_that_may_not_be_read_is_not_called_damaged(path, monkeypatch):
    save_atomically({"epoch": 1}, path)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(torch, "load", forbidden)
    assert "damaged" not in error_of(path)
