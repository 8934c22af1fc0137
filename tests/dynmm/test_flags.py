"""The command lines of DynMM's six scripts: published defaults, both spellings, what is refused, quirks."""

import importlib

import pytest

from common.errors import UserError
from common.flags import RunSettings
from dynmm.modality import flags
from tests.support.dynmm_runs import SCRIPTS, settings

PUBLISHED = {
    "imdb_uni": {"gpu": [0], "n_runs": 1, "mod": 0, "eval_only": False, "measure": False},
    "imdb_mm": {"gpu": [0], "n_runs": 1, "fuse": 0, "eval_only": False, "measure": False},
    "imdb_dyn": {
        **{"gpu": [0], "n_runs": 1, "data": "imdb", "n_epochs": 50, "lr": 1e-4, "wd": 1e-2, "reg": 0.1},
        **{"freeze": False, "eval_only": False, "hard_gate": False, "no_pretrain": False, "infer_mode": 0},
    },
    "affect_uni": {
        **{"gpu": [0], "n_runs": 1, "mod": 2, "enc": "transformer", "hidden_dim1": 0, "hidden_dim2": 0},
        **{"data": "mosei", "lr": 1e-4, "clf": False, "eval_only": False, "measure": False},
    },
    "affect_mm": {
        **{"gpu": [0], "n_runs": 1, "data": "mosei", "fusion": 3, "lr": 1e-4, "wd": 1e-4},
        **{"eval_only": False, "measure": False},
    },
    "affect_dyn": {
        **{"gpu": [0], "n_runs": 1, "data": "mosei", "enc": "transformer", "n_epochs": 50, "temp": 1.0},
        **{
            "hard_gate": False,
            "reg": 0.0,
            "lr": 1e-6,
            "wd": 1e-4,
            "infer_mode": 0,
            "eval_only": False,
            "freeze": False,
        },
    },
}
# What the published scripts have fixed, and ours reach by a flag.
FIXED = {
    "imdb_uni": {"n_epochs": 1000, "lr": 1e-4, "wd": 0.01, "batch_size": 128},
    "imdb_mm": {"n_epochs": 1000, "lr": 4e-2, "wd": 0.01, "batch_size": 128},
    "imdb_dyn": {"batch_size": 128},
    "affect_uni": {"n_epochs": 100, "wd": 0.01, "batch_size": 32},
    "affect_mm": {"n_epochs": 1000, "batch_size": 32},
    "affect_dyn": {"batch_size": 32},
}
OURS = {
    "seed": 0,
    "narrow": 1,
    "run_dir": None,
    "resume": "",
    "precision": "fp32",
    "compile": False,
    "overwrite": False,
}


def script(name):
    return importlib.import_module(f"dynmm.modality.{name}")


def parser(name):
    family, kind = name.split("_")
    return getattr(importlib.import_module(f"dynmm.modality.{family}.flags"), f"{kind}_parser")()


def quirks(name):
    family, kind = name.split("_")
    return getattr(importlib.import_module(f"dynmm.modality.{family}.flags"), f"{kind.upper()}_QUIRKS")


