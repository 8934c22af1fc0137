import shlex

import pytest

from cen.semantic_segmentation.flags import parser, resolve
from reproductions.reported import FOLDER, load
from reproductions.selection import same_value

CEN = load(FOLDER / "cen.yaml")


@pytest.mark.parametrize("row", CEN.rows.values(), ids=CEN.rows)
def test_command_of_a_row_has_the_flags_of_its_protocol(row):
    program, argv = row.command.split(" --gpu", 1)
    args = vars(resolve(parser().parse_args(shlex.split("--gpu" + argv))))
    assert program == "python -m cen.semantic_segmentation.main"
    assert {flag: args[flag] for flag in row.protocol if not same_value(args[flag], row.protocol[flag])} == {}
    assert args["ckpt"] == row.id


@pytest.mark.parametrize("row", CEN.rows.values(), ids=CEN.rows)
def test_default_quirks_count_for_every_row(row):
    quirks = resolve(parser().parse_args([])).quirks
    assert {name: value for name, value in quirks.items() if value not in row.quirks.get(name, ["official"])} == {}


def test_every_flag_that_shapes_training_is_in_the_protocol():
    free = {"train_dir", "val_dir", "train_list", "val_list", "num_workers", "name", "gpu", "evaluate", "random_seed"}
    free |= {"ckpt", "resume", "print_network", "print_loss", "save_image", "imagenet", "val_batch_size", "run_dir"}
    free |= {"channels_last", "compile", "max_steps", "overwrite", "row", "quirk", "list_quirks"}
    flags = {action.dest for action in parser()._actions} - {"help"}
    assert flags - free == set(CEN.rows["cen_r101"].protocol)
