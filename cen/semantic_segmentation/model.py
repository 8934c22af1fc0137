"""RefineNet on parallel ResNets with channel exchange (section 4.1; full RefineNet, 3x3 convolutions).

The streams travel stacked along the batch, (P * B, C, H, W), stream after stream, so that what they share
runs once for all of them; only the normalisations and the exchange take them apart. Attribute names are
the published state-dict names: `.module` is a shared operation, `.bn_<i>` the norm of stream i.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cen.exchange import exchange_channels
from common.backbones.resnet import BLOCKS

DROPOUT = 0.5


class Shared(nn.Module):
    """An operation that all streams share; it sees them stacked along the batch."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)


def conv3x3(inputs: int, outputs: int, stride: int = 1, bias: bool = False) -> Shared:
    """3x3 convolution with padding 1, shared by the streams."""
    return Shared(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias))


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> Shared:
    """1x1 convolution without bias, shared by the streams."""
    return Shared(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))


class StreamBatchNorm2d(nn.Module):
    """One BatchNorm2d a stream: `bn_0` ... `bn_{P-1}`."""

    def __init__(self, channels: int, streams: int) -> None:
        super().__init__()
        self.streams = streams
        for index in range(streams):
            self.add_module(f"bn_{index}", nn.BatchNorm2d(channels))

    def norms(self) -> list[nn.BatchNorm2d]:
        """The P norms in the order of the streams."""
        return [getattr(self, f"bn_{index}") for index in range(self.streams)]

    def split(self, x: Tensor) -> list[Tensor]:
        """Normalise the stacked streams (P * B, C, H, W) and return them apart: P tensors (B, C, H, W)."""
        return [norm(stream) for norm, stream in zip(self.norms(), x.chunk(self.streams), strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        return stack_streams(self.split(x))


def stack_streams(streams: Sequence[Tensor]) -> Tensor:
    """P tensors (B, ...) -> one (P * B, ...)."""
    return streams[0] if len(streams) == 1 else torch.cat(list(streams))


class Bottleneck(nn.Module):
    """ResNet bottleneck of P streams; channels are exchanged after its second norm.

    x: (P * B, inplanes, H, W). Returns (P * B, 4 * planes, H / stride, W / stride), sides rounded up.
    """

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, stride: int, downsample: bool, streams: int, bn_threshold: float
    ) -> None:
        super().__init__()
        outplanes = planes * self.expansion
        self.bn_threshold = bn_threshold
        self.conv1 = conv1x1(inplanes, planes)
        self.bn1 = StreamBatchNorm2d(planes, streams)
        self.conv2 = conv3x3(planes, planes, stride)
        self.bn2 = StreamBatchNorm2d(planes, streams)
        self.conv3 = conv1x1(planes, outplanes)
        self.bn3 = StreamBatchNorm2d(outplanes, streams)
        self.downsample = None
        if downsample:
            self.downsample = nn.Sequential(conv1x1(inplanes, outplanes, stride), StreamBatchNorm2d(outplanes, streams))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        streams = self.bn2.split(self.conv2(out))
        scales = [norm.weight for norm in self.bn2.norms()]
        out = F.relu(stack_streams(exchange_channels(streams, scales, self.bn_threshold)))
        return F.relu(self.bn3(self.conv3(out)) + shortcut)


class RCUBlock(nn.Module):
    """Residual convolution units: x <- conv(relu(conv(r))) + r with r = relu(x), `num_blocks` times.

    In the authors' code the first ReLU works in place, so the skip carries relu(x). RefineNet itself adds x:
    `rectified_skip=False`. x: (N, C, H, W) -> the same shape.
    """

    def __init__(self, planes: int, num_blocks: int, rectified_skip: bool = True) -> None:
        super().__init__()
        self.num_blocks, self.rectified_skip = num_blocks, rectified_skip
        for block in range(1, num_blocks + 1):
            self.add_module(f"{block}_conv", conv3x3(planes, planes, bias=True))
            self.add_module(f"{block}_conv_relu_varout_dimred", conv3x3(planes, planes))

    def forward(self, x: Tensor) -> Tensor:
        for block in range(1, self.num_blocks + 1):
            rectified = F.relu(x)
            out = F.relu(getattr(self, f"{block}_conv")(rectified))
            out = getattr(self, f"{block}_conv_relu_varout_dimred")(out)
            x = out + (rectified if self.rectified_skip else x)
        return x


class CRPBlock(nn.Module):
    """Chained residual pooling: a chain of 5x5 max pools and convolutions, every link added to x.

    x: (N, C, H, W), rectified -> the same shape.
    """

    def __init__(self, planes: int, num_stages: int) -> None:
        super().__init__()
        self.num_stages = num_stages
        for stage in range(1, num_stages + 1):
            self.add_module(f"{stage}_outvar_dimred", conv3x3(planes, planes))

    def forward(self, x: Tensor) -> Tensor:
        top = x
        for stage in range(1, self.num_stages + 1):
            top = getattr(self, f"{stage}_outvar_dimred")(F.max_pool2d(top, 5, stride=1, padding=2))
            x = x + top
        return x


class RefineNet(nn.Module):
    """Segmentation of P aligned modalities with channel exchange and a learned ensemble.

    enc: depth of the ResNet, 50, 101 or 152; num_classes: C; streams: P;
    bn_threshold: theta of the exchange, 0 turns it off; width: channels of the stem, 64 as published, all
    others in proportion; dropout: of the decoder's inputs.

    forward(inputs): P tensors (B, 3, H, W), normalised. Returns
    logits: P tensors (B, C, h, w) of the streams and then the ensemble's, h = H / 4, w = W / 4 rounded up;
    weights: (P,), softmax of alpha.
    """

    def __init__(
        self,
        enc: int,
        num_classes: int,
        streams: int,
        bn_threshold: float,
        width: int = 64,
        dropout: float = DROPOUT,
        rectified_skip: bool = True,
    ) -> None:
        super().__init__()
        self.streams, self.rectified_skip = streams, rectified_skip
        self.alpha = nn.Parameter(torch.ones(streams))
        self.dropout = nn.Dropout(dropout)
        self.conv1 = Shared(nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False))
        self.bn1 = StreamBatchNorm2d(width, streams)
        inplanes = width
        for layer, count in enumerate(BLOCKS[enc], 1):
            planes, stride = width * 2 ** (layer - 1), 1 if layer == 1 else 2
            blocks = []
            for block in range(count):
                blocks.append(
                    Bottleneck(inplanes, planes, stride if block == 0 else 1, block == 0, streams, bn_threshold)
                )
                inplanes = planes * Bottleneck.expansion
            self.add_module(f"layer{layer}", nn.Sequential(*blocks))
        self._add_decoder(width, num_classes)

    def _add_decoder(self, width: int, num_classes: int) -> None:
        """The four refinement stages, from the deepest features (stage 1) to the finest (stage 4)."""
        deep, fine = 8 * width, 4 * width
        for stage in range(1, 5):
            planes = deep if stage == 1 else fine
            encoded = Bottleneck.expansion * width * 2 ** (4 - stage)
            self.add_module(f"p_ims1d2_outl{stage}_dimred", conv3x3(encoded, planes))
            self.add_module(f"adapt_stage{stage}_b", self._units(planes, 2))
            if stage > 1:
                self.add_module(f"adapt_stage{stage}_b2_joint_varout_dimred", conv3x3(planes, planes))
            self.add_module(f"mflow_conv_g{stage}_pool", nn.Sequential(CRPBlock(planes, 4)))
            self.add_module(f"mflow_conv_g{stage}_b", self._units(planes, 3))
            if stage < 4:
                self.add_module(f"mflow_conv_g{stage}_b3_joint_varout_dimred", conv3x3(planes, fine))
        self.clf_conv = conv3x3(fine, num_classes, bias=True)

    def _units(self, planes: int, num_blocks: int) -> nn.Sequential:
        return nn.Sequential(RCUBlock(planes, num_blocks, self.rectified_skip))

    def _encode(self, x: Tensor) -> list[Tensor]:
        """Features of the four layers, the deepest first."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        features = []
        for layer in range(1, 5):
            x = getattr(self, f"layer{layer}")(x)
            features.append(x)
        return features[::-1]

    def _refine(self, stage: int, encoded: Tensor, coarser: Tensor | None) -> Tensor:
        """One refinement stage: adapt the encoder's features, add the coarser stage, pool, convolve."""
        x = getattr(self, f"p_ims1d2_outl{stage}_dimred")(encoded)
        x = getattr(self, f"adapt_stage{stage}_b")(x)
        if coarser is not None:
            x = getattr(self, f"adapt_stage{stage}_b2_joint_varout_dimred")(x)
            x = x + F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=True)
        x = getattr(self, f"mflow_conv_g{stage}_pool")(F.relu(x))
        x = getattr(self, f"mflow_conv_g{stage}_b")(x)
        return x if stage == 4 else getattr(self, f"mflow_conv_g{stage}_b3_joint_varout_dimred")(x)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        x = None
        for stage, encoded in enumerate(self._encode(stack_streams(inputs)), 1):
            x = self._refine(stage, self.dropout(encoded) if stage < 3 else encoded, x)
        logits = list(self.clf_conv(self.dropout(x)).chunk(self.streams))
        weights = self.alpha.softmax(dim=0)
        return [*logits, ensemble(logits, weights)], weights


def ensemble(logits: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum of the streams' logits, each times its weight; only the weights learn from it (section 3.1).

    logits: P tensors (B, C, h, w); weights: (P,). Returns (B, C, h, w).
    """
    parts = [weight * stream.detach() for weight, stream in zip(weights.unbind(), logits, strict=True)]
    return cast(Tensor, sum(parts))
