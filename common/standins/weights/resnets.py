"""Stand-ins of the ImageNet ResNets that torchvision publishes.

Nothing was learned. The convolutions are He-initialised; what makes them a usable start is that the batch norms'
running statistics fit (they were measured on rooms of common.datasets.rooms, colour and depth mixed), so that a network
with frozen statistics has activations of ordinary size in every layer, and that some scales of every bn2 are nearly 0:
the weak channels that a trained network has given up, which methods that prune or replace channels look for.
"""

import numpy as np
import torch
from torch import Tensor, nn

from common.backbones.resnet import ResNet
from common.datasets.nyudv2.reader import UNITS_PER_METRE
from common.datasets.rooms.render import render_room
from common.standins.weights.calibration import calibrate

WEAK_SCALE, WEAK_SHARE = 0.02, 0.15
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def standin_state(depth: int, width: int = 64, seed: int = 0, weak_share: float = WEAK_SHARE) -> dict[str, Tensor]:
    """State dict of an untrained, calibrated ResNet, without num_batches_tracked like the old published files.

    weak_share: of the scales of every bn2, how many lie within WEAK_SCALE of 0, from 0 to 1; the others lie from 0.5
    to 1.5.
    """
    generator = torch.Generator().manual_seed(1000 * seed + depth)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # construction draws too; all of it is overwritten
        model = ResNet(depth, width)
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            _draw_scales(name, module, generator, weak_share)
    calibrate(model, calibration_images(seed))
    return {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def _draw_scales(name: str, norm: nn.BatchNorm2d, generator: torch.Generator, weak_share: float) -> None:
    """bn3: 0.3 to 0.5, so that the residual sums stay small; others: 0.5 to 1.5, some of bn2 nearly 0."""
    low, high = (0.3, 0.5) if name.endswith("bn3") else (0.5, 1.5)
    nn.init.uniform_(norm.weight, low, high, generator=generator)
    nn.init.normal_(norm.bias, 0.0, 0.1, generator=generator)
    if name.endswith("bn2"):
        weak = torch.rand(norm.num_features, generator=generator) < weak_share
        tiny = WEAK_SCALE * (2 * torch.rand(norm.num_features, generator=generator) - 1)
        norm.weight.data = torch.where(weak, tiny, norm.weight.data)


def calibration_images(seed: int, rooms: int = 8, size: tuple[int, int] = (96, 128)) -> Tensor:
    """float32 (2 rooms, 3, H, W): colour normalised as for ImageNet, then depth in metres, three times alike."""
    pictures = [render_room(seed, number + 1, *size) for number in range(rooms)]
    colour = (np.stack([picture.rgb for picture in pictures]) / 255 - MEAN) / STD
    depth = np.stack([picture.depth for picture in pictures]) / UNITS_PER_METRE
    both = np.concatenate([colour, np.repeat(depth[..., None], 3, axis=-1)])
    return torch.from_numpy(both).float().permute(0, 3, 1, 2)
