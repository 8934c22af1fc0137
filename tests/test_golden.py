"""Every golden case below GOLDEN_DIR (default tests/golden) against our components."""

import pytest

from tests.golden_adapters.cen_segmentation import ADAPTERS as CEN_SEGMENTATION
from tests.golden_adapters.dynmm_modality import ADAPTERS as DYNMM_MODALITY
from tests.golden_adapters.dynmm_scripts import ADAPTERS as DYNMM_SCRIPTS
from tests.golden_adapters.ucrn import ADAPTERS as UCRN
from tests.golden_adapters.xnorm_data import ADAPTERS as XNORM_DATA
from tests.golden_adapters.xnorm_loop import ADAPTERS as XNORM_LOOP
from tests.golden_adapters.xnorm_models import ADAPTERS as XNORM_MODELS
from tests.support.golden_cases import GOLDEN_DIR, Case, all_cases

ADAPTERS = {**CEN_SEGMENTATION, **DYNMM_MODALITY, **DYNMM_SCRIPTS, **UCRN, **XNORM_DATA, **XNORM_LOOP, **XNORM_MODELS}


@pytest.mark.golden
@pytest.mark.parametrize("case", all_cases(), ids=lambda case: str(case.folder.relative_to(GOLDEN_DIR)))
def test_case(case: Case, record_property):
    record_property("golden", [case.facts["paper"], case.facts["component"], case.folder.name])
    assert case.component in ADAPTERS, f"no adapter for component {case.component}"
    case.compare(ADAPTERS[case.component](case))


def test_there_are_cases():
    assert all_cases(), f"{GOLDEN_DIR} holds no case.json"
