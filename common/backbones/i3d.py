"""Inception-I3D (Carreira and Zisserman, CVPR 2017) under the key names of rgb_imagenet.pt and flow_imagenet.pt.

Clips are (B, C, T, H, W): 3 channels of colour or 2 of optical flow, in [-1, 1]. A caller that works between the stages
runs them by name:

    x = i3d.run(clip, until="Mixed_3b")
    x = i3d.run(x, after="Mixed_3b")
    logits = i3d.head(x)

Any clip passes the stages. The head, with the published pooling window of (2, 7, 7), takes maps of at most 7 x 7: sides
of at most 224. A map smaller than the window is averaged whole. Every layer works in the channels_last_3d format too.
Before torch 2.10, Conv3d gives wrong results in bf16 on CUDA: such a run is refused.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = tuple[int, int, int]  # of time, height and width

KINETICS_CLASSES = 400
WINDOW = (2, 7, 7)  # of the average over the last map: 9 to 16 frames of 193 to 224 pixels a side

# Output channels of b0; of b1a and b1b; of b2a and b2b; of b3b.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Output channels, kernel and stride of the convolutions.
CONVOLUTIONS: dict[str, tuple[int, Sizes, Sizes]] = {
    "Conv3d_1a_7x7": (64, (7, 7, 7), (2, 2, 2)),
    "Conv3d_2b_1x1": (64, (1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": (192, (3, 3, 3), (1, 1, 1)),
}
# Kernel and stride of the pools.
POOLS: dict[str, tuple[Sizes, Sizes]] = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
STAGES = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    *("Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3"),
    *("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2"),
    *("Mixed_5b", "Mixed_5c"),
)
LAST = STAGES[-1]


def same_padding(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Zeros on both sides of each axis so that ceil(size / stride) outputs remain; the odd one comes last.

    As F.pad takes them: the last axis first, front and back.
    """
    padding = []
    for size, k, s in reversed(list(zip(sizes, kernel, stride, strict=True))):
        total = max(k - (size % s or s), 0)
        padding += [total // 2, total - total // 2]
    return padding


def widths(narrow: int = 1) -> dict[str, int]:
    """Channels after each stage: 64 to 1024 in the published network."""
    found, width = {}, 0
    for name in STAGES:
        if name in CONVOLUTIONS:
            width = _narrowed(CONVOLUTIONS[name][0], narrow)
        elif name in MIXED:
            c0, _, c2, _, c4, c5 = MIXED[name]
            width = sum(_narrowed(channels, narrow) for channels in (c0, c2, c4, c5))
        found[name] = width
    return found


def _narrowed(channels: int, narrow: int) -> int:
    return max(channels // narrow, 1)


class Unit3D(nn.Module):
    """Conv3d with zero 'same' padding, batch norm (eps 1e-3), ReLU: (B, inputs, T, H, W) -> (B, outputs, ...).

    Sizes are divided by the stride, rounded up. head: with a bias, without norm and ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Sizes = (1, 1, 1), stride: Sizes = (1, 1, 1), head: bool = False
    ) -> None:
        super().__init__()
        # With stride 1 and odd kernels the padding is the same on both sides, and the convolution can do it.
        self.pads = stride != (1, 1, 1) or any(k % 2 == 0 for k in kernel)
        padding: Sizes = (0, 0, 0) if self.pads else (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=head)
        self.bn = None if head else nn.BatchNorm3d(outputs, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        if self.pads:
            x = F.pad(x, same_padding(x.shape[2:], self.conv3d.kernel_size, self.conv3d.stride))
        x = self.conv3d(x)
        return x if self.bn is None else F.relu(self.bn(x), inplace=True)


class SamePool3d(nn.Module):
    """Max pooling after zero 'same' padding: the zeros take part, as in the network that was trained on Kinetics."""

    def __init__(self, kernel: Sizes, stride: Sizes) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, same_padding(x.shape[2:], self.kernel, self.stride))
        if x.device.type == "cpu":  # where pooling goes over all channels at once, up to 15 times faster
            x = x.contiguous(memory_format=torch.channels_last_3d)
        return F.max_pool3d(x, self.kernel, self.stride)


class Inception(nn.Module):
    """[1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | pool, 1x1x1], side by side on the channels; sizes stay.

    channels: of b0, b1a, b1b, b2a, b2b, b3b; the output has those of b0, b1b, b2b and b3b.
    """

    def __init__(self, inputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        c0, c1, c2, c3, c4, c5 = channels
        cube = (3, 3, 3)
        self.b0 = Unit3D(inputs, c0)
        self.b1a, self.b1b = Unit3D(inputs, c1), Unit3D(c1, c2, cube)
        self.b2a, self.b2b = Unit3D(inputs, c3), Unit3D(c3, c4, cube)
        self.b3a, self.b3b = SamePool3d(cube, (1, 1, 1)), Unit3D(inputs, c5)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


class I3D(nn.Module):
    """Inception-v1 over space and time.

    in_channels: 3 (colour) or 2 (flow); dropout: before the logits.
    narrow: all inner widths are divided by it (at least 1 remains); 1 is the published network.
    widths: channels after each stage; width: after the last, 1024 in the published network.
    """

    def __init__(
        self, in_channels: int = 3, num_classes: int = KINETICS_CLASSES, dropout: float = 0.5, narrow: int = 1
    ) -> None:
        super().__init__()
        self.widths = widths(narrow)
        self.width = self.widths[LAST]
        inputs = [in_channels, *self.widths.values()]
        stages = {name: _stage(name, width, narrow) for name, width in zip(STAGES, inputs, strict=False)}
        self.dropout = dropout
        self.head_replaced = False
        self.logits = Unit3D(self.width, num_classes, head=True)  # drawn last, listed first, as in published files
        for name, stage in stages.items():
            self.add_module(name, stage)

    def replace_logits(self, num_classes: int) -> None:
        """A new head, drawn as torch draws a convolution."""
        self.logits = Unit3D(self.width, num_classes, head=True)
        self.head_replaced = True

    def run(self, x: Tensor, after: str | None = None, until: str = LAST) -> Tensor:
        """The stages after `after` (None: from the clip on), `until` included.

        Returns (B, widths[until], T', H', W'). Raises ValueError for a name that is not in STAGES, and for stages
        that are not in this order.
        """
        first = 0 if after is None else _position(after) + 1
        last = _position(until)
        if last < first:
            raise ValueError(f"until {until!r}: expected a stage behind {after!r}")
        _refuse_wrong_bf16(x)
        for name in STAGES[first : last + 1]:
            x = getattr(self, name)(x)
        return x

    def pool(self, x: Tensor) -> Tensor:
        """Averages of the last map (B, width, T', H', W') over windows of (2, 7, 7).

        Returns (B, width, T' - 1, 1, 1), one step for a T' of 1. Raises ValueError for a map of more than 7 x 7.
        """
        if max(x.shape[3:]) > WINDOW[1]:
            raise ValueError(
                f"a last map of {x.shape[3]} x {x.shape[4]}: expected at most 7 x 7, clips with sides of at most 224"
            )
        return F.avg_pool3d(x, [min(size, k) for size, k in zip(x.shape[2:], WINDOW, strict=True)], stride=1)

    def head(self, x: Tensor) -> Tensor:
        """Logits (B, classes, steps) of the last map: pooled, dropped out, and one linear map at each step.

        Up to 16 frames give one step. Raises ValueError for a map of more than 7 x 7.
        """
        return self.logits(F.dropout(self.pool(x), self.dropout, self.training)).flatten(2)

    def forward(self, clip: Tensor) -> Tensor:
        """clip (B, C, T, H, W) -> logits (B, classes, steps), as `head`."""
        return self.head(self.run(clip))


def _stage(name: str, inputs: int, narrow: int) -> nn.Module:
    if name in POOLS:
        return SamePool3d(*POOLS[name])
    if name in MIXED:
        return Inception(inputs, [_narrowed(channels, narrow) for channels in MIXED[name]])
    outputs, kernel, stride = CONVOLUTIONS[name]
    return Unit3D(inputs, _narrowed(outputs, narrow), kernel, stride)


def _position(name: str) -> int:
    if name not in STAGES:
        raise ValueError(f"no stage {name!r} in an I3D: expected one of {', '.join(STAGES)}")
    return STAGES.index(name)


def _refuse_wrong_bf16(x: Tensor) -> None:
    if x.is_cuda and torch.__version__ < (2, 10):  # type: ignore[operator]  # torch compares it so
        running = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
        if running == torch.bfloat16:
            raise RuntimeError(f"bf16 with torch {torch.__version__}: Conv3d on CUDA is wrong before torch 2.10")
