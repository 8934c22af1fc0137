"""What all tests share: the record of the golden cases, skips by marker, a run that only remembers."""

import json
import os
from pathlib import Path

import pytest
import torch

from common.provenance import git_state
from tests.support.run_folders import RememberedRun

RESULTS: list[dict[str, str]] = []


def pytest_addoption(parser: pytest.Parser):
    parser.addoption("--golden-record", metavar="FILE", help="write what the golden cases said, for compare")


def pytest_runtest_logreport(report: pytest.TestReport):
    golden = dict(report.user_properties).get("golden")
    if golden and report.when == "call":
        paper, component, case = golden
        RESULTS.append({"paper": paper, "component": component, "case": case, "outcome": report.outcome})


def pytest_sessionfinish(session: pytest.Session):
    file = session.config.getoption("--golden-record")
    if file and RESULTS and not hasattr(session.config, "workerinput"):
        revision = (git_state() or {"revision": "unknown"})["revision"]
        results = sorted(RESULTS, key=lambda result: (result["paper"], result["component"], result["case"]))
        Path(file).write_text(json.dumps({"revision": revision, "results": results}, indent=1) + "\n")


def pytest_collection_modifyitems(items: list[pytest.Item]):
    no_gpu = pytest.mark.skip(reason="needs a CUDA device")
    no_data = pytest.mark.skip(reason="needs real data or weights: set REAL_DATA_DIR")
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(no_gpu)
        if item.get_closest_marker("real") and "REAL_DATA_DIR" not in os.environ:
            item.add_marker(no_data)


@pytest.fixture
def run(tmp_path):
    """Stands for a Run, and only remembers what it is told."""
    return RememberedRun(tmp_path)
