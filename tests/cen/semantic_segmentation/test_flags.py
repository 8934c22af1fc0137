"""The command line of the segmentation: published defaults, what is completed, what is refused."""

import pytest

from cen.semantic_segmentation.flags import QUIRKS, Settings, parser
from cen.semantic_segmentation.transforms import Normalisation
from common.errors import UserError
from common.flags import RunSettings

PUBLISHED = {
    "train_dir": "/data/nyud",
    "val_dir": "/data/nyud",
    "train_list": "./data/nyudv2/train.txt",
    "val_list": "./data/nyudv2/val.txt",
    "shorter_side": 350,
    "crop_size": 500,
    "input_size": None,
    "normalise_params": [1 / 255, 0.485, 0.456, 0.406, 0.229, 0.224, 0.225, 1 / 5000],
    "batch_size": 6,
    "num_workers": 16,
    "num_classes": 40,
    "low_scale": 0.5,
    "high_scale": 2.0,
    "ignore_label": 255,
    "enc": "101",
    "enc_pretrained": True,
    "name": "",
    "gpu": [1],
    "evaluate": False,
    "freeze_bn": [True],
    "num_epoch": [100, 100, 100],
    "random_seed": 42,
    "ckpt": "model",
    "resume": "",
    "val_every": 5,
    "print_network": False,
    "print_loss": False,
    "save_image": 100,
    "input": ["rgb", "depth"],
    "lr_enc": [5e-4, 2.5e-4, 1e-4],
    "lr_dec": [3e-3, 1.5e-3, 7e-4],
    "mom_enc": 0.9,
    "mom_dec": 0.9,
    "wd_enc": 1e-5,
    "wd_dec": 1e-5,
    "optim_dec": "sgd",
    "lamda": 2e-4,
    "bn_threshold": 2e-2,
}
OURS = {
    "imagenet": None,
    "width": 64,
    "val_batch_size": 1,
    "dataset": "nyudv2",
    "weights_are_published": False,
    "run_dir": None,
    "precision": "fp32",
    "channels_last": False,
    "compile": False,
    "max_steps": None,
    "overwrite": False,
    "row": None,
    "quirk": [],
}


def parsed(*argv):
    return parser().parse_args(list(argv))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_flag_has_its_published_default(name):
    assert getattr(parsed(), name) == PUBLISHED[name]


def test_our_own_flags_change_nothing_by_default():
    assert {name: getattr(parsed(), name) for name in OURS} == OURS


def test_there_are_no_other_flags():
    assert set(vars(parsed())) == set(PUBLISHED) | set(OURS)


def test_published_command_lines_are_understood():
    args = parsed("--gpu", "0", "1", "2", "-c", "exp_name")
    assert (args.gpu, args.ckpt) == ([0, 1, 2], "exp_name")
    args = parsed("--gpu", "0", "--resume", "path_to_pth", "--evaluate", "--enc", "152", "--num-epoch", "150")
    assert (args.resume, args.evaluate, args.enc, args.num_epoch) == ("path_to_pth", True, "152", [150])


@pytest.mark.parametrize(
    ("flag", "name", "value", "found"),
    [
        ("-d", "train_dir", "folder", "folder"),
        ("-c", "ckpt", "exp", "exp"),
        ("-i", "input", "depth", ["depth"]),
        ("-t", "bn_threshold", "0.5", 0.5),
        ("--save-img", "save_image", "-1", -1),
        ("--save-image", "save_image", "0", 0),
    ],
)
def test_short_and_second_names(flag, name, value, found):
    assert getattr(parsed(flag, value), name) == found


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("0", False), ("yes", True), ("", False), ("no", False)]
)
def test_booleans_say_what_they_mean(text, value):
    args = parsed("--enc-pretrained", text, "--freeze-bn", text, "true")
    assert args.enc_pretrained is value
    assert args.freeze_bn == [value, True]


def test_single_values_are_spread_over_the_stages(flags):
    args = flags("--num-epoch", "7", "--lr-dec", "0.5", "--freeze-bn", "false", "--lr-enc", ".3", ".2", ".1", ".05")
    assert args.num_epoch == (7,) * 4
    assert args.lr_dec == (0.5,) * 4
    assert args.freeze_bn == (False,) * 4


