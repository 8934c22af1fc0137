import hashlib
from pathlib import Path

import pytest
import torch
import torchvision

from common.backbones import resnet
from common.backbones.resnet import PUBLISHED, ResNet, find_imagenet_file, load_imagenet_state
from common.errors import UserError
from common.hashing import sha256_of
from common.published_weights import KNOWN, known_name


@pytest.fixture
def caches(tmp_path, monkeypatch):
    for name in ("zoo", "home", "user"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TORCH_MODEL_ZOO", str(tmp_path / "zoo"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    return tmp_path


@pytest.fixture(scope="module")
def small():
    return ResNet(50, width=4, num_classes=5).eval()


def put(path, content=b"weights"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_keys_and_shapes_are_torchvisions(depth):
    with torch.device("meta"):
        ours, theirs = ResNet(depth), getattr(torchvision.models, f"resnet{depth}")(weights=None)
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert list(shapes[0]) == list(shapes[1])


def test_logits_are_torchvisions_with_the_same_weights():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(weights=None)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
    ours = ResNet(50)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, 65, 70)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))


def test_features_are_the_four_stages_with_sizes_rounded_up(small):
    with torch.no_grad():
        stages = small.features(torch.randn(1, 3, 70, 100))
    assert [tuple(stage.shape[1:]) for stage in stages] == [(16, 18, 25), (32, 9, 13), (64, 5, 7), (128, 3, 4)]


def test_unknown_depth_is_refused():
    with pytest.raises(UserError, match="depth 34: expected one of 50, 101, 152"):
        ResNet(34)
    with pytest.raises(UserError, match="depth 34: expected one of 50, 101, 152"):
        find_imagenet_file(34)


def test_file_is_found_by_itself_and_in_its_folder(tmp_path):
    own = put(tmp_path / "mine.pth")
    assert find_imagenet_file(50, own) == own
    published = put(tmp_path / PUBLISHED[101])
    assert find_imagenet_file(101, tmp_path) == published


def test_caches_are_searched_in_order(caches):
    expected = [
        put(caches / "user/.cache/torch/hub/checkpoints" / PUBLISHED[50]),
        put(caches / "user/.torch/models" / PUBLISHED[50]),
        put(caches / "home/hub/checkpoints" / PUBLISHED[50]),
        put(caches / "home/models" / PUBLISHED[50]),
        put(caches / "zoo" / PUBLISHED[50]),
        put(caches / "zoo/50_imagenet.pth.tar"),
    ]
    for place in reversed(expected):
        assert find_imagenet_file(50) == place
        place.unlink()


def test_variables_that_are_not_set_are_skipped(caches, monkeypatch):
    monkeypatch.delenv("TORCH_MODEL_ZOO")
    monkeypatch.delenv("TORCH_HOME")
    assert resnet.cache_folders() == [Path.home() / ".torch/models", Path.home() / ".cache/torch/hub/checkpoints"]


def test_missing_file_tells_where_it_was_sought_and_what_to_do(caches):
    with pytest.raises(UserError) as error:
        find_imagenet_file(152)
    for part in (
        str(caches / "zoo/152_imagenet.pth.tar"),
        str(caches / "home/hub/checkpoints" / PUBLISHED[152]),
        "download.pytorch.org/models/resnet152-b121ed2d.pth",
        "python -m common.standins weights FOLDER --depths 152",
        "--enc-pretrained false",
    ):
        assert part in str(error.value)


def test_named_file_that_is_missing_is_not_replaced_by_a_cached_one(caches):
    put(caches / "zoo" / PUBLISHED[50])
    with pytest.raises(UserError, match=r"typo.pth"):
        find_imagenet_file(50, caches / "typo.pth")


def test_state_comes_back_as_stored(small, tmp_path):
    stored = {name: value for name, value in small.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(stored, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    state = load_imagenet_state(tmp_path / "w.pth", 50)
    assert list(state) == list(stored)
    assert all(torch.equal(state[name], stored[name]) for name in stored)


@pytest.mark.parametrize("old_format", [True, False])
def test_file_cut_short_is_named(small, tmp_path, old_format):
    torch.save(small.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=not old_format)
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"w.pth: truncated or damaged: not a checkpoint"):
        load_imagenet_state(tmp_path / "w.pth")


def test_file_of_another_kind_is_named(tmp_path):
    put(tmp_path / "page.pth", b"<html>not found</html>")
    put(tmp_path / "empty.pth", b"")
    for name in ("page.pth", "empty.pth", "nowhere.pth"):
        with pytest.raises(UserError, match=rf"{name}: (no such checkpoint|.*not a checkpoint|holds)"):
            load_imagenet_state(tmp_path / name)


@pytest.mark.parametrize("content", [[torch.ones(1)], {"state_dict": {"conv1.weight": torch.ones(1)}}])
def test_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w.pth: holds no state dict"):
        load_imagenet_state(tmp_path / "w.pth")


def test_another_network_or_depth_is_refused(small, tmp_path):
    torch.save({"conv1.weight": torch.ones(1), "layer1.0.conv1.weight": torch.ones(1)}, tmp_path / "basic.pth")
    with pytest.raises(UserError, match=r"basic.pth: no bn1.running_mean, layer1.0.conv3.weight"):
        load_imagenet_state(tmp_path / "basic.pth")
    torch.save(small.state_dict(), tmp_path / "r50.pth")
    with pytest.raises(UserError, match=r"r50.pth: .*\(3, 4, 6, 3\).*expected \(3, 4, 23, 3\) \(ResNet-101\)"):
        load_imagenet_state(tmp_path / "r50.pth", 101)


def test_published_file_is_known_by_its_hash_not_by_its_name(tmp_path, monkeypatch):
    file = put(tmp_path / PUBLISHED[50], b"anything")
    assert sha256_of(file) == hashlib.sha256(b"anything").hexdigest()
    assert known_name(sha256_of(file)) is None
    monkeypatch.setitem(KNOWN, sha256_of(file)[:8], "ResNet-50")
    assert known_name(sha256_of(put(tmp_path / "50_imagenet.pth.tar", b"anything"))) == "ResNet-50"


def test_hashes_in_the_names_of_the_published_files_are_known():
    assert {name.split("-")[1].removesuffix(".pth") for name in PUBLISHED.values()} <= set(KNOWN)
