"""Posters as the second fully connected layer of VGG-16."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from tqdm import tqdm

from common.checkpoint import load_published, safe_load
from common.errors import UserError

SIDE, SHORTER = 224, 256  # pixels
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of torchvision's ImageNet weights, RGB


def vgg_features(weights: Path) -> nn.Module:
    """torchvision's VGG-16 up to the ReLU of its second fully connected layer: (B, 3, 224, 224) -> (B, 4096).

    weights: torchvision's state dict, vgg16-397923af.pth.
    Raises UserError naming the file if it is missing or damaged, and the entry that does not fit.
    """
    if not weights.is_file():
        raise UserError(
            f"{weights}: no such file; expected VGG-16's ImageNet weights of torchvision, vgg16-397923af.pth"
        )
    with torch.device("meta"):  # 138 M parameters that need no random start
        network = torchvision.models.vgg16()
    network.to_empty(device="cpu")
    load_published(network, safe_load(weights), weights)
    return nn.Sequential(network.features, network.avgpool, nn.Flatten(), network.classifier[:5]).eval()


def read_poster(path: Path) -> Tensor:
    """uint8 (3, 224, 224) RGB: the shorter side scaled to 256, then the centre. Raises UserError for a bad file."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
    if image is None:
        found = "cannot be read as an image" if path.is_file() else "no such poster"
        raise UserError(f"{path}: {found}; expected a JPEG. Complete the release or take the film out of split.json")
    height, width = image.shape[:2]
    scale = SHORTER / min(height, width)
    size = max(SHORTER, round(width * scale)), max(SHORTER, round(height * scale))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (image.shape[0] - SIDE) // 2, (image.shape[1] - SIDE) // 2
    return torch.from_numpy(np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)))


@torch.inference_mode()
def poster_features(
    posters: Sequence[Path], network: nn.Module, device: torch.device, batch_size: int = 64, workers: int = 0
) -> np.ndarray:
    """float32 (n, 4096), in the order of the posters; (n, w) for a network with w outputs.

    network: (B, 3, 224, 224) normalised RGB -> (B, w); workers: processes that read posters.
    Raises UserError for a missing or damaged poster.
    """
    network = network.to(device).eval()
    mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in (MEAN, DEVIATION))
    loader = torch.utils.data.DataLoader(
        _Posters(posters), batch_size, num_workers=workers, pin_memory=device.type == "cuda"
    )
    parts = []
    for batch in tqdm(loader, desc="posters", disable=None):
        pixels = batch.to(device, non_blocking=True).float().div_(255)
        parts.append(network((pixels - mean) / deviation).float())
    return torch.cat(parts).cpu().numpy()


class _Posters(torch.utils.data.Dataset):
    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return read_poster(self.paths[index])
