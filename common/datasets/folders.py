"""Finds data sets by their folders, so that a new data set is a new folder and no other line anywhere.

A data set is a folder of common.datasets with ABOUT in its __init__; the folder's name is the data set's. It holds

    reader.py    the official files in, plain arrays out
    standin.py   python -m common.standins NAME: writes a small, seeded, learnable stand-in
    verify.py    python -m common.verify NAME: reads everything, says what is there and what is wrong
    prepare.py   python -m common.prepare NAME: from the raw release to the layout that the reader takes

as far as there is such a step. Each of the three steps offers

    add_flags(parser)    its own flags
    run(args)            does it; args.dataset is the name. That of verify.py returns the number of problems

and is imported when it is asked for and not before: the others need not even be importable.
"""

import importlib.util
import pkgutil
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import common.datasets
from common.datasets.about import About

PACKAGE = common.datasets.__name__


class Choice(NamedTuple):
    """What a command can be asked for: the module that does it, and one line for the list."""

    module: str
    title: str


def data_sets() -> dict[str, About]:
    """Every data set by its name, in alphabetical order."""
    folders = [module.name for module in pkgutil.iter_modules(common.datasets.__path__) if module.ispkg]
    found = {name: getattr(import_module(f"{PACKAGE}.{name}"), "ABOUT", None) for name in sorted(folders)}
    return {name: about for name, about in found.items() if about is not None}


def offering(step: str) -> dict[str, Choice]:
    """The data sets that have the step "standin", "verify" or "prepare"."""
    modules = {name: (f"{PACKAGE}.{name}.{step}", about.title) for name, about in data_sets().items()}
    return {name: Choice(*choice) for name, choice in modules.items() if importlib.util.find_spec(choice[0])}


def parse_choice(
    top: ArgumentParser,
    choices: Mapping[str, Choice],
    argv: list[str] | None,
    add_shared: Callable[[ArgumentParser], None] | None = None,
) -> tuple[ModuleType, Namespace]:
    """Parse `NAME ...` with the flags of the choice that is named; returns its module, the only one imported.

    argv: None stands for the process's own. add_shared: adds what all choices have. Exits as argparse does.
    """
    argv = sys.argv[1:] if argv is None else argv
    named = top.add_subparsers(dest="dataset", metavar="NAME", required=True)
    asked = next((text for text in argv if text in choices), None)
    module = import_module(choices[asked].module) if asked else None
    for name, choice in choices.items():
        about = module.__doc__ if module and name == asked else None
        parser = named.add_parser(
            name, help=choice.title, description=about, formatter_class=RawDescriptionHelpFormatter
        )
        if module and name == asked:
            module.add_flags(parser)
            if add_shared:
                add_shared(parser)
    args = top.parse_args(argv)
    if module is None or args.dataset != asked:
        top.error(f"expected NAME first, one of {', '.join(choices)}")
    return module, args
