"""Commands find data sets by their folders."""

import subprocess
import sys
from pathlib import Path

import pytest

import common.datasets
from common.datasets.folders import data_sets, offering, parse_choice
from common.errors import UserError
from common.flags import Parser
from common.prepare.__main__ import main as prepare
from common.standins.__main__ import main as standins
from common.verify.__main__ import main as verify

ABOUT = """
from common.datasets.about import About

ABOUT = About(title="Toys", source="the attic", size="two", licence="none")
"""
STANDIN = '''
"""Toys, written."""


def add_flags(parser):
    parser.add_argument("--colour", default="red")


def run(args):
    args.folder.mkdir()
    (args.folder / "toys.txt").write_text(f"{args.dataset} {args.colour} {args.seed}")
'''
FOLDERS = Path(common.datasets.__file__).parent
STEPS = {step: {file.parent.name for file in FOLDERS.glob(f"*/{step}.py")} for step in ("standin", "verify", "prepare")}


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A folder of a new data set beside the others; it has a stand-in and a check that cannot be imported."""
    folder = tmp_path / "datasets/toys"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(ABOUT)
    (folder / "standin.py").write_text(STANDIN)
    (folder / "verify.py").write_text("import a_module_that_is_not_there")
    monkeypatch.setattr(common.datasets, "__path__", [*common.datasets.__path__, str(tmp_path / "datasets")])
    yield folder
    for name in [name for name in sys.modules if name.startswith("common.datasets.toys")]:
        del sys.modules[name]


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_every_folder_is_found(step):
    assert set(offering(step)) == STEPS[step]


def test_worlds_are_no_data_sets():
    assert set(data_sets()) == STEPS["standin"]


def test_facts_of_every_data_set_are_told():
    for about in data_sets().values():
        assert all((about.title, about.source, about.size, about.licence))


@pytest.mark.parametrize("command", ["standins", "verify", "prepare"])
def test_help_lists_names_and_imports_no_data_set(command):
    code = (
        f"import sys; sys.argv = ['x', '--help']\n"
        f"from common.{command}.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "assert not {'torch', 'numpy', 'common.datasets.nyudv2.reader'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MM-IMDB: genres of films from features of plot and poster" in done.stdout


def test_new_folder_is_a_new_data_set(toys, tmp_path, capsys):
    standins(["toys", str(tmp_path / "out"), "--colour", "blue", "--seed", "4"])
    assert (tmp_path / "out/toys.txt").read_text() == "toys blue 4"
    assert capsys.readouterr().out == f"stand-in toys written to {tmp_path}/out\n"
    assert "toys" not in offering("prepare")


def test_data_set_that_cannot_be_imported_breaks_no_other(toys, tmp_path):
    assert "toys" in offering("verify")
    standins(["emotion", str(tmp_path / "e"), "--samples", "12"])
    verify(["emotion", str(tmp_path / "e")])
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        verify(["toys", str(tmp_path)])


def test_flags_of_one_data_set_are_unknown_to_another(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        standins(["mm_imdb", str(tmp_path), "--layout", "multibench"])
    assert stop.value.code == 2
    assert "unrecognized arguments: --layout multibench" in capsys.readouterr().err


def test_name_has_to_come_first():
    top = Parser("x")
    with pytest.raises(UserError, match="invalid choice: 'folder'"):
        parse_choice(top, offering("verify"), ["folder", "nyudv2"])
    with pytest.raises(UserError, match="NAME"):
        parse_choice(Parser("x"), offering("verify"), [])


def test_list_has_a_block_for_each_data_set(capsys):
    with pytest.raises(SystemExit) as stop:
        prepare(["--list"])
    assert stop.value.code == 0
    blocks = dict(block.split(": ", 1) for block in capsys.readouterr().out.split("\n\n"))
    assert set(blocks) == STEPS["standin"]
    for name, block in blocks.items():
        lines = [line.split()[0] for line in block.splitlines()[1:]]
        assert [key for key in lines if key in ("from", "size", "licence", "prepare")] == [
            *("from", "size", "licence", "prepare")
        ]
        assert (f"python -m common.prepare {name} --help" in block) == (name in STEPS["prepare"])
    assert "CC BY-NC 4.0" in blocks["epic_kitchens"]


def test_data_set_without_preparation_says_so():
    with pytest.raises(UserError, match=r"nyudv2: has no step of preparation; .*--list"):
        prepare(["nyudv2", "folder"])


@pytest.mark.parametrize("name", sorted(STEPS["prepare"]))
def test_preparation_without_its_arguments_is_one_line(name):
    with pytest.raises(UserError, match=rf"arguments are required: .*python -m common.prepare {name} --help"):
        prepare([name])
