"""The flags behind a row's command line, whatever paper it belongs to."""

import shlex
from argparse import Namespace
from importlib import import_module
from unittest.mock import patch

PREFIX = "python -m "
FLAGS = {
    "cen.semantic_segmentation.main": "cen.semantic_segmentation.flags",
    "ucrn.main": "ucrn.flags",
    "xnorm.main": "xnorm.flags",
    "xnorm.emotion": "xnorm.emotion.flags",
}


def parsed(command: str) -> Namespace:
    """The completed flags of `python -m MODULE FLAGS...`."""
    assert command.startswith(PREFIX), command
    module, *argv = shlex.split(command.removeprefix(PREFIX))
    if module.startswith("dynmm.modality."):
        return _of_script(module, argv)
    flags = import_module(FLAGS[module])
    return flags.resolve(flags.parser().parse_args(argv))


def _of_script(module: str, argv: list[str]) -> Namespace:
    """Flags of a script whose main completes them itself: what it hands on to its work."""
    with patch(f"{module}.run_stage") as run_stage:
        import_module(module).main(argv)
    return run_stage.call_args.args[2]
