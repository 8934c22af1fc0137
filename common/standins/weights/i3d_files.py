"""Stand-ins of rgb_imagenet.pt and flow_imagenet.pt: Inception-I3Ds under the published names and keys.

Nothing was learned. Convolutions are He-initialised, scales lie between 0.5 and 1.5, and the batch norms' running
statistics fit: they were measured on drifting textures (colour) and on their motion (flow), so that a network with
frozen statistics has activations of ordinary size in every layer.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.backbones.i3d import I3D
from common.backbones.i3d_weights import CHANNELS, PUBLISHED
from common.standins.weights.calibration import calibrate

NARROW = 8
CLIPS, FRAMES, SIDE = 8, 16, 64
FASTEST = 3.0  # pixels a frame


def write_i3d(folder: Path, narrow: int = NARROW, seed: int = 0) -> None:
    """Write both files into the folder; narrow: what all widths are divided by, 1 is the published network."""
    for stream, name in PUBLISHED.items():
        torch.save(i3d_state(stream, narrow, seed), folder / name)


def i3d_state(stream: str, narrow: int = NARROW, seed: int = 0) -> dict[str, Tensor]:
    """State dict of an untrained, calibrated I3D of "rgb" or "flow" with 400 classes."""
    generator = torch.Generator().manual_seed(1000 * seed + CHANNELS[stream])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # construction draws too; all of it is overwritten
        model = I3D(CHANNELS[stream], dropout=0.0, narrow=narrow)
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0.0, 0.1, generator=generator)
    head = model.logits.conv3d
    nn.init.normal_(head.weight, 0.0, 0.01, generator=generator)
    if head.bias is not None:
        nn.init.zeros_(head.bias)
    calibrate(model, calibration_clips(stream, seed))
    return model.state_dict()


def calibration_clips(stream: str, seed: int, clips: int = CLIPS) -> Tensor:
    """float32 (clips, 3 or 2, 16, 64, 64) in [-1, 1]: drifting textures, or motion of 20 pixels a frame at 1."""
    generator = torch.Generator().manual_seed(7000 + seed)
    return _motion(clips, generator) if stream == "flow" else _drifting_textures(clips, generator)


def _motion(clips: int, generator: torch.Generator) -> Tensor:
    """Regions that move each their own way, noise, and a third of the pixels at rest."""
    regions = FASTEST / 20 * torch.randn(clips, 2, 4, 4, 4, generator=generator)
    moving = F.interpolate(regions, size=(FRAMES, SIDE, SIDE), mode="trilinear")
    moving = moving + 0.05 * torch.randn(moving.shape, generator=generator)
    still = torch.rand(clips, 1, 1, SIDE, SIDE, generator=generator) < 0.3
    return torch.where(still, 0.0, moving).clamp(-1, 1)


def _drifting_textures(clips: int, generator: torch.Generator) -> Tensor:
    """Views of a larger random picture, each clip with its own velocity."""
    velocity = FASTEST * (2 * torch.rand(clips, 2, generator=generator) - 1)
    texture = F.interpolate(torch.rand(clips, 3, 24, 24, generator=generator), size=2 * SIDE, mode="bicubic")
    frames = []
    for frame in range(FRAMES):
        shift = (velocity * (frame - FRAMES / 2)).round().int().tolist()
        corners = [(SIDE // 2 + dy, SIDE // 2 + dx) for dx, dy in shift]
        views = [image[:, y : y + SIDE, x : x + SIDE] for image, (y, x) in zip(texture, corners, strict=True)]
        frames.append(torch.stack(views))
    return (2 * torch.stack(frames, dim=2) - 1).clamp(-1, 1)
