"""The flags behind a row's command line, whatever paper it belongs to."""

import shlex
from argparse import Namespace

import cen.semantic_segmentation.flags as cen
import ucrn.flags as ucrn

FLAGS = {"cen.semantic_segmentation.main": cen, "ucrn.main": ucrn}
PREFIX = "python -m "


def parsed(command: str) -> Namespace:
    """The completed flags of `python -m MODULE FLAGS...`."""
    assert command.startswith(PREFIX), command
    module, *argv = shlex.split(command.removeprefix(PREFIX))
    return FLAGS[module].resolve(FLAGS[module].parser().parse_args(argv))
