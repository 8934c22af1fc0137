"""Small inputs for whole runs, and runs that draw no pictures."""

import shutil
from pathlib import Path

import pytest

from common.datasets.emotion.standin import write_emotion
from tests.support.xnorm_runs import write_inputs
from xnorm import pictures


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


@pytest.fixture
def own_inputs(originals, tmp_path):
    """A copy that a test may damage."""
    return Path(shutil.copytree(originals, tmp_path / "inputs"))


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """Small clips for runs of the emotion task."""
    folder = tmp_path_factory.mktemp("spoken")
    write_emotion(folder, samples=36)
    return folder


@pytest.fixture(scope="module")
def no_pictures():
    """Drawing takes most of a small run's time; test_pictures looks at what is drawn."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pictures, "save_figure", lambda *args: None)
        yield
