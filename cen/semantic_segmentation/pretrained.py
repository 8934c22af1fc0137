"""ImageNet's ResNets as the start of every stream."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.backbones.resnet import find_imagenet_file, load_imagenet_state
from common.errors import UserError
from common.published_weights import weights_facts
from common.standins.marker import is_standin


def imagenet_name(name: str) -> str:
    """The torchvision name behind a network's name: no `module.`, no `.bn_<i>`."""
    return re.sub(r"\.bn_\d+", "", name.replace("module.", ""))


@torch.no_grad()
def start_from_imagenet(model: nn.Module, source: Mapping[str, Tensor], path: Path) -> list[str]:
    """Copy an ImageNet ResNet into stem and layers of the bare network, every norm into all streams.

    Decoder and alpha keep their values; the file's fc is not used.
    Returns the names that were overwritten. Raises UserError, before anything is changed, if the file lacks
    an encoder's entry or has it in another shape.
    """
    state, copied = model.state_dict(), []
    for name, value in state.items():
        known = source.get(imagenet_name(name))
        if known is None:
            if re.match(r"conv1|bn1|layer", name) and not name.endswith("num_batches_tracked"):
                raise UserError(f"{path}: lacks '{imagenet_name(name)}': not the ResNet that --enc asks for")
            continue
        if known.shape != value.shape:
            raise UserError(
                f"{path}: '{imagenet_name(name)}' is {tuple(known.shape)}, this network's is {tuple(value.shape)}: "
                "not the ResNet that --enc and --width ask for"
            )
        copied.append(name)
    for name in copied:
        state[name].copy_(source[imagenet_name(name)])
    return copied


def load_imagenet(model: nn.Module, depth: int, given: str | None, said_to_be_published: bool) -> dict[str, Any]:
    """Start from the ImageNet ResNet of that depth, `given` or where it is usually kept; what run.json says of it."""
    path = find_imagenet_file(depth, Path(given) if given else None)
    start_from_imagenet(model, load_imagenet_state(path, depth), path)
    return weights_facts([path], said_to_be_published, is_standin(path.parent))
