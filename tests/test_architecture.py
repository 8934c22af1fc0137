"""The rules of the house, held over every source file: who imports whom, docstrings, type hints, sizes, names."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ("cen", "dynmm", "ucrn", "xnorm", "igm")
HOUSE = {"common", "reproductions", "tests", *PAPERS}
MAY_IMPORT = {
    "common": {"common"},
    **{paper: {paper, "common"} for paper in PAPERS},
    "reproductions": {"reproductions", "common", *PAPERS},
}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
LONGEST = 500
DOUBTFUL_NAMES = {"utils", "util", "helpers", "helper"}
SOMEBODYS_FOLDER = re.compile(r"(?<![\w.~}-])/(?:" + "|".join(["home", "root", "work"]) + ")/")
LEFT_FOR_LATER = re.compile(r"\b" + "TO" + r"DO\b")


def sources(root: Path) -> list[Path]:
    """Every module of the packages that are there."""
    return sorted(path for package in MAY_IMPORT for path in (root / package).rglob("*.py"))


def imported(tree: ast.AST, parents: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of every import at any depth, also by importlib with a literal name."""
    loaders = {"import_module", "__import__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "importlib":
            loaders |= {alias.asname for alias in node.names if alias.name == "import_module" and alias.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join([*base, node.module or node.names[0].name])
        elif isinstance(node, ast.Call) and called(node) in loaders:
            names = [part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            yield from ((node.lineno, name) for name in names[:1] if not name.startswith("."))


def called(call: ast.Call) -> str:
    """The last part of what is called: "import_module" of importlib.import_module(...)."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def import_breaches(root: Path) -> list[str]:
    """Every import against the arrows, as "file:line: package imports module"."""
    breaches = []
    for path in sources(root):
        file = path.relative_to(root)
        package = file.parts[0]
        for line, module in imported(ast.parse(path.read_text()), file.parts[:-1]):
            head = module.split(".")[0]
            if head in HOUSE and head not in MAY_IMPORT[package]:
                breaches.append(f"{file}:{line}: {package} imports {module}")
    return breaches


def definition_breaches(root: Path) -> list[str]:
    """Public functions and classes without docstring; these, and public and special methods, without type hints."""
    breaches = []
    for path in sources(root):
        file = path.relative_to(root)
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, FUNCTION | ast.ClassDef) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                breaches.append(f"{file}:{node.lineno}: {node.name} has no docstring")
            methods = [part for part in node.body if isinstance(part, FUNCTION) and is_public(part.name)]
            functions = methods if isinstance(node, ast.ClassDef) else [node]
            for function in functions:
                bare = unannotated(function, of_class=isinstance(node, ast.ClassDef))
                breaches += [f"{file}:{function.lineno}: {function.name} lacks the type of {name}" for name in bare]
    return breaches


def is_public(name: str) -> bool:
    """Whether a method is called from outside: by its name, or as a special method by the language."""
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef, of_class: bool) -> list[str]:
    """Names of arguments without a type, "return" for a missing one of the result."""
    static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)
    given = function.args
    arguments = [*given.posonlyargs, *given.args][1 if of_class and not static else 0 :] + given.kwonlyargs
    arguments += [part for part in (given.vararg, given.kwarg) if part is not None]
    bare = [part.arg for part in arguments if part.annotation is None]
    return [*bare, "return"] if function.returns is None else bare


def text_breaches(root: Path, files: list[Path]) -> list[str]:
    """Files with doubtful names, too long ones, and lines that name somebody's folder or leave work for later."""
    breaches = []
    for file in files:
        if file.stem.lower() in DOUBTFUL_NAMES:
            breaches.append(f"{file}: says nothing of what is in it")
        content = (root / file).read_bytes()
        if b"\0" in content:
            continue
        lines = content.decode(errors="replace").splitlines()
        if file.suffix in (".py", ".sh", ".md") and len(lines) > LONGEST:
            breaches.append(f"{file}: {len(lines)} lines")
        for number, line in enumerate(lines, start=1):
            if SOMEBODYS_FOLDER.search(line):
                breaches.append(f"{file}:{number}: a folder of one machine")
            if LEFT_FOR_LATER.search(line):
                breaches.append(f"{file}:{number}: work left for later")
    return breaches


def project_files() -> list[Path]:
    """What git tracks or would add, as paths below the root; skips the test where this is no checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = (Path(name) for name in done.stdout.decode().split("\0") if name)
    return sorted(name for name in names if (ROOT / name).is_file())


def plant(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)


def test_imports_follow_the_arrows():
    assert {path.relative_to(ROOT).parts[0] for path in sources(ROOT)} >= {"common", "cen", "reproductions"}
    assert import_breaches(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text", "module"),
    [
        ("common/a.py", "import cen.exchange", "cen.exchange"),
        ("common/a.py", "from reproductions import compare", "reproductions"),
        ("common/a.py", "import torch, os, igm as idea", "igm"),
        ("common/datasets/a.py", "def f():\n    if True:\n        from xnorm.model import Net", "xnorm.model"),
        ("common/a.py", "import importlib\nimportlib.import_module('dynmm.gate')", "dynmm.gate"),
        ("common/a.py", "from importlib import import_module\nimport_module('ucrn')", "ucrn"),
        ("common/a.py", "from importlib import import_module as load\nload('ucrn')", "ucrn"),
        ("common/a.py", "class A:\n    part = __import__('cen')", "cen"),
        ("common/a.py", "from tests import golden_cases", "tests"),
        ("cen/a.py", "from dynmm.gate import Gate", "dynmm.gate"),
        ("igm/deep/a.py", "import reproductions.compare", "reproductions.compare"),
        ("reproductions/a.py", "from tests.golden_cases import Case", "tests.golden_cases"),
    ],
)
def test_planted_import_is_caught(tmp_path, file, text, module):
    plant(tmp_path, file, text)
    line = text.count("\n") + 1
    assert import_breaches(tmp_path) == [f"{file}:{line}: {Path(file).parts[0]} imports {module}"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("common/a.py", "import torch\nfrom common import run\nfrom . import b\nimport census"),
        ("common/datasets/a.py", "from ..errors import UserError\nfrom .images import read"),
        (
            "cen/deep/a.py",
            "from common.run import Run\nimport cen.exchange\nfrom ..exchange import f\nimport os",
        ),
        ("reproductions/a.py", "import cen.exchange, dynmm, common.run\nfrom reproductions import runs"),
        ("common/a.py", "text = 'import cen'\nload('cen')  # import igm"),
        ("common/a.py", "from importlib import import_module\nimport_module(name)\nimport_module('.cen', 'common')"),
    ],
)
def test_imports_along_the_arrows_are_left_alone(tmp_path, file, text):
    plant(tmp_path, file, text)
    assert import_breaches(tmp_path) == []


def test_shared_layer_names_no_paper():
    word = re.compile(rf"\b(?:{'|'.join(PAPERS)})\b", re.IGNORECASE)
    named = [path for path in sorted((ROOT / "common").rglob("*.py")) if word.search(path.read_text())]
    assert named == []


def test_public_definitions_have_docstrings_and_types():
    assert definition_breaches(ROOT) == []


def test_planted_definitions_are_caught(tmp_path):
    plant(
        tmp_path,
        "common/a.py",
        '''def bare(x, *rest: int, key=1, **more) -> None:
    """Doc."""

async def silent(x: int) -> int: ...

def no_result(x: int):
    """Doc."""

class Silent:
    def __init__(self, x) -> None: ...
    def forward(self, x: int): ...
    @staticmethod
    def make(x): ...
    def _own(self, x): ...

class _Own: ...
def _own(x): ...
''',
    )
    assert definition_breaches(tmp_path) == [
        "common/a.py:1: bare lacks the type of x",
        "common/a.py:1: bare lacks the type of key",
        "common/a.py:1: bare lacks the type of more",
        "common/a.py:4: silent has no docstring",
        "common/a.py:6: no_result lacks the type of return",
        "common/a.py:9: Silent has no docstring",
        "common/a.py:10: __init__ lacks the type of x",
        "common/a.py:11: forward lacks the type of return",
        "common/a.py:13: make lacks the type of x",
        "common/a.py:13: make lacks the type of return",
    ]


def test_files_are_short_well_named_and_name_no_machine():
    assert text_breaches(ROOT, project_files()) == []


@pytest.mark.parametrize(
    ("file", "text", "breach"),
    [
        ("cen/utils.py", "", "cen/utils.py: says nothing of what is in it"),
        ("Helpers.sh", "", "Helpers.sh: says nothing of what is in it"),
        ("common/a.py", "\n" * 501, "common/a.py: 501 lines"),
        ("notes.md", "x\nrun it in /" + "home/me/code\n", "notes.md:2: a folder of one machine"),
        ("a.yaml", 'folder: "/' + 'work/data"', "a.yaml:1: a folder of one machine"),
        ("a.py", "x = 1  # TO" + "DO: more", "a.py:1: work left for later"),
    ],
)
def test_planted_text_is_caught(tmp_path, file, text, breach):
    plant(tmp_path, file, text)
    assert text_breaches(tmp_path, [Path(file)]) == [breach]


def test_sound_text_is_left_alone(tmp_path):
    plant(tmp_path, "a.py", "\n" * 500)
    plant(tmp_path, "data.json", "1,\n" * 900)
    plant(tmp_path, "b.md", "https://example.org/home/page, data/work/list, ~/work/runs, utils, ${HOME}/work/\n")
    (tmp_path / "c.npz").write_bytes(b"PK\0 /" + b"home/me")
    assert text_breaches(tmp_path, [Path(name) for name in ("a.py", "data.json", "b.md", "c.npz")]) == []
