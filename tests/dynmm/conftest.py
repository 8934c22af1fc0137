"""Small inputs for whole runs of DynMM's scripts, with trained experts; narrow networks and random samples."""

import shutil

import pytest
import torch

from dynmm.modality.affect.networks import AffectSizes, DynMMNetV2
from dynmm.modality.batches import Split
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes
from tests.support.dynmm_runs import train_experts, write_data


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Stand-ins in films/ and clips/, and what the expert scripts wrote in log/: for tests that change nothing."""
    folder = tmp_path_factory.mktemp("inputs")
    write_data(folder)
    train_experts(folder, tmp_path_factory.mktemp("experts"))
    return folder


@pytest.fixture
def own_inputs(inputs, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(inputs, tmp_path / "inputs")


@pytest.fixture
def films():
    """Builds random films of 6 + 8 features and 3 genres."""

    def draw(number=40, seed=0):
        generator = torch.Generator().manual_seed(seed)
        text, image = (torch.randn(number, width, generator=generator) for width in (6, 8))
        return Split((text, image), (torch.rand(number, 3, generator=generator) < 0.5).float())

    return draw


@pytest.fixture
def clips():
    """Builds random clips of 1 to 7 steps, zeros behind, with 4 + 5 + 6 features."""

    def draw(number=12, seed=0):
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.arange(number) % 7 + 1
        behind = torch.arange(7)[None, :, None] >= lengths[:, None, None]
        modalities = [torch.randn(number, 7, width, generator=generator).masked_fill(behind, 0) for width in (4, 5, 6)]
        return Split(tuple(modalities), torch.randn(number, 1, generator=generator), lengths)

    return draw


@pytest.fixture
def film_net():
    """Builds a narrow DynMM network for `films`."""
    sizes = ImdbSizes(text=6, image=8, genres=3, narrow=64)
    return lambda seed=0, **options: seeded(seed, lambda: DynMMNet(sizes, **options))


@pytest.fixture
def clip_net():
    """Builds a narrow DynMM network for `clips`."""
    sizes = AffectSizes(vision=4, audio=5, text=6, narrow=64)
    return lambda seed=0, **options: seeded(seed, lambda: DynMMNetV2(sizes, **options))


def seeded(seed, build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
