"""Small inputs for whole runs, and runs that draw no pictures."""

import shutil
from pathlib import Path

import pytest

from tests.support.ucrn_runs import write_inputs
from ucrn import pictures


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Small data for whole runs of the command."""
    folder = tmp_path_factory.mktemp("originals")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="session")
def data(originals):
    """The same, for tests that change nothing there."""
    return originals


@pytest.fixture
def own_data(originals, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(originals, tmp_path / "data"))


@pytest.fixture(scope="session")
def mosi(tmp_path_factory):
    """Small data in MOSI's format."""
    folder = tmp_path_factory.mktemp("mosi")
    write_inputs(folder, "cmu_mosi")
    return folder


@pytest.fixture(scope="module")
def no_pictures():
    """Drawing takes most of a small run's time; test_pictures looks at what is drawn."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pictures, "save_figure", lambda *args: None)
        yield
