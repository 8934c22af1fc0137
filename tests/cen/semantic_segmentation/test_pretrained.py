"""What a network starts from: published checkpoints and ImageNet files, and those that do not fit."""

import hashlib

import numpy as np
import pytest
import torch

from cen.semantic_segmentation.checkpoints import MADE_BY, Start, load_model
from cen.semantic_segmentation.main import load_start
from cen.semantic_segmentation.pretrained import imagenet_name, load_imagenet, start_from_imagenet
from common.backbones.resnet import ResNet
from common.errors import UserError

PUBLISHED_NAME = "model-best.pth.tar"
OURS = {"made_by": MADE_BY}


def published(model, path, leave_out="", numpy_1=False, **content):
    """Write the network as the authors' script does: behind DataParallel, the score a numpy float64.

    leave_out: end of the names of entries that the file lacks. numpy_1: also in the old format of torch and under
    numpy 1's module names, as in the time of the paper.
    """
    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    weights = {name: value for name, value in weights.items() if not (leave_out and name.endswith(leave_out))}
    content = {"segmenter": weights, "epoch_start": 7, "best_val": np.float64(51.1), **content}
    torch.save(content, path, _use_new_zipfile_serialization=not numpy_1)
    if numpy_1:
        stored = path.read_bytes()
        assert b"numpy._core.multiarray" in stored
        path.write_bytes(stored.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return path


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(model, state):
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("numpy_1", [False, True])
@pytest.mark.parametrize("leave_out", ["", "num_batches_tracked"])
def test_published_checkpoint_loads(narrow, tmp_path, leave_out, numpy_1):
    theirs, ours = narrow(seed=1), narrow(seed=2)
    path = published(theirs, tmp_path / PUBLISHED_NAME, leave_out, numpy_1)
    content, facts = load_model(ours, path, False)
    assert same(ours, theirs.state_dict())
    assert (content["epoch_start"], content["best_val"]) == (7, 51.1)
    assert type(content["best_val"]) is float
    assert facts["ours"] is False
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_our_checkpoint_is_known_as_ours(narrow, tmp_path):
    path = published(narrow(), tmp_path / "last.pt", ours={"best": 51.1}, made_by=MADE_BY)
    content, facts = load_model(narrow(), path, False)
    assert facts["ours"] is True
    assert content["ours"] == {"best": 51.1}


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ({"num_classes": 7}, ["--num-classes", "is 7", "yours 5", "clf_conv.module"]),
        ({"streams": 1}, ["--input", "is 1", "yours 2"]),
        ({"enc": 101}, ["layer3.6", "--enc"]),
        ({"width": 8}, ["conv1.module.weight", "--width"]),
    ],
)
def test_checkpoint_of_another_network_is_named_and_changes_nothing(narrow, tmp_path, build, words):
    path, model = published(narrow(**build), tmp_path / PUBLISHED_NAME), narrow(seed=2)
    before = copied(model)
    with pytest.raises(UserError) as raised:
        load_model(model, path, False)
    for word in [str(path), *words]:
        assert word in str(raised.value)
    assert same(model, before)


def test_checkpoint_that_lacks_an_entry_names_it_and_changes_nothing(narrow, tmp_path):
    path, model = published(narrow(), tmp_path / PUBLISHED_NAME, leave_out="clf_conv.module.bias"), narrow(seed=2)
    before = copied(model)
    with pytest.raises(UserError, match=r"lacks 'clf_conv\.module\.bias'"):
        load_model(model, path, False)
    assert same(model, before)


