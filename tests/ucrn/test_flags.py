"""The command line of UCRN: the 45 published flags and their defaults, the published recipes, what is refused."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from common.errors import UserError
from common.flags import RunSettings
from ucrn.flags import QUIRKS, Settings, parser, read_flags
from ucrn.model import UCRN

PACKAGE = Path(__file__).resolve().parents[2] / "ucrn"
PUBLISHED = {
    "f": "",
    "model": "UCRN",
    "local_rank": -1,
    "ddp": False,
    "vonly": False,
    "aonly": False,
    "lonly": False,
    "aligned": False,
    "dataset": "mosei_senti",
    "use_bert": False,
    "train_mode": "regression",
    "data_path": Path("UCRN/data"),
    "attn_dropout": 0.1,
    "attn_dropout_a": 0.0,
    "attn_dropout_v": 0.0,
    "relu_dropout": 0.1,
    "embed_dropout": 0.25,
    "res_dropout": 0.1,
    "out_dropout": 0.5,
    "nlevels": 5,
    "num_heads": 3,
    "attn_mask": True,
    "temp_proj": 1,
    "batch_size": 32,
    "clip": 0.8,
    "lr": 1e-3,
    "optim": "SGD",
    "num_epochs": 40,
    "when": 20,
    "batch_chunk": 1,
    "pretrain": None,
    "jsd": False,
    "schedule": "default",
    "base_lr": 1e-4,
    "max_lr": 1e-2,
    "step_up": 2000,
    "lr_stepper": "steplr",
    "stepper_size": 10,
    "warm_epoch": 5,
    "log_interval": 30,
    "seed": 581,
    "no_cuda": False,
    "name": "UCRN",
    "visualize": False,
    "vis_dir": Path("UCRN/visfolder"),
}
OURS = {
    "gpu": [0],
    "without": [],
    "positions": False,
    "bert": None,
    "bert_length": 50,
    "official_order": False,
    "robustness": False,
    "resume": "",
    "run_dir": None,
    "precision": "fp32",
    "channels_last": False,
    "compile": False,
    "max_steps": None,
    "overwrite": False,
    "weights_are_published": False,
    "row": None,
    "quirk": [],
}
RECIPES = {
    "train_mosi.sh": {"dataset": "mosi", "jsd": True, "name": "UCRN_bs32_jsd_mosi"},
    "train_mosei.sh": {"dataset": "mosei_senti", "jsd": True, "name": "UCRN_bs32_jsd_mosei"},
    "train_mosi_ddp.sh": {"dataset": "mosi", "num_epochs": 80, "when": 40, "ddp": True, "name": "ucrn_mosi_ddp"},
    "train_mosei_ddp.sh": {
        "dataset": "mosei_senti",
        "num_epochs": 80,
        "when": 40,
        "ddp": True,
        "name": "ucrn_mosei_ddp",
    },
}
COMMON = {"lonly": True, "aonly": True, "vonly": True, "batch_size": 32, "seed": 1234, "optim": "Adam", "lr": 1e-3}


def parsed(*argv):
    return parser().parse_args(list(argv))


def completed(*argv):
    return read_flags(["--lonly", *argv])


def test_there_are_45_published_flags_and_ours():
    assert len(PUBLISHED) == 45
    assert set(vars(parsed())) == set(PUBLISHED) | set(OURS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_flag_has_its_published_default(name):
    assert getattr(parsed(), name) == PUBLISHED[name]


def test_our_own_flags_change_nothing_by_default():
    assert {name: getattr(parsed(), name) for name in OURS} == OURS


def test_every_flag_has_a_field_of_its_name_and_the_modalities_and_quirks_besides():
    assert {field.name for field in fields(Settings)} == set(PUBLISHED) | set(OURS) | {"active", "quirks"}


@pytest.mark.parametrize(
    ("flags", "causal"),
    [([], True), (["--attn_mask"], False), (["--quirk", "causal=paper"], False)],
    ids=["default", "flag", "quirk"],
)
def test_network_is_built_with_what_the_flags_say(flags, causal):
    given = ["--nlevels", "2", "--num_heads", "5", "--out_dropout", "0.2", "--without", "crm"]
    network = completed(*given, *flags).network
    assert (network["layers"], network["num_heads"], network["out_dropout"]) == (2, 5, 0.2)
    assert (network["without"], network["attn_mask"]) == (("crm",), causal)
    UCRN((4, 4, 4), (3, 3, 3), ("l",), **network)


def command_of(text):
    """The flags of the script's own command; what the caller adds ("$@") left out."""
    words = shlex.split(text.replace("\\\n", " "), comments=True)
    return [word for word in words[words.index("ucrn.main") + 1 :] if not word.startswith("$")]


@pytest.mark.parametrize("name", RECIPES)
def test_published_recipe_says_what_it_said(name):
    settings = read_flags(command_of((PACKAGE / name).read_text()))
    recipe = {**PUBLISHED, **COMMON, **RECIPES[name]}
    ddp, wanted_ddp = settings.ddp, recipe.pop("ddp")
    assert ddp is wanted_ddp or name.endswith("_ddp.sh")  # torchrun says it too
    assert {key: getattr(settings, key) for key in recipe} == recipe


