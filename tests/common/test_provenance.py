"""What a run says of its command, revision, packages, memory and data."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from common import provenance
from common.standins.marker import write_marker


class Split:
    """An opened reader, as far as a record needs it."""

    def __init__(self, folder, fingerprint, samples):
        self.folder, self._fingerprint, self._samples = folder, fingerprint, samples

    def fingerprint(self):
        return self._fingerprint

    def __len__(self):
        return self._samples


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one committed file, in which our code would lie; call it with git's words."""
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)

    def git(*words: str) -> str:
        identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    (tmp_path / "common").mkdir()
    (tmp_path / "common/code.py").write_text("x = 1\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "start")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "common/provenance.py"))
    return git


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "python -m duet.main"),
        (["--lr", "0.1", "-1"], "python -m duet.main --lr 0.1 -1"),
        (["--name", "a b", "--note", "it's", ""], """python -m duet.main --name 'a b' --note 'it'"'"'s' ''"""),
    ],
)
def test_command_can_be_typed_as_it_stands(argv, line):
    assert provenance.command_line("duet.main", argv) == line


def test_revision_of_a_committed_tree_is_clean(checkout):
    assert provenance.git_state() == {"revision": checkout("rev-parse", "HEAD"), "clean": True}


def test_changed_file_makes_the_tree_unclean(checkout, tmp_path):
    (tmp_path / "common/code.py").write_text("x = 2\n")
    assert provenance.git_state() == {"revision": checkout("rev-parse", "HEAD"), "clean": False}
    checkout("add", ".")
    assert provenance.git_state()["clean"] is False


def test_results_that_nobody_committed_leave_the_tree_clean(checkout, tmp_path):
    (tmp_path / "notes.txt").write_text("results")
    assert provenance.git_state()["clean"] is True


def test_revision_is_that_of_the_code_and_not_of_the_working_folder(checkout, tmp_path, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert provenance.git_state()["revision"] == checkout("rev-parse", "HEAD")


def test_code_outside_of_a_checkout_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.git_state() is None


def test_machine_without_git_has_no_revision(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_state() is None


def test_versions_are_those_installed_and_missing_packages_are_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package-here", "numpy"))
    versions = provenance.package_versions()
    assert list(versions) == ["torch", "numpy"]
    assert torch.__version__.startswith(versions["torch"])


def test_version_of_python_is_the_running_one():
    assert provenance.python_version() == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_of_a_process_is_in_bytes(monkeypatch, system, unit):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=5000))
    assert provenance.peak_memory(torch.device("cpu")) == 5000 * unit


def test_peak_memory_covers_what_the_process_holds():
    block = bytearray(2**26)
    block[::4096] = b"\1" * len(block[::4096])
    assert len(block) < provenance.peak_memory(torch.device("cpu")) < 2**40


def test_peak_memory_of_a_device_is_its_allocators(monkeypatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: {1: 12345}[device.index])
    assert provenance.peak_memory(torch.device("cuda", 1)) == 12345


def test_path_below_the_working_folder_is_shown_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert provenance.shown_path(tmp_path / "data/toy") == "data/toy"
    assert provenance.shown_path("data/../data/toy") == "data/toy"
    assert provenance.shown_path(Path("/data/nyud")) == "/data/nyud"
    assert provenance.shown_path("../elsewhere") == "../elsewhere"


def test_dataset_is_described_by_all_of_its_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, val = Split(tmp_path / "t", "aa", 795), Split(tmp_path / "v", "bb", 654)
    facts = provenance.describe_dataset("toy", [train, val])
    assert facts.items() >= {"name": "toy", "folder": "v", "samples": [795, 654], "standin": False}.items()
    assert json.loads(json.dumps(facts)) == facts


def test_fingerprint_is_one_over_all_splits_in_order(tmp_path):
    def fingerprint(*prints: str) -> str:
        return provenance.describe_dataset("toy", [Split(tmp_path, text, 1) for text in prints])["fingerprint"]

    assert fingerprint("aa", "bb") == fingerprint("aa", "bb")
    assert len({fingerprint(*prints) for prints in (["aa", "bb"], ["bb", "aa"], ["aa", "bc"], ["aa"])}) == 4


@pytest.mark.parametrize("marked", ["t", "v"])
def test_standin_in_any_split_makes_the_data_a_standin(tmp_path, marked):
    for name in "tv":
        (tmp_path / name).mkdir()
    write_marker(tmp_path / marked, "toy", seed=0, samples=1, truth={})
    facts = provenance.describe_dataset("toy", [Split(tmp_path / name, "aa", 1) for name in "tv"])
    assert facts["standin"] is True
