"""What the golden tests said at one revision: which components agree with the reference implementations.

The record is a JSON file:

    {"revision": "<git revision>",
     "results": [{"paper": "cen", "component": "semantic_segmentation.refinenet", "case": "seg_refinenet50",
                  "outcome": "passed"}, ...]}            (outcome: passed, failed or skipped)
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError

OUTCOMES = ("passed", "failed", "skipped")
KEYS = ("paper", "component", "case", "outcome")


@dataclass(frozen=True)
class GoldenRecord:
    """Outcomes of the golden cases: {(paper, component): [outcome of each case]}."""

    revision: str
    outcomes: dict[tuple[str, str], list[str]]

    def parity(self, paper: str, components: Sequence[str]) -> str | None:
        """In words that every component has a passed case and no failed one; None unless that is so."""
        cases = [self.outcomes.get((paper, component), []) for component in components]
        if not cases or not all("passed" in case and "failed" not in case for case in cases):
            return None
        passed = sum(case.count("passed") for case in cases)
        return f"{passed} golden cases of {len(cases)} components pass at {self.revision[:12]}"


def load_golden_record(file: Path) -> GoldenRecord:
    """Read a record. Raises UserError for a missing or damaged file, a missing key or an unknown outcome."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        revision, results = str(given["revision"]), [{key: result[key] for key in KEYS} for result in given["results"]]
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as a golden record: {error}") from error
    except (KeyError, TypeError) as error:
        keys = ", ".join(KEYS)
        raise UserError(f"{file}: no golden record: {error}; expected revision and results with {keys}") from error
    outcomes: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result["outcome"] not in OUTCOMES:
            what = f"outcome {result['outcome']!r} of {result['case']}"
            raise UserError(f"{file}: {what}, expected one of {', '.join(OUTCOMES)}")
        outcomes.setdefault((result["paper"], result["component"]), []).append(result["outcome"])
    return GoldenRecord(revision, outcomes)
