"""Bottleneck ResNets under torchvision's key names, and the published ImageNet files.

A state dict of torchvision's resnet50, resnet101 or resnet152 loads strictly, and gives the same logits.
"""

import os
from pathlib import Path

from torch import Tensor, nn

from common.checkpoint import safe_load
from common.errors import UserError

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# The part after the dash is the beginning of the file's SHA-256.
PUBLISHED = {50: "resnet50-19c8e357.pth", 101: "resnet101-5d3b4d8f.pth", 152: "resnet152-b121ed2d.pth"}
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 (carries the stride), 1x1 to four times `planes`, each with batch norm; plus the shortcut.

    x: (B, inplanes, H, W). Returns (B, 4 planes, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        outplanes = EXPANSION * planes
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outplanes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outplanes)
        self.downsample = None
        if stride != 1 or inplanes != outplanes:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, outplanes, 1, stride, bias=False), nn.BatchNorm2d(outplanes)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return (self.bn3(self.conv3(x)) + shortcut).relu()


class ResNet(nn.Module):
    """ResNet of depth 50, 101 or 152; width 64 is the published one.

    x: (B, 3, H, W), normalised with ImageNet's mean and deviation. Returns logits (B, num_classes).
    """

    def __init__(self, depth: int, width: int = 64, num_classes: int = 1000) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise UserError(f"ResNet depth {depth}: expected one of {', '.join(map(str, BLOCKS))}")
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inplanes = width
        for stage, blocks in enumerate(BLOCKS[depth]):
            planes = width * 2**stage
            strides = [1 if stage == 0 else 2] + [1] * (blocks - 1)
            layer = nn.Sequential()
            for stride in strides:
                layer.append(Bottleneck(inplanes, planes, stride))
                inplanes = EXPANSION * planes
            setattr(self, f"layer{stage + 1}", layer)
        self.fc = nn.Linear(inplanes, num_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the four stages: (B, 4 width 2^i, H / 2^(i + 2), W / 2^(i + 2)) for i = 0..3, sizes rounded up."""
        x = self.bn1(self.conv1(x)).relu()
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        stages = []
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
            stages.append(x)
        return stages

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x)[-1].mean(dim=(2, 3)))


def find_imagenet_file(depth: int, path: str | Path | None = None) -> Path:
    """Where the ImageNet weights of this depth lie.

    path: the file, or a folder that holds it under its published name. Without one the caches of torch, old and new,
    are searched, also for the name <depth>_imagenet.pth.tar.
    Raises UserError that lists the places looked at and what to do.
    """
    if depth not in PUBLISHED:
        raise UserError(f"ResNet depth {depth}: expected one of {', '.join(map(str, PUBLISHED))}")
    names = (f"{depth}_imagenet.pth.tar", PUBLISHED[depth])
    if path is None:
        places = [folder / name for folder in cache_folders() for name in names]
    elif Path(path).is_dir():
        places = [Path(path) / name for name in reversed(names)]
    else:
        places = [Path(path)]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f"ImageNet weights of ResNet-{depth}: none of {', '.join(map(str, places))} exists. The file comes from "
        f"download.pytorch.org/models/{PUBLISHED[depth]}; a stand-in: python -m common.standins weights FOLDER "
        f"--depths {depth}; --enc-pretrained false starts at random"
    )


def cache_folders() -> list[Path]:
    """Folders where published torch weights are kept, in the order of search; a variable that is not set adds none."""
    folders = []
    if "TORCH_MODEL_ZOO" in os.environ:
        folders.append(Path(os.environ["TORCH_MODEL_ZOO"]))
    if "TORCH_HOME" in os.environ:
        home = Path(os.environ["TORCH_HOME"])
        folders += [home / "models", home / "hub" / "checkpoints"]
    return [*folders, Path.home() / ".torch" / "models", Path.home() / ".cache" / "torch" / "hub" / "checkpoints"]


def load_imagenet_state(path: str | Path, depth: int | None = None) -> dict[str, Tensor]:
    """State dict of a bottleneck ResNet as stored (old files lack num_batches_tracked; fc is kept).

    depth: what the file must hold, if given.
    Raises UserError for a missing or damaged file, one that holds anything else, or another depth.
    """
    state = safe_load(Path(path))
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no state dict; expected tensors under torchvision's ResNet key names")
    missing = [name for name in ("conv1.weight", "bn1.running_mean", "layer1.0.conv3.weight") if name not in state]
    if missing:
        raise UserError(f"{path}: no {', '.join(missing)}; expected a state dict of a ResNet-50, -101 or -152")
    if depth is not None and _blocks(state) != BLOCKS[depth]:
        raise UserError(f"{path}: holds stages of {_blocks(state)} blocks; expected {BLOCKS[depth]} (ResNet-{depth})")
    return dict(state)


def _blocks(state: dict[str, Tensor]) -> tuple[int, ...]:
    return tuple(
        sum(name.startswith(f"layer{stage}.") and name.endswith(".conv1.weight") for name in state)
        for stage in (1, 2, 3, 4)
    )
