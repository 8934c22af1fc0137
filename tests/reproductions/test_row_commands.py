"""What a run is held to, by the command of its row: the values that were declared before any run, and all that matter.

protocols.json holds the values; a default that changes in a script must not move what a published row is compared with.
"""

import json
from pathlib import Path

import pytest

from reproductions.report.reported import load_all
from reproductions.report.rows import settings_of
from reproductions.report.selection import same_value

PROTOCOLS = json.loads((Path(__file__).parent / "protocols.json").read_text())
PAPERS = {paper.name: paper for paper in load_all()}
ROWS = [pytest.param(name, row, id=f"{name}-{row.id}") for name, paper in PAPERS.items() for row in paper.rows.values()]

# Flags that may differ between runs of one row: where things are, how they are shown, and what only rounds differently.
# The data set is held to by the row itself.
OURS = """gpu run_dir resume channels_last compile max_steps overwrite row quirk quirks weights_are_published"""
FREE = {
    "cen": """train_dir val_dir train_list val_list num_workers name evaluate random_seed ckpt print_network print_loss
        save_image imagenet val_batch_size dataset""",
    "dynmm": """n_runs eval_only measure data_path log_dir seed sizes expert1 expert2 real_gating""",
    "ucrn": """f local_rank ddp vonly aonly lonly dataset data_path batch_chunk base_lr max_lr step_up lr_stepper
        stepper_size warm_epoch log_interval seed no_cuda name visualize vis_dir bert bert_length official_order
        robustness""",
    "xnorm": """seed csv_root data_root ckpt_path num_workers ablation i3d cache evaluate name data""",
}
# What the static scripts of dynmm record so that all six record the same, and a flag that only names a file.
WITHOUT_EFFECT = {"imdb_uni": "reg freeze infer_mode", "imdb_mm": "reg freeze infer_mode", "imdb_dyn": "data"}
WITHOUT_EFFECT |= {"affect_uni": "reg freeze infer_mode", "affect_mm": "reg freeze infer_mode", "affect_dyn": "enc"}


def settings(row):
    return settings_of(row.declared.module, row.declared.flags)


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_command_of_a_row_has_the_flags_of_its_protocol(paper, row):
    declared = PROTOCOLS[f"{paper}/{row.id}"]
    assert list(row.protocol) == list(declared)
    assert {flag: row.protocol[flag] for flag in declared if not same_value(row.protocol[flag], declared[flag])} == {}
    assert row.command.endswith(f" --row {row.id}")


def test_every_declared_protocol_has_its_row():
    assert set(PROTOCOLS) == {f"{name}/{row}" for name, paper in PAPERS.items() for row in paper.rows}


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_quirks_of_the_command_count_for_its_row(paper, row):
    quirks = settings(row)["quirks"]
    assert {name: value for name, value in quirks.items() if value not in row.quirks.get(name, ["official"])} == {}


@pytest.mark.parametrize(("paper", "row"), ROWS)
def test_every_flag_that_shapes_training_is_in_the_protocol(paper, row):
    script = row.declared.module.rsplit(".", 1)[-1]
    free = set(f"{OURS} {FREE[paper]} {WITHOUT_EFFECT.get(script, '')}".split())
    assert set(settings(row)) - free == set(row.protocol) - free
