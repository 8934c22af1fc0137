"""Small inputs for whole runs; a narrow network with lively norms."""

import pytest
import torch
from torch import nn

from cen.semantic_segmentation.model import RefineNet
from tests.support.segmentation_runs import settings_of, write_inputs


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Small data and weights for whole runs of the command."""
    folder = tmp_path_factory.mktemp("originals")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def inputs(originals):
    """The same, for tests that change nothing there."""
    return originals


@pytest.fixture(scope="session")
def narrow():
    """Builds a ResNet-50 RefineNet of stem width 4 in eval mode, whose norms have drawn scales and statistics.

    About a quarter of the scales of every bn2 lies below the threshold 0.02.
    """

    def build(streams=2, bn_threshold=0.02, seed=0, enc=50, num_classes=5, width=4, **options):
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = RefineNet(enc, num_classes, streams, bn_threshold, width=width, **options)
        nn.init.normal_(model.alpha, generator=generator)
        for name, norm in model.named_modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(norm.bias, 0, 0.1, generator=generator)
                nn.init.normal_(norm.running_mean, 0, 0.1, generator=generator)
                nn.init.uniform_(norm.running_var, 0.5, 1.5, generator=generator)
                if ".bn2." in name:
                    norm.weight.data[torch.rand(norm.weight.shape, generator=generator) < 0.25] = 0.01
        return model.eval()

    return build


@pytest.fixture(scope="session")
def pictures():
    """Draws the network's inputs: P tensors (B, 3, H, W)."""

    def draw(streams=2, batch=1, size=(33, 47), seed=0, dtype=torch.float32):
        generator = torch.Generator().manual_seed(seed)
        return [torch.randn(batch, 3, *size, generator=generator).to(dtype) for _ in range(streams)]

    return draw


@pytest.fixture(scope="session")
def flags():
    """The settings of a command line."""
    return settings_of
