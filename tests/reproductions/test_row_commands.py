"""The command that reported/*.yaml states for a row has the flags of the row's protocol."""

import pytest

import cen.semantic_segmentation.flags as cen
import ucrn.flags as ucrn
from reproductions.reported import load_all
from reproductions.selection import same_value
from row_flags import parsed

PAPERS = {paper.name: paper for paper in load_all()}
ROWS = [pytest.param(row, id=f"{name}-{row.id}") for name, paper in PAPERS.items() for row in paper.rows.values()]

# Flags that may differ between runs of one row: where things are, how they are shown, and what only rounds differently.
FREE = {
    "cen": """train_dir val_dir train_list val_list num_workers name gpu evaluate random_seed ckpt resume print_network
        print_loss save_image imagenet val_batch_size run_dir channels_last compile max_steps overwrite row quirk
        list_quirks""",
    "ucrn": """f local_rank ddp vonly aonly lonly dataset data_path batch_chunk base_lr max_lr step_up lr_stepper
        stepper_size warm_epoch log_interval seed no_cuda name visualize vis_dir gpu bert bert_length official_order
        robustness run_dir channels_last compile max_steps overwrite row quirk list_quirks resume""",
}
PARSERS = {"cen": (cen.parser(), "cen_r101"), "ucrn": (ucrn.parser(), "mosei_unaligned")}


@pytest.mark.parametrize("row", ROWS)
def test_command_of_a_row_has_the_flags_of_its_protocol(row):
    args = vars(parsed(row.command))
    assert {flag: args[flag] for flag in row.protocol if not same_value(args[flag], row.protocol[flag])} == {}
    assert row.id in (args.get("ckpt"), args.get("name"))


@pytest.mark.parametrize("row", ROWS)
def test_quirks_of_the_command_count_for_its_row(row):
    quirks = parsed(row.command).quirks
    assert {name: value for name, value in quirks.items() if value not in row.quirks.get(name, ["official"])} == {}


@pytest.mark.parametrize("name", PARSERS)
def test_every_flag_that_shapes_training_is_in_the_protocol(name):
    parser, row = PARSERS[name]
    flags = {action.dest for action in parser._actions} - {"help"}
    free = set(FREE[name].split())
    derived = {"active"}  # of --lonly --aonly --vonly
    assert free <= flags
    assert flags - free == set(PAPERS[name].rows[row].protocol) - derived
