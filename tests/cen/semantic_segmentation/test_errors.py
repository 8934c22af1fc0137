"""Bad input of CEN's segmentation: one line that names the thing, exit status 2, nothing overwritten."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cen.semantic_segmentation.main import main
from common.errors import UserError
from tests.support.run_folders import earlier_run
from tests.support.run_folders import refusal as refused
from tests.support.segmentation_runs import command


@pytest.fixture
def inputs(originals, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(originals, tmp_path / "inputs"))


@pytest.fixture
def run_dir(tmp_path):
    """The folder of an earlier run, which must stay as it is."""
    return earlier_run(tmp_path / "run")


def refusal(run_dir, argv):
    return refused(run_dir, lambda: main(argv))


def first_sample(inputs):
    rgb, mask, depth = (inputs / "rooms" / "train.txt").read_text().splitlines()[0].split("\t")
    return inputs / "rooms" / rgb, inputs / "rooms" / mask, inputs / "rooms" / depth


def test_missing_data_folder(inputs, run_dir):
    message = refusal(run_dir, command(inputs, run_dir, "-d", "nowhere", "--train-list", f"{inputs}/rooms/train.txt"))
    assert message.startswith("nowhere: no such folder")
    assert "python -m common.standins nyudv2" in message


def test_missing_list(inputs, run_dir):
    assert refusal(run_dir, command(inputs, run_dir, "--val-list", "none.txt")).startswith("none.txt: no such list")


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["rgb", "mask", "depth"])
def test_list_with_a_missing_image(inputs, run_dir, kind):
    path = first_sample(inputs)[kind]
    path.unlink()
    message = refusal(run_dir, command(inputs, run_dir))
    assert f"{path}: no such image" in message
    assert "train.txt:1:" in message


@pytest.mark.parametrize("size", [(20, 30), (60, 80), (47, 64)], ids=["half", "larger", "one row less"])
def test_mask_of_another_size_than_its_image(inputs, run_dir, size):
    mask = first_sample(inputs)[1]
    Image.fromarray(np.zeros(size, np.uint8)).save(mask)
    message = refusal(run_dir, command(inputs, run_dir))
    assert f"{mask}: mask of {size[0]}x{size[1]}" in message
    assert "48x64" in message


def test_damaged_image_stops_the_run_with_its_name(inputs, tmp_path):
    rgb = first_sample(inputs)[0]
    rgb.write_bytes(rgb.read_bytes()[:400])
    for workers in ("0", "1"):
        with pytest.raises(UserError) as caught:
            main(command(inputs, tmp_path / workers, "--num-workers", workers))
        assert str(caught.value).startswith(f"{rgb}: cannot be read")
        assert "\n" not in str(caught.value)


def test_label_outside_the_classes(inputs, tmp_path):
    with pytest.raises(UserError, match=r"masks/.*\.png: label \d+ found, expected 0\.\.4 "):
        main(command(inputs, tmp_path / "run", "--num-classes", "5"))


def test_missing_imagenet_weights(inputs, run_dir):
    message = refusal(run_dir, command(inputs, run_dir, "--imagenet", "nowhere"))
    assert "ImageNet weights of ResNet-50" in message
    assert "nowhere" in message
    assert "--enc-pretrained false" in message


def test_imagenet_weights_of_another_network(inputs, run_dir):
    message = refusal(run_dir, command(inputs, run_dir, "--width", "8"))
    assert message.startswith(f"{inputs}/weights/resnet50-19c8e357.pth: 'conv1.weight' is (4, 3, 7, 7)")


@pytest.fixture(scope="module")
def trained(originals, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    main(command(originals, folder, "--num-epoch", "1", "--lr-enc", "1e-3", "--lr-dec", "1e-3"))
    return folder / "checkpoints" / "best.pt"


@pytest.mark.parametrize("mode", [["--evaluate"], []], ids=["evaluate", "train"])
def test_truncated_checkpoint(inputs, run_dir, trained, mode):
    cut = run_dir.parent / "cut.pth.tar"
    cut.write_bytes(trained.read_bytes()[:-2000])
    assert refusal(run_dir, command(inputs, run_dir, "--resume", str(cut), *mode)).startswith(f"{cut}: truncated")


@pytest.mark.parametrize("mode", [["--evaluate"], []], ids=["evaluate", "train"])
def test_checkpoint_with_another_number_of_classes(inputs, run_dir, trained, mode):
    content = torch.load(trained, weights_only=True)
    for kind in ("weight", "bias"):
        name = f"module.clf_conv.module.{kind}"
        content["segmenter"][name] = content["segmenter"][name][:13]
    other = run_dir.parent / "thirteen.pth.tar"
    torch.save(content, other)
    message = refusal(run_dir, command(inputs, run_dir, "--resume", str(other), *mode))
    assert message.startswith(f"{other}: ")
    assert "(the checkpoint's --num-classes is 13, yours 40)" in message


def test_missing_checkpoint(inputs, run_dir):
    assert refusal(run_dir, command(inputs, run_dir, "--resume", "no.pth")).startswith("no.pth: no such checkpoint")


def test_checkpoint_that_would_run_code(inputs, run_dir):
    class Evil:
        def __reduce__(self):
            return print, ("executed",)

    path = run_dir.parent / "evil.pth.tar"
    torch.save({"segmenter": Evil(), "epoch_start": 0, "best_val": 0.0}, path)
    message = refusal(run_dir, command(inputs, run_dir, "--evaluate", "--resume", str(path)))
    assert message.startswith(f"{path}: holds 'print'")


def test_not_a_number_stops_before_the_update_and_names_step_and_rates(inputs, tmp_path):
    with pytest.raises(
        UserError, match=r"step \d+: the loss is (nan|inf), epoch 0, learning rates 1e\+30 .*no checkpoint"
    ):
        main(command(inputs, tmp_path / "run", "--lr-enc", "1e30", "5e-4", "2e-4"))


def test_gpu_that_is_not_there(inputs, run_dir, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Device {index}")
    message = refusal(run_dir, [*command(inputs, run_dir), "--gpu", "7"])
    assert message == "--gpu 7: no such CUDA device; there are: 0 (Device 0); -1 is the CPU"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_one_line_says_so_and_the_command_exits_with_2_on_bad_input(tmp_path):
    arguments = ["--gpu", "7", "-d", "nowhere", "--train-list", "none", "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "cen.semantic_segmentation.main", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,  # it starts from any folder
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.splitlines() == ["no CUDA device here: running on the CPU (--gpu 7 asked for)"]
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: nowhere: no such folder")
    assert not (tmp_path / "run").exists()