NO_CHECKPOINTS = {
    "text": (lambda path: path.write_text("not a checkpoint"), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "a list": (lambda path: torch.save([1, 2], path), "segmenter, epoch_start and best_val"),
    "an ImageNet file": (lambda path: torch.save(ResNet(50, 4).state_dict(), path), "segmenter"),
    "weights that are a number": (lambda path: torch.save({"segmenter": 3}, path), "state dict of tensors"),
    "weights of text": (lambda path: torch.save({"segmenter": {"alpha": "x"}}, path), "state dict of tensors"),
    "missing": (lambda path: None, "no such checkpoint"),
}


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_file_that_is_no_checkpoint_is_named(narrow, tmp_path, kind):
    path, (write, words) = tmp_path / PUBLISHED_NAME, NO_CHECKPOINTS[kind]
    write(path)
    with pytest.raises(UserError, match=words) as raised:
        load_model(narrow(), path, False)
    assert str(raised.value).startswith(f"{path}: ")


def test_truncated_checkpoint_is_named(narrow, tmp_path):
    path = published(narrow(), tmp_path / PUBLISHED_NAME)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match="truncated"):
        load_model(narrow(), path, False)


@pytest.mark.parametrize(
    ("name", "torchvisions"),
    [
        ("module.conv1.module.weight", "conv1.weight"),
        ("bn1.bn_1.running_var", "bn1.running_var"),
        ("module.layer3.11.bn2.bn_0.weight", "layer3.11.bn2.weight"),
        ("layer1.0.downsample.0.module.weight", "layer1.0.downsample.0.weight"),
        ("layer1.0.downsample.1.bn_12.bias", "layer1.0.downsample.1.bias"),
    ],
)
def test_name_in_the_imagenet_file(name, torchvisions):
    assert imagenet_name(name) == torchvisions


