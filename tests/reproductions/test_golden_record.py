import json

import pytest

from common.errors import UserError
from reproductions.report.golden_record import load_golden_record


@pytest.fixture
def record(tmp_path):
    def write(*outcomes):
        results = [
            {"paper": "duet", "component": component, "case": f"case{i}", "outcome": outcome}
            for i, (component, outcome) in enumerate(outcomes)
        ]
        file = tmp_path / "golden.json"
        file.write_text(json.dumps({"revision": "0123456789abcdef", "results": results}))
        return file

    return write


def test_parity_needs_a_passed_case_of_every_component(record):
    golden = load_golden_record(record(("gate", "passed"), ("gate", "passed"), ("loss", "passed")))
    assert golden.parity("duet", ["gate", "loss"]) == "3 golden cases of 2 components pass at 0123456789ab"
    assert golden.parity("duet", ["gate", "reader"]) is None
    assert golden.parity("solo", ["gate"]) is None
    assert golden.parity("duet", []) is None


def test_one_failed_case_breaks_parity_and_a_skipped_one_proves_nothing(record):
    golden = load_golden_record(record(("gate", "passed"), ("gate", "failed"), ("loss", "skipped")))
    assert golden.parity("duet", ["gate"]) is None
    assert golden.parity("duet", ["loss"]) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "no golden record"),
        ('{"revision": "a", "results": [{"paper": "duet"}]}', "'component'"),
        (
            '{"revision": "a", "results": [{"paper": "d", "component": "c", "case": "x", "outcome": "ok"}]}',
            "outcome 'ok' of x",
        ),
    ],
)
def test_damaged_record_is_named(tmp_path, content, message):
    file = tmp_path / "golden.json"
    file.write_text(content)
    with pytest.raises(UserError, match=message) as raised:
        load_golden_record(file)
    assert str(file) in str(raised.value)


def test_missing_record_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json: cannot be read"):
        load_golden_record(tmp_path / "nowhere.json")
