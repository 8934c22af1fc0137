"""The flags that every script gets, quirks by name, and complaints in one line."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from common.errors import UserError
from common.flags import Parser, Quirk, add_run_flags, boolean, parse_quirks

QUIRKS = [
    Quirk("skip", ("official", "paper"), "the skip carries relu(x), or x"),
    Quirk("padding", ("official", "fixed"), "padded with the means, or with 0"),
]


def parser(quirks=QUIRKS):
    made = Parser(prog="python -m duet.main")
    made.add_argument("--lr", type=float, default=0.1)
    made.add_argument("--bias", type=boolean, default=True)
    add_run_flags(made, quirks)
    return made


def complaint(*argv):
    with pytest.raises(UserError) as error:
        parser().parse_args(argv)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_defaults_are_as_published_and_change_nothing():
    args = parser().parse_args([])
    assert (args.gpu, args.resume, args.run_dir, args.precision) == ([0], "", None, "fp32")
    assert (args.max_steps, args.row, args.quirk) == (None, None, [])
    assert (args.compile, args.channels_last, args.overwrite) == (False, False, False)


def test_values_have_the_types_that_a_run_needs():
    line = "--gpu 0 -1 --run-dir out/a --resume auto --precision bf16 --max-steps 3 --row full --quirk skip=paper"
    args = parser().parse_args(line.split())
    assert (args.gpu, args.run_dir, args.resume) == ([0, -1], Path("out/a"), "auto")
    assert (args.precision, args.max_steps, args.row, args.quirk) == ("bf16", 3, "full", ["skip=paper"])


def test_published_flag_of_the_same_name_is_kept():
    published = Parser(prog="x")
    published.add_argument("--gpu", type=int, nargs="+", default=[1])
    published.add_argument("-r", "--resume", default="model.pt")
    add_run_flags(published, [])
    args = published.parse_args([])
    assert (args.gpu, args.resume) == ([1], "model.pt")


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["--precision", "fp8"], "argument --precision: invalid choice: 'fp8'"),
        (["--lr", "fast"], "argument --lr: invalid float value: 'fast'"),
        (["--rate", "1"], "unrecognized arguments: --rate 1"),
        (["--gpu"], "argument --gpu: expected at least one argument"),
        (["--bias", "maybe"], "argument --bias: expected true or false, found 'maybe'"),
    ],
)
def test_bad_command_line_is_a_one_line_error_that_points_to_the_help(argv, part):
    message = complaint(*argv)
    assert part in message
    assert message.endswith("(see python -m duet.main --help)")


def test_help_names_every_flag_and_ends_well(capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--lr", "--gpu", "--run-dir", "--resume", "--precision", "--compile", "--max-steps", "--list-quirks"):
        assert flag in text


def test_quirks_are_listed_with_default_and_effect(capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["--list-quirks"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.splitlines() == [
        "skip=official (default) | paper",
        "    the skip carries relu(x), or x",
        "padding=official (default) | fixed",
        "    padded with the means, or with 0",
    ]


def test_quirks_that_are_not_named_have_their_first_choice():
    assert parse_quirks([], QUIRKS) == {"skip": "official", "padding": "official"}
    assert parse_quirks(["padding=fixed"], QUIRKS) == {"skip": "official", "padding": "fixed"}
    assert parse_quirks(["skip=paper", "padding=fixed"], QUIRKS) == {"skip": "paper", "padding": "fixed"}
    assert parse_quirks([], []) == {}


def test_unknown_quirk_is_an_error_that_lists_the_others():
    with pytest.raises(UserError, match=r"--quirk skipp=paper: no quirk 'skipp'; there are: skip, padding"):
        parse_quirks(["skip=paper", "skipp=paper"], QUIRKS)


@pytest.mark.parametrize("item", ["skip=fixed", "skip", "skip=", "skip=paper=official"])
def test_unknown_choice_is_an_error_that_lists_both(item):
    with pytest.raises(UserError, match=rf"--quirk {item}: expected skip=official\|paper"):
        parse_quirks([item], QUIRKS)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("YES", True), ("1", True), ("false", False), ("No", False), ("0", False)],
)
def test_boolean_takes_what_people_write(text, value):
    assert boolean(text) is value
    assert parser().parse_args(["--bias", text]).bias is value


def test_published_way_to_say_false_is_kept():
    """`type=bool` of the published scripts takes an empty text for false."""
    assert boolean("") is False


@pytest.mark.parametrize("text", ["2", "truee", "none"])
def test_other_words_are_no_booleans(text):
    with pytest.raises(ArgumentTypeError, match=f"expected true or false, found '{text}'"):
        boolean(text)


def test_quirks_may_be_given_one_by_one():
    args = parser().parse_args(["--quirk", "skip=paper", "--quirk", "padding=fixed"])
    assert parse_quirks(args.quirk, QUIRKS) == {"skip": "paper", "padding": "fixed"}


@pytest.mark.parametrize("steps", ["0", "-1"])
def test_epoch_of_no_steps_is_refused(steps):
    with pytest.raises(UserError, match="--max-steps"):
        parser().parse_args(["--max-steps", steps])
