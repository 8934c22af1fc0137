"""environment.yml, pyproject.toml and uv.lock name one set of packages."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.12"  # of environment.yml


def pins() -> dict[str, str]:
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert f"python={PYTHON}" in parts
    listed = next(part["pip"] for part in parts if isinstance(part, dict))
    return dict(item.split("==") for item in listed if "==" in item)


def locked() -> dict[str, set[str]]:
    """Versions by name; those for other Pythons than environment.yml's are left out."""
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        markers = package.get("resolution-markers", [f"python_full_version >= '{PYTHON}'"])
        if any(f"python_full_version >= '{PYTHON}'" in marker for marker in markers):
            versions.setdefault(package["name"], set()).add(package["version"])
    return versions


def test_environment_yml_pins_what_the_lock_file_holds():
    versions = locked()
    for name, version in pins().items():
        assert version in versions[name], f"{name}: environment.yml has {version}, uv.lock {versions[name]}"


def test_environment_yml_names_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    direct = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    assert {re.split(r"[<>=~]", requirement)[0] for requirement in direct} == set(pins())
