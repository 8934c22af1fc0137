"""What the papers' READMEs promise: code that runs, and details that are numbered and have their place."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IDEAS = {
    "cen": "cen.exchange",
    "dynmm": "dynmm.gate",
    "ucrn": "ucrn.refinement",
    "xnorm": "xnorm.norm_exchange",
}
PAPERS = list(IDEAS)


def section(paper, title):
    text = (ROOT / paper / "README.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("paper", PAPERS)
def test_code_to_lift_the_idea_runs_as_it_stands(paper):
    """It takes the idea file and torch alone, trains what it builds, and is short."""
    (code,) = re.findall(r"```python\n(.*?)```", section(paper, "Use it in your own model"), re.DOTALL)
    imported = set(re.findall(r"^(?:from|import) (\S+)", code, re.MULTILINE))
    assert imported <= {"torch", IDEAS[paper]}
    assert IDEAS[paper] in imported
    assert len([line for line in code.splitlines() if line.strip() and " import " not in line]) <= 14
    names = {}
    exec(compile(code, f"{paper}/README.md", "exec"), names)
    trained = [m for m in names.values() if isinstance(m, names["torch"].nn.Module)]
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for m in trained for p in m.parameters())


def test_dynmm_routes_to_what_it_mixed():
    (code,) = re.findall(r"```python\n(.*?)```", section("dynmm", "Use it in your own model"), re.DOTALL)
    names = {}
    exec(code, names)
    names["torch"].testing.assert_close(names["same"], names["prediction"])


@pytest.mark.parametrize("paper", PAPERS)
def test_details_are_numbered_and_name_their_place_in_the_published_code(paper):
    text = section(paper, "Implementation details that matter")
    items = re.findall(r"^(?:\| )?(\d+)(?:\.| \|) (.*?)(?=^(?:\| )?\d+(?:\.| \|) |\Z)", text, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    assert len(items) >= 10
    for number, item in items:
        place = item.split("|")[0] if "|" in item.splitlines()[0] and paper == "cen" else item
        assert paper == "cen" or ".py" in place or "training_structures" in place, f"{paper} {number}: {place}"
        assert place.strip()


@pytest.mark.parametrize("paper", PAPERS)
def test_readme_shows_one_table_of_scores_and_links_to_the_others(paper):
    text = (ROOT / paper / "README.md").read_text()
    assert text.count("<!-- table:") == 1
    assert f"(../reproductions/results/{paper}.md)" in text
