"""Every golden case below GOLDEN_DIR (default tests/golden) against our components."""

import pytest

from golden_cases import GOLDEN_DIR, Case, all_cases
from golden_cen_segmentation import ADAPTERS as CEN_SEGMENTATION

ADAPTERS = {**CEN_SEGMENTATION}


@pytest.mark.golden
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: str(case.folder.relative_to(GOLDEN_DIR)))
def test_case(case: Case, record_property):
    record_property("golden", [case.facts["paper"], case.facts["component"], case.folder.name])
    assert case.component in ADAPTERS, f"no adapter for component {case.component}"
    case.compare(ADAPTERS[case.component](case))


def test_there_are_cases():
    assert all_cases(), f"{GOLDEN_DIR} holds no case.json"
