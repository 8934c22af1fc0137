"""Every golden case below GOLDEN_DIR (default tests/golden) against our components."""

import pytest

from golden_cen_segmentation import ADAPTERS as CEN_SEGMENTATION
from golden_cases import GOLDEN_DIR, Case, all_cases

ADAPTERS = {**CEN_SEGMENTATION}


@pytest.mark.golden
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: str(case.folder.relative_to(GOLDEN_DIR)))
def test_case(case: Case):
    assert case.component in ADAPTERS, f"no adapter for component {case.component}"
    case.compare(ADAPTERS[case.component](case))


def test_there_are_cases():
    assert all_cases(), f"{GOLDEN_DIR} holds no case.json"
