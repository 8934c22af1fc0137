"""State dicts out of pickled modules whose classes are not here, and pickles that are refused."""

import sys
from types import ModuleType

import pytest
import torch
import torch.distributed as dist
from torch import nn

from common.errors import UserError
from common.module_pickles import load_module_state

CLASSES = ("authors.models.Net", "authors.parts.Block")


class Block(nn.Module):
    """A class of the authors' second file."""

    def __init__(self):
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2)
        self.norms = nn.ModuleList(nn.LayerNorm(4) for _ in range(2))
        self.register_buffer("version", torch.tensor([2.0]))
        self.register_buffer("table", torch.ones(3), persistent=False)
        self.register_parameter("absent", None)


class Net(nn.Module):
    """A class of the authors' first file."""

    def __init__(self):
        super().__init__()
        self.options = {"lr": 0.1, "names": ["l", "a"]}
        self.block = Block()
        self.head = nn.Sequential(nn.Conv1d(4, 2, 1, bias=False), nn.BatchNorm1d(2), nn.ReLU(), nn.Dropout(0.5))
        self.scale = nn.Parameter(torch.randn(3))

    def __setstate__(self, state):
        raise AssertionError("the authors' code was executed")


@pytest.fixture
def authors(monkeypatch):
    """Puts the classes under the authors' names; the returned function takes them away again."""
    files = {name: ModuleType(name) for name in ("authors", "authors.models", "authors.parts")}
    for cls, name in ((Net, "authors.models"), (Block, "authors.parts")):
        monkeypatch.setattr(cls, "__module__", name)
        setattr(files[name], cls.__name__, cls)
    for name, file in files.items():
        monkeypatch.setitem(sys.modules, name, file)

    def leave():
        for name in files:
            monkeypatch.delitem(sys.modules, name)

    return leave


@pytest.fixture
def saved(authors, tmp_path):
    """Call it with what to save; returns the file, whose classes cannot be imported any more."""

    def save(content):
        torch.save(content, tmp_path / "net.pt")
        authors()
        return tmp_path / "net.pt"

    return save


def assert_same_state(found, module):
    expected = module.state_dict()
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
        assert not found[name].requires_grad


def test_state_is_that_of_the_module_in_its_order(saved):
    net = Net()
    net.head(torch.randn(2, 4, 3))  # statistics that are not the initial ones
    assert_same_state(load_module_state(saved(net), CLASSES), net)
    assert "authors.models" not in sys.modules


def test_prefix_of_data_parallel_is_dropped(saved):
    net = Net()
    assert_same_state(load_module_state(saved(nn.DataParallel(net)), CLASSES), net)


def test_prefix_of_distributed_data_parallel_is_dropped(saved, tmp_path):
    net = Net()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        path = saved(nn.parallel.DistributedDataParallel(net))
    finally:
        dist.destroy_process_group()
    assert_same_state(load_module_state(path, CLASSES), net)


def test_shared_weights_stand_under_both_names(saved):
    net = Net()
    net.again = net.head[0]
    state = load_module_state(saved(net), CLASSES)
    assert torch.equal(state["again.weight"], state["head.0.weight"])
    assert_same_state(state, net)


def test_class_that_was_not_named_is_refused(saved):
    path = saved(Net())
    with pytest.raises(UserError) as caught:
        load_module_state(path, CLASSES[:1])
    assert str(caught.value).startswith(f"{path}: holds 'authors.parts.Block', which this reader does not know")
    assert "\n" not in str(caught.value)


class Executed:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("where", ["attribute", "hook", "alone"])
def test_nothing_in_the_file_is_executed(saved, tmp_path, where):
    net, trap = Net(), Executed(tmp_path / "executed")
    if where == "attribute":
        net.options["trap"] = trap
    elif where == "hook":
        net._forward_hooks[0] = trap
    path = saved(trap if where == "alone" else net)
    with pytest.raises(UserError, match=r"net\.pt: holds '\S*open'"):
        load_module_state(path, CLASSES)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "kind"), [({"w": torch.ones(1)}, "dict"), ([1, 2], "list"), (torch.ones(2), "Tensor")]
)
def test_content_that_is_no_module_is_named(saved, content, kind):
    with pytest.raises(UserError, match=rf"net\.pt: holds a {kind}, expected a pickled module"):
        load_module_state(saved(content), CLASSES)


def test_module_without_parameters_is_refused(saved):
    with pytest.raises(UserError, match=r"net\.pt: the pickled module has no parameters"):
        load_module_state(saved(nn.Sequential(nn.ReLU())), CLASSES)


def test_missing_and_truncated_files(saved, tmp_path):
    with pytest.raises(UserError, match=r"none\.pt: no such checkpoint"):
        load_module_state(tmp_path / "none.pt", CLASSES)
    path = saved(Net())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=r"net\.pt: truncated or damaged"):
        load_module_state(path, CLASSES)