def test_published_spellings_are_understood():
    line = "-f x --model=ucrn --lonly --aonly --vonly --data_path=UCRN/data/ --dataset=MOSI --batch_size=24 --ddp"
    settings = read_flags(line.split())
    assert (settings.f, settings.model, settings.dataset, settings.batch_size) == ("x", "UCRN", "mosi", 24)
    assert settings.data_path == Path("UCRN/data")
    assert settings.active == ("l", "a", "v")


@pytest.mark.parametrize("spelling", ["--local_rank", "--local-rank", "--local_rank=2", "--local-rank=2"])
def test_both_launchers_spellings_of_the_rank(spelling):
    assert parsed(*([spelling] if "=" in spelling else [spelling, "2"])).local_rank == 2


@pytest.mark.parametrize("flag", ["use_bert", "visualize"])
@pytest.mark.parametrize(("words", "value"), [([], True), (["True"], True), (["False"], False), (["0"], False)])
def test_boolean_flags_mean_what_they_say(flag, words, value):
    assert getattr(parsed(f"--{flag}", *words, "--name", "x"), flag) is value


@pytest.mark.parametrize("text", ["--attn_mask", "--quirk causal=paper --attn_mask"])
def test_giving_the_mask_turns_it_off_as_published(text):
    assert completed(*text.split()).attn_mask is False


def test_modalities_are_those_given_in_the_networks_order():
    assert read_flags(["--vonly", "--lonly"]).active == ("l", "v")


def test_no_cuda_is_the_cpu():
    assert completed("--no_cuda", "--gpu", "0", "1").gpu == (-1,)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--model mult", ["--model", "MULT", "UCRN"]),
        ("--dataset iemocap", ["--dataset", "iemocap", "mosei_senti, mosei, mosi, sims"]),
        ("--num_heads 4", ["--num_heads 4", "divisor of 30"]),
        ("--num_heads 0", ["--num_heads", "0"]),
        ("--optim nonsense", ["--optim nonsense", "Adam", "SGD"]),
        ("--optim lr_scheduler", ["--optim lr_scheduler"]),
        ("--nlevels -1", ["--nlevels -1"]),
        ("--temp_proj -1", ["--temp_proj -1"]),
        ("--when -1", ["--when -1"]),
        ("--batch_size 0", ["--batch_size", "0"]),
        ("--num_epochs 0", ["--num_epochs", "0"]),
        ("--batch_chunk 0", ["--batch_chunk", "0"]),
        ("--log_interval 0", ["--log_interval", "0"]),
        ("--lr fast", ["--lr", "fast"]),
        ("--use_bert maybe", ["--use_bert", "maybe"]),
        ("--use_bert", ["--use_bert", "--bert"]),
        ("--without gates", ["--without", "gates", "sqil"]),
        ("--visualize --resume auto", ["--visualize", "auto", "checkpoint"]),
        ("--quirk mjsd=paper", ["--quirk", "mjsd=official|jsd"]),
        ("--quirk nothing=official", ["--quirk", *(quirk.name for quirk in QUIRKS)]),
        ("--precision fp8", ["--precision", "fp8"]),
        ("--learning_rate 1", ["--learning_rate"]),
    ],
)
def test_error_is_one_line_that_names_the_flag_and_what_was_found(argv, words):
    with pytest.raises(UserError) as raised:
        completed(*argv.split())
    message = str(raised.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("rate", ["attn_dropout", "relu_dropout", "embed_dropout", "res_dropout", "out_dropout"])
@pytest.mark.parametrize("value", ["1.5", "-0.1"])
def test_dropout_rate_that_is_none_is_refused(rate, value):
    with pytest.raises(UserError, match=f"--{rate} {re.escape(value)}"):
        completed(f"--{rate}", value)


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam"])
def test_optimizer_that_cannot_train_the_network_is_refused(name):
    with pytest.raises(UserError, match=f"--optim {name}"):
        completed("--optim", name)


def test_no_modality_is_the_published_error_and_says_what_to_give():
    with pytest.raises(UserError, match=r"unknown partial mode type: .*--lonly, --aonly, --vonly"):
        read_flags([])


def test_quirks_have_the_published_defaults_until_one_is_named():
    defaults = completed().quirks
    assert defaults == {quirk.name: quirk.choices[0] for quirk in QUIRKS}
    assert set(defaults.values()) == {"official", "test_f1"}
    chosen = completed("--quirk", "mjsd=jsd", "select_on=valid_loss").quirks
    assert chosen == {**defaults, "mjsd": "jsd", "select_on": "valid_loss"}


def test_list_quirks_prints_all_and_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--list-quirks")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for quirk in QUIRKS:
        assert f"{quirk.name}={quirk.choices[0]} (default) | {quirk.choices[1]}\n    {quirk.effect}\n" in printed


def test_what_may_differ_on_resume_changes_no_number():
    assert Settings.FREE == RunSettings.FREE