@pytest.mark.parametrize("name", SCRIPTS)
def test_published_flags_have_their_published_defaults(name):
    args = vars(parser(name).parse_args([]))
    assert {flag: args[flag] for flag in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_fixed_in_the_published_script_is_the_default(name):
    args = vars(settings(name))
    assert {flag: args[flag] for flag in FIXED[name]} == FIXED[name]
    assert {flag: args[flag] for flag in OURS} == OURS
    assert str(args["log_dir"]) == "log"


@pytest.mark.parametrize(("fuse", "rate"), [(0, 4e-2), (1, 8e-3), (2, 8e-3), (3, 8e-3)])
def test_learning_rate_of_a_fusion_is_the_published_one_unless_given(fuse, rate):
    assert settings("imdb_mm", "--fuse", str(fuse)).lr == rate
    assert settings("imdb_mm", "--fuse", str(fuse), "--lr", "0.5").lr == 0.5


def test_both_spellings_of_readme_and_code_are_understood():
    assert settings("imdb_dyn", "--hard").hard_gate
    assert settings("imdb_dyn", "--hard-gate").hard_gate
    assert settings("affect_dyn", "--hard-gate").hard_gate
    assert settings("imdb_mm", "--fusion", "3").fuse == 3
    assert settings("affect_mm", "--fuse", "4").fusion == 4


@pytest.mark.parametrize("name", SCRIPTS)
def test_docstring_opens_with_a_command_that_the_script_understands(name):
    lines = script(name).__doc__.splitlines()
    command = next(line.strip() for line in lines if line.strip().startswith("python -m"))
    start = f"python -m dynmm.modality.{name} "
    assert command.startswith(start)
    settings(name, *command.removeprefix(start).split())


@pytest.mark.parametrize(
    ("name", "argv", "words"),
    [
        ("imdb_mm", "--fuse 4", ["--fuse", "4", "0 (ef)", "3 (mim)"]),
        ("imdb_uni", "--n-runs 0", ["--n-runs", "0"]),
        ("imdb_uni", "--n-epochs 0", ["--n-epochs 0", "at least 1"]),
        ("imdb_uni", "--batch-size 0", ["--batch-size", "0"]),
        ("imdb_uni", "--sizes 1 2", ["--sizes", "3"]),
        ("imdb_uni", "--eval-only --resume auto", ["--eval-only", "--log-dir"]),
        ("imdb_uni", "--n-runs 2 --resume last.pt", ["--n-runs 2", "--resume last.pt"]),
        ("imdb_dyn", "--real-gating always", ["--real-gating always", "--hard-gate"]),
        ("imdb_dyn", "--infer-mode 3", ["--infer-mode 3", "1 or 2"]),
        ("imdb_dyn", "--infer-mode 1 --freeze", ["--infer-mode 1 --freeze", "--eval-only"]),
        ("imdb_dyn", "--quirk padding=masked", ["padding", "gate_in_test"]),
        ("affect_dyn", "--quirk padding=none", ["padding=official|masked"]),
        ("affect_dyn", "--real-gating sometimes", ["--real-gating", "sometimes"]),
        ("affect_mm", "--hard", ["--hard"]),
    ],
)
def test_error_is_one_line_that_names_the_flag(name, argv, words):
    with pytest.raises(UserError) as raised:
        settings(name, *argv.split())
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("name", ["imdb_mm", "imdb_dyn", "affect_uni", "affect_mm", "affect_dyn"])
def test_list_quirks_prints_all_with_default_and_effect(name, capsys):
    with pytest.raises(SystemExit) as ended:
        parser(name).parse_args(["--list-quirks"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert quirks(name)
    for quirk in quirks(name):
        assert f"{quirk.name}={quirk.choices[0]} (default) | {quirk.choices[1]}\n    {quirk.effect}\n" in printed
    assert settings(name).quirks == {quirk.name: quirk.choices[0] for quirk in quirks(name)}


def test_every_quirk_has_the_published_behaviour_under_the_name_official():
    all_quirks = [value for value in vars(flags).values() if isinstance(value, flags.Quirk)]
    assert len(all_quirks) == 8
    assert all("official" in quirk.choices for quirk in all_quirks)
    fixed = {quirk.name for quirk in all_quirks if quirk.choices[0] != "official"}
    assert fixed == {"loss_scale", "best_run", "lrtf"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_record_has_the_flags_of_a_gate_also_where_there_is_none(name):
    found = settings(name)
    gate = {flag: found.recorded()[flag] for flag in ("reg", "freeze", "infer_mode", "real_gating")}
    if name.endswith("_dyn"):
        assert gate == {flag: getattr(found, flag) for flag in gate}
    else:
        assert gate == {"reg": 0.0, "freeze": False, "infer_mode": 0, "real_gating": "never"}
        assert not any(hasattr(found, flag) for flag in gate)


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_may_differ_on_resume_changes_no_number(name):
    assert settings(name).FREE == RunSettings.FREE
