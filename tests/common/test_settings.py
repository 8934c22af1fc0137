"""A command line's settings: a field for every flag, frozen, recorded whole."""

from argparse import Namespace
from dataclasses import FrozenInstanceError, dataclass, fields, replace
from pathlib import Path

import pytest

from common.flags import Parser, RunSettings, add_run_flags


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """Those of a small script."""

    lr: float
    depths: tuple[int, ...]
    total: int  # no flag


def parsed(*argv, **more):
    parser = Parser(prog="python -m duet.main")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--depths", type=int, nargs="+", default=[1, 2])
    add_run_flags(parser, [])
    return Namespace(**vars(parser.parse_args(list(argv))), **more)


def test_every_flag_that_all_scripts_have_is_a_field_and_quirks_besides():
    parser = Parser()
    add_run_flags(parser, [])
    assert {field.name for field in fields(RunSettings)} == {*vars(parser.parse_args([])), "quirks"}
    RunSettings.of(parser.parse_args([]), quirks={})


def test_values_are_those_of_the_flags_and_lists_become_tuples():
    settings = Settings.of(parsed("--lr", "0.5", "--depths", "3", "--gpu", "0", "1"), quirks={}, total=3)
    assert (settings.lr, settings.depths, settings.gpu, settings.total) == (0.5, (3,), (0, 1), 3)
    assert (settings.run_dir, settings.quirk, settings.resume) == (None, (), "")


def test_completed_value_wins_over_the_flags_own():
    settings = Settings.of(parsed("--gpu", "0"), quirks={}, total=3, gpu=[-1], lr=7.0)
    assert (settings.gpu, settings.lr) == ((-1,), 7.0)


def test_flag_without_a_field_is_refused_by_name():
    with pytest.raises(TypeError, match="'momentum'"):
        Settings.of(parsed(momentum=0.9), quirks={}, total=3)
    with pytest.raises(TypeError, match="'momentum'"):
        Settings.of(parsed(), quirks={}, total=3, momentum=0.9)


def test_field_without_a_value_is_refused_by_name():
    with pytest.raises(TypeError, match="'total'"):
        Settings.of(parsed(), quirks={})


def test_settings_cannot_be_changed_only_replaced():
    settings = Settings.of(parsed(), quirks={}, total=3)
    with pytest.raises(FrozenInstanceError):
        settings.lr = 1.0
    assert (replace(settings, lr=1.0).lr, settings.lr) == (1.0, 0.1)
    with pytest.raises(TypeError, match="'rate'"):
        replace(settings, rate=1.0)


def test_record_covers_every_field():
    settings = Settings.of(parsed("--run-dir", "out"), quirks={"skip": "paper"}, total=3)
    recorded = settings.recorded()
    assert set(recorded) == {field.name for field in fields(Settings)}
    assert all(recorded[name] == getattr(settings, name) for name in recorded)
    assert (recorded["run_dir"], recorded["quirks"], recorded["total"]) == (Path("out"), {"skip": "paper"}, 3)


def test_what_may_differ_on_resume_are_fields_of_every_script():
    assert {field.name for field in fields(RunSettings)} >= RunSettings.FREE
    assert {"gpu", "resume", "run_dir", "overwrite", "row", "quirk"} == RunSettings.FREE


def test_run_records_settings_as_json_has_them(make_run, tmp_path):
    args = make_run(tmp_path / "run", depths=(3, 4), paths=(Path("a"), "b"), quirks={"skip": "paper"}).facts["args"]
    assert (args["depths"], args["paths"], args["quirks"]) == ([3, 4], ["a", "b"], {"skip": "paper"})
    assert args["lr"] == 0.1