@pytest.fixture
def imagenet():
    """State dict of a narrow ResNet-50 with drawn values everywhere."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(value.shape, generator=generator) if value.is_floating_point() else value + 3
        for name, value in ResNet(50, width=4).state_dict().items()
    }


ENCODER = ("conv1", "bn1", "layer")


@pytest.mark.parametrize("leave_out", ["", "num_batches_tracked"])
def test_imagenet_fills_the_encoder_of_every_stream_and_nothing_else(narrow, imagenet, tmp_path, leave_out):
    source = {name: value for name, value in imagenet.items() if not (leave_out and name.endswith(leave_out))}
    model = narrow(3)
    before = copied(model)
    overwritten = start_from_imagenet(model, source, tmp_path)
    for name, value in model.state_dict().items():
        filled = name.startswith(ENCODER) and not (leave_out and name.endswith(leave_out))
        assert (name in overwritten) == filled
        assert torch.equal(value, source[imagenet_name(name)] if filled else before[name]), name


def test_streams_start_alike_but_not_with_the_same_tensors(narrow, imagenet, tmp_path):
    model = narrow()
    start_from_imagenet(model, imagenet, tmp_path)
    first, second = model.bn1.norms()
    assert torch.equal(first.weight, second.weight)
    with torch.no_grad():
        first.weight += 1
    assert torch.equal(second.weight, imagenet["bn1.weight"])


def test_penalised_slices_follow_the_loaded_scales(narrow, imagenet, tmp_path):
    model = narrow()
    part = model.get_parameter("layer1.0.bn2.bn_0.weight")[:2]
    start_from_imagenet(model, imagenet, tmp_path)
    assert torch.equal(part, imagenet["layer1.0.bn2.weight"][:2])


@pytest.mark.parametrize("missing", ["conv1.weight", "bn1.running_mean", "layer2.3.conv3.weight", "layer4.2.bn3.bias"])
def test_imagenet_file_without_an_encoders_entry_is_refused_and_changes_nothing(narrow, imagenet, tmp_path, missing):
    model = narrow()
    before = copied(model)
    del imagenet[missing]
    with pytest.raises(UserError, match=rf"lacks '{missing}'.*--enc") as raised:
        start_from_imagenet(model, imagenet, tmp_path / "resnet.pth")
    assert str(raised.value).startswith(f"{tmp_path / 'resnet.pth'}: ")
    assert same(model, before)


def test_imagenet_file_of_another_width_is_refused_and_changes_nothing(narrow, tmp_path):
    model = narrow()
    before = copied(model)
    with pytest.raises(
        UserError, match=r"'conv1\.weight' is \(8, 3, 7, 7\), this network's is \(4, 3, 7, 7\).*--width"
    ):
        start_from_imagenet(model, ResNet(50, width=8).state_dict(), tmp_path)
    assert same(model, before)


def imagenet_file(folder, depth):
    path = folder / f"resnet{depth}.pth"
    torch.save(ResNet(depth, width=4).state_dict(), path)
    return path


def test_imagenet_file_of_the_flags_is_loaded_and_described(narrow, imagenet, tmp_path):
    path, model = tmp_path / "resnet.pth", narrow()
    torch.save(imagenet, path)
    facts = load_imagenet(model, 50, str(path), False)
    assert torch.equal(model.conv1.module.weight, imagenet["conv1.weight"])
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts["published"], facts["standin"]) == (False, False)
    (tmp_path / "standin.json").write_text("{}")
    assert load_imagenet(model, 50, str(path), False)["standin"] is True


@pytest.mark.parametrize(
    ("said", "standin", "published", "by"),
    [(False, False, False, None), (True, False, True, "user"), (False, True, False, None), (True, True, False, None)],
)
def test_imagenet_file_of_unknown_hash_is_published_by_the_users_word_alone_and_a_standin_never(
    narrow, imagenet, tmp_path, said, standin, published, by
):
    torch.save(imagenet, tmp_path / "resnet.pth")
    if standin:
        (tmp_path / "standin.json").write_text("{}")
    facts = load_imagenet(narrow(), 50, str(tmp_path / "resnet.pth"), said)
    assert (facts["published"], facts["published_by"], facts["standin"]) == (published, by, standin)


@pytest.mark.parametrize(("made_by", "said", "by"), [({}, False, None), ({}, True, "user"), (OURS, True, None)])
def test_checkpoint_is_published_by_the_users_word_but_never_one_of_ours(narrow, tmp_path, made_by, said, by):
    path = published(narrow(), tmp_path / PUBLISHED_NAME, **made_by)
    _, facts = load_model(narrow(), path, said)
    assert (facts["published"], facts["published_by"], facts["ours"]) == (by is not None, by, bool(made_by))


@pytest.mark.parametrize(("asked", "given"), [(101, 50), (50, 101)])
def test_imagenet_file_of_another_depth_is_refused_and_changes_nothing(narrow, tmp_path, asked, given):
    model = narrow(enc=asked)
    before = copied(model)
    with pytest.raises(UserError, match=f"ResNet-{asked}"):
        load_imagenet(model, asked, str(imagenet_file(tmp_path, given)), False)
    assert same(model, before)


@pytest.mark.parametrize(("quirk", "epoch"), [("official", 7), ("fixed", 8)])
def test_quirk_resume_epoch_decides_whether_a_published_epoch_is_trained_again(narrow, flags, tmp_path, quirk, epoch):
    path, facts, model = published(narrow(seed=1), tmp_path / PUBLISHED_NAME), {}, narrow(seed=2)
    start = load_start(flags("--resume", str(path), "--quirk", f"resume_epoch={quirk}"), model, facts)
    assert (start.epoch, start.best_val, start.ours) == (epoch, 51.1, None)
    assert same(model, narrow(seed=1).state_dict())
    assert set(facts) == {"checkpoint"}


@pytest.mark.parametrize("quirk", ["official", "fixed"])
def test_our_checkpoint_keeps_its_epoch_under_either_quirk(narrow, flags, tmp_path, quirk):
    path = published(narrow(), tmp_path / "last.pt", ours={})
    args = flags("--resume", str(path), "--quirk", f"resume_epoch={quirk}")
    assert load_start(args, narrow(), {}).epoch == 7


def test_without_a_checkpoint_the_start_is_imagenet_or_at_random(narrow, flags, imagenet, tmp_path):
    torch.save(imagenet, tmp_path / "resnet.pth")
    model, facts, fresh = narrow(), {}, Start()
    given = ["--enc", "50", "--imagenet", str(tmp_path / "resnet.pth")]
    assert load_start(flags(*given, "--enc-pretrained", "false"), model, facts) == fresh
    assert facts == {}
    assert same(model, narrow().state_dict())
    assert load_start(flags(*given), model, facts) == fresh
    assert set(facts) == {"weights"}
    assert torch.equal(model.conv1.module.weight, imagenet["conv1.weight"])
