import json

import pytest
import torch
import torchvision
from torch import nn

from common.backbones.i3d import I3D
from common.backbones.i3d_weights import CHANNELS, find_i3d_file, load_i3d
from common.backbones.resnet import PUBLISHED, ResNet, find_imagenet_file, load_imagenet_state
from common.errors import UserError
from common.hashing import sha256_of
from common.published_weights import known_name
from common.standins.__main__ import main
from common.standins.marker import is_standin
from common.standins.weights.calibration import calibrate
from common.standins.weights.i3d_files import FRAMES, SIDE, calibration_clips, i3d_state
from common.standins.weights.resnets import calibration_images, standin_state
from common.standins.weights.standin import write_weights


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def state():
    return standin_state(50, width=16)


@pytest.fixture(scope="module")
def model(state):
    model = ResNet(50, width=16)
    model.load_state_dict(state, strict=False)
    return model.eval()


def test_files_are_found_and_read_like_the_published_ones(tmp_path):
    main(["weights", str(tmp_path), "--depths", "50", "101", "--width", "4", "--narrow", "32"])
    for depth in (50, 101):
        path = find_imagenet_file(depth, tmp_path)
        assert path.name == PUBLISHED[depth]
        assert load_imagenet_state(path, depth)["conv1.weight"].shape == (4, 3, 7, 7)
        assert known_name(sha256_of(path)) is None
    assert json.loads((tmp_path / "standin.json").read_text())["truth"]["trained"] is False
    assert (tmp_path / "bert-base-uncased/config.json").is_file()
    for stream, channels in CHANNELS.items():
        load_i3d(I3D(channels, narrow=32), find_i3d_file(stream, tmp_path))


def test_bert_folder_is_marked_and_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        main(["weights", str(tmp_path / name), "--only", "bert", "--seed", seed])
    one, same, other = (contents(tmp_path / name / "bert-base-uncased") for name in "abc")
    assert set(one) == {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json", "standin.json"}
    assert is_standin(tmp_path / "a/bert-base-uncased")
    assert one == same
    assert [name for name in one if one[name] != other[name]] == ["model.safetensors", "standin.json"]


def test_only_what_is_asked_for_is_written(tmp_path):
    main(["weights", str(tmp_path), "--only", "bert"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bert-base-uncased", "standin.json"]
    main(["weights", str(tmp_path), "--only", "resnet", "--depths", "50", "--width", "2"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [*("bert-base-uncased", PUBLISHED[50], "standin.json")]
    assert json.loads((tmp_path / "standin.json").read_text())["truth"]["written"] == ["resnet"]


def test_kind_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(UserError, match="--only vit: expected some of resnet, bert, i3d"):
        write_weights(tmp_path / "w", only=["resnet", "vit"])
    assert not (tmp_path / "w").exists()


def test_keys_are_those_of_the_old_published_files(state):
    with torch.device("meta"):
        published = torchvision.models.resnet50(weights=None).state_dict()
    assert list(state) == [name for name in published if not name.endswith("num_batches_tracked")]


def test_same_seed_gives_the_same_weights_and_another_seed_others(state):
    again, other = standin_state(50, 16), standin_state(50, 16, seed=1)
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not torch.equal(state["conv1.weight"], other["conv1.weight"])


def test_drawing_weights_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    standin_state(50, 2)
    assert torch.equal(torch.rand(1), expected)


def test_a_share_of_middle_scales_is_almost_zero(state):
    scales = torch.cat([value for name, value in state.items() if name.endswith("bn2.weight")]).abs()
    small = scales < 0.02
    assert 0.1 < small.float().mean() < 0.2
    assert scales[~small].min() >= 0.5
    assert min(value.min() for name, value in state.items() if name.endswith(("bn1.weight", "bn3.weight"))) >= 0.3


def test_frozen_statistics_fit_new_rooms_in_every_layer(model):
    spreads = []

    def watch(norm, inputs):
        normed = (inputs[0] - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
        spreads.append(normed.std().item())

    handles = [m.register_forward_pre_hook(watch) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        stages = model.features(calibration_images(seed=9, rooms=4))
    for handle in handles:
        handle.remove()
    assert len(spreads) == 53
    assert min(spreads) > 0.6
    assert max(spreads) < 1.6
    assert all(0.2 < stage.std() < 3 for stage in stages)


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_frozen_statistics_of_an_i3d_fit_new_clips_in_every_layer(stream):
    model = I3D(CHANNELS[stream], narrow=16)
    model.load_state_dict(i3d_state(stream, 16))
    spreads = []

    def watch(norm, inputs):
        shape = (1, -1, 1, 1, 1)
        normed = inputs[0] - norm.running_mean.view(shape)
        spreads.append((normed / (norm.running_var.view(shape) + norm.eps).sqrt()).std().item())

    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.register_forward_pre_hook(watch)
    with torch.no_grad():
        last = model.eval().run(calibration_clips(stream, seed=9))
    assert len(spreads) == 57
    assert min(spreads) > 0.5
    assert max(spreads) < 2
    assert 0.2 < last.std() < 3
    assert (last.amax(dim=(0, 2, 3, 4)) > 0).float().mean() > 0.9  # few channels are dead


def test_i3d_files_are_the_same_for_the_same_seed_and_leave_the_generator_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    states = [i3d_state("flow", 32, seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not torch.equal(states[0]["Mixed_3b.b0.conv3d.weight"], states[2]["Mixed_3b.b0.conv3d.weight"])
    assert list(states[0]) == list(I3D(2, narrow=32).state_dict())


@pytest.mark.parametrize(("stream", "channels"), CHANNELS.items())
def test_calibration_clips_move_within_the_range(stream, channels):
    clips = calibration_clips(stream, seed=0, clips=3)
    assert clips.shape == (3, channels, FRAMES, SIDE, SIDE)
    assert clips.abs().max() <= 1
    assert all(not torch.equal(clips[:, :, frame], clips[:, :, frame + 1]) for frame in range(FRAMES - 1))


def test_calibration_measures_the_given_images_and_ends_in_eval_mode():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    images = 5 + 2 * torch.randn(6, 3, 8, 8)
    calibrate(model, images)
    with torch.no_grad():
        out = model(images)
    assert not model.training
    assert model[1].momentum == 0.1
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(out.var(dim=(0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_calibration_sees_both_modalities():
    images = calibration_images(seed=0, rooms=3)
    assert images.shape == (6, 3, 96, 128)
    assert images[:3].min() < 0
    assert images[3:].min() == 0
    assert 2 < images[3:].max() < 5.5


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--depths", "34"], "--depths 34"), (["--width", "0"], "--width 0"), (["--narrow", "0"], "--narrow 0")],
)
def test_impossible_sizes_are_refused(tmp_path, flags, message):
    with pytest.raises(UserError, match=message):
        main(["weights", str(tmp_path / "w"), *flags])
    assert not (tmp_path / "w").exists()


def test_folder_of_another_stand_in_is_left_alone(tmp_path):
    main(["nyudv2", str(tmp_path), "--samples", "1", "--size", "48", "64"])
    with pytest.raises(UserError, match="nothing was written"):
        main(["weights", str(tmp_path), "--depths", "50", "--width", "2"])