def test_number_of_stages_is_that_of_the_encoders_rates(flags):
    args = flags("--lr-enc", ".3", ".2", "--lr-dec", ".1", ".2", "--num-epoch", "4", "5", "--freeze-bn", "1", "0")
    assert (args.num_epoch, args.freeze_bn) == ((4, 5), (True, False))


def test_defaults_are_completed_for_three_stages(flags):
    assert flags().freeze_bn == (True,) * 3


def test_normalisation_of_the_flags(flags):
    assert flags().norm == Normalisation()
    args = flags("--normalise-params", "1", ".1", ".2", ".3", ".4", ".5", ".6", "-1")
    assert args.norm == Normalisation(1.0, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), -1.0)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--enc 34", ["--enc", "34", "50, 101 or 152"]),
        ("--input rgb normals", ["--input", "normals", "rgb or depth"]),
        ("--num-epoch 1 2", ["--num-epoch", "2 values", "3"]),
        ("--lr-dec 1 2 3 4", ["--lr-dec", "4 values", "3"]),
        ("--freeze-bn true false", ["--freeze-bn", "2 values", "3"]),
        ("--batch-size 0", ["--batch-size", "0"]),
        ("--val-batch-size 0", ["--val-batch-size", "0"]),
        ("--crop-size -2", ["--crop-size", "-2"]),
        ("--val-every 0", ["--val-every", "0"]),
        ("--num-classes 0", ["--num-classes", "0"]),
        ("--width 0", ["--width", "0"]),
        ("--shorter-side 0", ["--shorter-side", "0"]),
        ("--input-size 0", ["--input-size", "0"]),
        ("--max-steps 0", ["--max-steps", "0"]),
        ("--num-workers -1", ["--num-workers", "-1"]),
        ("--num-epoch 1 0 1", ["--num-epoch", "1 0 1"]),
        ("--ignore-label -1", ["--ignore-label", "-1"]),
        ("--ignore-label 256", ["--ignore-label", "256"]),
        ("--evaluate --resume auto", ["--resume", "auto", "checkpoint"]),
        ("--quirk skip=paper", ["--quirk", "skip", *(quirk.name for quirk in QUIRKS)]),
        ("--quirk penalty=fixed", ["--quirk", "penalty=official|paper"]),
        ("--quirk penalty", ["--quirk", "penalty=official|paper"]),
        ("--crop-size big", ["--crop-size", "big"]),
        ("--enc-pretrained maybe", ["--enc-pretrained", "maybe"]),
        ("--freeze-bn perhaps", ["--freeze-bn", "perhaps"]),
        ("--optim-dec rmsprop", ["--optim-dec", "rmsprop", "sgd", "adam"]),
        ("--precision fp8", ["--precision", "fp8"]),
        ("--normalise-params 1 2", ["--normalise-params", "8"]),
        ("--input", ["--input"]),
        ("--learning-rate 1", ["--learning-rate"]),
    ],
)
def test_error_is_one_line_that_names_the_flag_and_what_was_found(flags, argv, words):
    with pytest.raises(UserError) as raised:
        flags(*argv.split())
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_quirks_have_their_defaults_until_one_is_named(flags):
    defaults = {quirk.name: quirk.choices[0] for quirk in QUIRKS}
    assert flags().quirks == defaults
    chosen = flags("--quirk", "penalty=paper", "depth_padding=fixed").quirks
    assert chosen == {**defaults, "penalty": "paper", "depth_padding": "fixed"}


def test_defaults_of_the_quirks_are_what_the_published_code_does():
    paper = {quirk.name for quirk in QUIRKS if quirk.choices[0] != "official"}
    assert paper == {"penalised_parts"}  # differs from the code for more than two streams alone, where that crashes


def test_list_quirks_prints_all_with_default_and_effect_and_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--list-quirks")
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert QUIRKS
    for quirk in QUIRKS:
        default, other = quirk.choices
        assert f"{quirk.name}={default} (default) | {other}\n    {quirk.effect}\n" in printed


def test_what_may_differ_on_resume_changes_no_number():
    assert {"num_workers", "print_loss", "print_network", "save_image"} == Settings.FREE - RunSettings.FREE
