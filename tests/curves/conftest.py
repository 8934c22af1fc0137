"""Options of the curves' tests; how to write the files anew stands in test_curves.py."""

import pytest

from tests.support.curve_runs import Curves


def pytest_addoption(parser: pytest.Parser):
    parser.addoption("--write-curves", action="store_true", help="write tests/curves/*.json anew")
    parser.addoption("--shake-curves", type=float, default=0.0, metavar="X", help="noise on gradients, relative")


@pytest.fixture(scope="session")
def curves(request, tmp_path_factory):
    """Makes the runs of `curve_runs.RUNS`, each once."""
    return Curves(tmp_path_factory.mktemp("curves"), request.config.getoption("--shake-curves"))
