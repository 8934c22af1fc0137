"""X-Norm's command line: published flags and defaults, ours, and what is refused."""

from dataclasses import fields

import pytest

from common.errors import UserError
from common.flags import RunSettings
from tests.support.xnorm_runs import settings_of
from xnorm.emotion.flags import Settings as EmotionSettings
from xnorm.flags import QUIRKS, Settings, parser, read_flags
from xnorm.models import METHODS, build_model

FUSIONS = tuple(METHODS)

PUBLISHED = {
    "seed": 0,
    "num_workers": 8,
    "num_classes": 8,
    "num_frames": 16,
    "dropout": 0.1,
    "hidden_size": 128,
    "d_1": 1024,
    "d_2": 1024,
    "num_epochs": 50,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "weight_decay": 1e-4,
    "clip": 1.0,
    "when": 10,
    "patience": 5,
    "diff_weight": 0.3,
    "sim_weight": 1.0,
    "recon_weight": 1.0,
    "num_gb_epochs": 5,
    "weight": 0.5,
    "ablation": "none",
}


def refusal(*flags):
    with pytest.raises(UserError) as caught:
        read_flags([*flags, "--gpu", "-1"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_defaults_are_the_published_ones(fusion):
    settings = settings_of(fusion).recorded()
    assert {name: settings[name] for name in PUBLISHED} == PUBLISHED
    assert (str(settings["csv_root"]), str(settings["data_root"])) == ("dataset/epic_kitchens", "data/epic_kitchens")
    assert set(settings["quirks"].values()) == {"official"}


def test_every_flag_has_a_field_of_its_name_and_the_quirks_besides():
    flags = vars(parser().parse_args([]))
    assert {field.name for field in fields(Settings)} == {*flags, "quirks"}


def test_network_and_losses_get_what_the_flags_say():
    flags = ["--num_classes", "5", "--hidden_size", "6", "--dropout", "0.3", "--weight", "0.2", "--narrow", "32"]
    flags += ["--quirk", "mult_readout=last", "frozen_bn=eval"]
    flags += ["--diff_weight", "7", "--sim_weight", "8", "--recon_weight", "9"]
    sizes = settings_of("mult", *flags).sizes
    assert (sizes.num_classes, sizes.hidden, sizes.dropout, sizes.weight, sizes.narrow) == (5, 6, 0.3, 0.2, 32)
    model = build_model("mult", sizes)
    assert (model.readout, model.frozen_bn) == ("last", "eval")
    weights = settings_of("misa", *flags).loss_weights(heads=[1.0])
    assert (weights.diff, weights.sim, weights.recon, weights.heads) == (7, 8, 9, (1.0,))


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.name)
def test_every_quirk_starts_with_what_is_published(quirk):
    assert quirk.choices[0] == "official"
    other = quirk.choices[1]
    assert settings_of("mult", "--quirk", f"{quirk.name}={other}").quirks[quirk.name] == other


def test_clip_takes_fractions():
    assert settings_of("rgb", "--clip", "0.5").clip == 0.5
    assert refusal("--fusion", "rgb", "--clip", "0").startswith("--clip 0.0: expected more than 0")


def test_method_must_be_given_and_known():
    assert refusal().startswith("--fusion: not given; expected one of rgb, flow, early")
    message = refusal("--fusion", "sum")
    assert "--fusion" in message
    assert all(fusion in message for fusion in ("'sum'", *FUSIONS))


@pytest.mark.parametrize("frames", ["17", "100"])
def test_frames_that_the_head_cannot_take(frames):
    for fusion in ("rgb", "xnorm", "gb"):
        message = refusal("--fusion", fusion, "--num_frames", frames)
        assert message.startswith(f"--num_frames {frames}: expected 1 to 16 for --fusion {fusion}")
    for fusion in ("misa", "mult"):
        assert settings_of(fusion, "--num_frames", frames).num_frames == int(frames)


def test_widths_follow_the_encoders():
    assert refusal("--fusion", "misa", "--d_2", "512").startswith("--d_2 512: expected 1024, ")
    settings = settings_of("mult", "--narrow", "8")
    assert (settings.d_1, settings.d_2) == (128, 128)
    assert settings_of("xnorm", "--d_2", "512").d_2 == 512  # of no use there, as published


def test_blending_weights_are_three_numbers_or_the_published_ones():
    assert settings_of("gb").gb_weights == ()
    assert settings_of("gb", "--gb-weights", "0.2", "0.5", "0.3").gb_weights == (0.2, 0.5, 0.3)
    first = settings_of("gb", "--seed", "1", "--gb-weights", "published").gb_weights
    assert first == (0.02495882, 0.95270437, 0.02233681)
    assert settings_of("gb", "--seed", "1").gb_weights == ()  # presets are off unless asked for
    assert "none for 3" in refusal("--fusion", "gb", "--seed", "3", "--gb-weights", "published")
    for words in (["1", "2"], ["a", "b", "c"], ["1", "nan", "1"], ["0", "0", "0"]):
        assert "expected three numbers" in refusal("--fusion", "gb", "--gb-weights", *words)
    assert refusal("--fusion", "rgb", "--gb-weights", "published").startswith("--gb-weights: only --fusion gb")


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["xnorm"], "xnorm_none_0_0.5"),
        (["late", "--weight", "0.25", "--seed", "3", "--ablation", "no_l1"], "late_no_l1_3_0.25"),
        (["gb", "--seed", "4"], "gb_4"),
        (["misa"], "misa"),
        (["mult", "--name", "mine"], "mine"),
    ],
)
def test_run_is_named_like_the_published_checkpoint(flags, name):
    assert settings_of(*flags).name == name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--num_workers", "-1"], "--num_workers -1: expected 0 or more"),
        (["--when", "-1"], "--when -1: expected 0 or more"),
        (["--dropout", "1.5"], "--dropout 1.5: expected 0 to 1"),
        (["--weight", "-0.1"], "--weight -0.1: expected 0 to 1"),
        (["--crop-size", "300"], "--crop-size 300: expected 1 to 224"),
        (["--ckpt_path", "nowhere"], "--ckpt_path nowhere: no such folder"),
        (["--evaluate"], "--evaluate: name the checkpoint"),
        (["--evaluate", "--resume", "auto"], "--evaluate: name the checkpoint"),
        (["--batch_size", "0"], "argument --batch_size: expected a whole number of at least 1"),
        (["--quirk", "crop=paper"], "--quirk crop=paper: expected crop=official|shared"),
    ],
)
def test_what_is_refused(flags, message):
    assert refusal("--fusion", "xnorm", *flags).startswith(message)


def test_classes_are_the_verbs_where_there_are_eight():
    assert settings_of("rgb").class_names == ["take", "put", "wash", "open", "close", "insert", "turn-on", "cut"]
    assert settings_of("rgb", "--num_classes", "3").class_names == ["0", "1", "2"]


def test_what_may_differ_on_resume_changes_no_number():
    assert {"num_workers", "cache"} == Settings.FREE - RunSettings.FREE
    assert EmotionSettings.FREE == RunSettings.FREE
