"""The eight networks: published entries, equal draws, what each output is made of, dropout, sizes, and their start."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from common.backbones.i3d import I3D
from common.errors import UserError
from common.standins.weights.standin import write_weights
from tests.support.xnorm_runs import settings_of
from xnorm.checkpoints import MADE_BY, load_model
from xnorm.losses import logits_of
from xnorm.methods.classifier import Classifier
from xnorm.methods.encoders import head_features, map_width
from xnorm.methods.exchange_network import POINTS
from xnorm.methods.gradient_blending import (
    PUBLISHED_WEIGHTS,
    Blended,
    GradientBlending,
    blending_weights,
    official_weight,
    paper_weight,
)
from xnorm.methods.method import Sizes
from xnorm.models import METHODS, build_model, check_clip_size, start_from_kinetics
from xnorm.norm_exchange import NormExchange

FUSIONS = tuple(METHODS)
NARROW, HIDDEN = 16, 12
SMALL = Sizes(hidden=HIDDEN, narrow=NARROW)


def build(fusion, seed=0, **changes):
    torch.manual_seed(seed)
    return build_model(fusion, replace(SMALL, **changes))


@pytest.fixture(scope="module")
def clips():
    generator = torch.Generator().manual_seed(0)
    return [2 * torch.rand(2, channels, 9, 32, 32, generator=generator) - 1 for channels in (3, 2)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("i3d")
    write_weights(folder, only=["i3d"], narrow=NARROW)
    return folder


@pytest.mark.parametrize(
    ("fusion", "entries", "parameters", "trainable", "tensors", "modules"),
    [
        ("rgb", 350, 12_452_520, 12_452_520, 179, "rgb_enc rgb_out"),
        ("flow", 350, 12_430_568, 12_430_568, 179, "flow_enc flow_out"),
        ("early", 694, 24_865_416, 24_865_416, 352, "rgb_enc flow_enc out"),
        ("late", 700, 24_883_088, 24_883_088, 358, "rgb_enc rgb_out flow_enc flow_out"),
        ("gb", 706, 24_933_528, 24_933_528, 364, "rgb_enc rgb_out flow_enc flow_out out"),
        (
            *("xnorm", 712, 30_395_280, 30_395_280, 370),
            "rgb_enc rgb_out flow_enc flow_out rgb2flow_l1 rgb2flow_l2 rgb2flow_l3 flow2rgb_l1 flow2rgb_l2 flow2rgb_l3",
        ),
        (
            *("misa", 758, 111_190_696, 85_818_120, 70),
            "rnn_11 rnn_12 rnn_21 rnn_22 project_1 project_2 private_1 private_2 shared recon_1 recon_2 fusion "
            "layer_norm_1 layer_norm_2 transformer_encoder rgb_enc flow_enc",
        ),
        (
            *("mult", 952, 25_665_864, 293_288, 256),
            "proj_1 proj_2 trans_1_with_2 trans_2_with_1 trans_1_mem trans_2_mem proj1 proj2 out_layer "
            "rgb_enc flow_enc",
        ),
    ],
)
def test_full_network_has_the_published_entries(fusion, entries, parameters, trainable, tensors, modules):
    with torch.device("meta"):
        model = build_model(fusion, Sizes())
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(model.state_dict()) == entries
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert sum(parameter.numel() for parameter in trained) == trainable
    assert len(trained) == tensors
    assert list(dict.fromkeys(name.split(".")[0] for name in model.state_dict())) == modules.split()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_equal_seeds_draw_equal_networks(fusion):
    one, same, other = (build(fusion, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items() if name.endswith("weight"))


def test_networks_are_drawn_module_after_module():
    late = build("late")
    torch.manual_seed(0)
    encoder = I3D(3, dropout=0.1, narrow=NARROW)  # with its head of 400 classes
    encoder.replace_logits(HIDDEN)
    classifier = Classifier(HIDDEN, HIDDEN, 0.1, 8)
    for ours, expected in ((late.rgb_enc, encoder), (late.rgb_out, classifier)):
        assert all(torch.equal(value, expected.state_dict()[name]) for name, value in ours.state_dict().items())
    for fusion in ("gb", "xnorm"):
        state = build(fusion).state_dict()
        assert all(torch.equal(value, state[name]) for name, value in late.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_method_takes_both_clips_and_gives_logits(fusion, clips):
    model = build(fusion).eval()
    assert logits_of(model(*clips)).shape == (2, 8)
    assert logits_of(build(fusion, num_classes=3).eval()(*clips)).shape == (2, 3)


@torch.no_grad()
@pytest.mark.parametrize("fusion", FUSIONS)
def test_bf16_gives_nearly_the_logits_of_fp32(fusion, clips):
    model = build(fusion).eval()
    expected = logits_of(model(*clips))
    with torch.autocast("cpu", torch.bfloat16):
        found = logits_of(model(*clips)).float()
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize(("fusion", "ignored"), [("rgb", 1), ("flow", 0)])
def test_single_stream_ignores_the_other(fusion, ignored, clips):
    model, changed = build(fusion).eval(), list(clips)
    expected = model(*clips)
    changed[ignored] = changed[ignored] + 1
    assert torch.equal(model(*changed), expected)
    changed[1 - ignored] = changed[1 - ignored] + 1
    assert not torch.equal(model(*changed), expected)


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_weight_is_the_share_of_rgb_in_late_fusion(weight, clips):
    model = build("late", weight=weight).eval()
    r, f = head_features(model.rgb_enc(clips[0])), head_features(model.flow_enc(clips[1]))
    torch.testing.assert_close(model(*clips), weight * model.rgb_out(r) + (1 - weight) * model.flow_out(f))


@torch.no_grad()
def test_weight_is_the_share_of_rgb_in_the_exchange_network(clips):
    outputs = [build("xnorm", weight=weight).eval()(*clips) for weight in (1.0, 0.0, 0.3)]
    torch.testing.assert_close(outputs[2], 0.3 * outputs[0] + 0.7 * outputs[1])
    assert not torch.allclose(outputs[0], outputs[1])


@torch.no_grad()
def test_early_and_blended_fusion_join_rgb_before_flow(clips):
    early, blending = build("early").eval(), build("gb").eval()
    for model in (early, blending):
        features = [head_features(model.rgb_enc(clips[0])), head_features(model.flow_enc(clips[1]))]
        joint = model.out(torch.cat(features, dim=1))
        torch.testing.assert_close(logits_of(model(*clips)), joint)
    output = blending(*clips)
    torch.testing.assert_close(output.rgb, blending.rgb_out(features[0]))
    torch.testing.assert_close(output.flow, blending.flow_out(features[1]))


@torch.no_grad()
def test_streams_exchange_at_three_depths_by_the_crosswise_names(clips):
    model = build("xnorm").eval()
    rgb, flow = clips
    before = None
    for level, point in enumerate(POINTS, start=1):
        plain = model.rgb_enc.run(rgb, before, point), model.flow_enc.run(flow, before, point)
        module = NormExchange(model.rgb_enc.widths[point])
        module.second_to_first = getattr(model, f"rgb2flow_l{level}")
        module.first_to_second = getattr(model, f"flow2rgb_l{level}")
        expected = module(*plain)
        rgb, flow = model.advance(level, rgb, flow)
        torch.testing.assert_close(rgb, expected[0])
        torch.testing.assert_close(flow, expected[1])
        before = point
    assert POINTS == ("Mixed_3b", "Mixed_4d", "Mixed_5c")
    r, f = model.features(rgb, flow)
    torch.testing.assert_close(model(*clips), (model.rgb_out(r) + model.flow_out(f)) / 2)


@torch.no_grad()
def test_exchange_without_parameters_is_late_fusion(clips):
    exchanging, late = build("xnorm").eval(), build("late").eval()
    for name, module in exchanging.named_children():
        if "_l" in name:
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    torch.testing.assert_close(exchanging(*clips), late(*clips))


def test_every_trainable_parameter_gets_a_gradient(clips):
    for fusion in ("early", "gb", "xnorm"):
        model = build(fusion, dropout=0.0)
        output = model(*clips)
        sum(part.square().sum() for part in (output if isinstance(output, Blended) else [output])).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_classifier_drops_out_before_each_tanh_and_on_the_logits():
    classifier, x = Classifier(4, 5, 0.5, 3), torch.randn(1, 4)
    seen = []
    classifier.fc2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    outputs = torch.cat([classifier(x) for _ in range(200)])
    hidden = torch.cat(seen)
    full = classifier.fc1(x)
    choices = torch.cat([torch.zeros(1, 5), (full / 0.5).tanh()])
    assert ((hidden[:, None] - choices).abs().min(dim=1).values < 1e-6).all()
    assert 0.4 < (hidden == 0).float().mean() < 0.6
    assert 0.4 < (outputs == 0).float().mean() < 0.6  # dropped logits


def test_classifier_in_eval_mode_drops_nothing():
    classifier, x = Classifier(4, 5, 0.9, 3).eval(), torch.randn(2, 4)
    expected = classifier.fc3(classifier.fc2(classifier.fc1(x).tanh()).tanh())
    torch.testing.assert_close(classifier(x), expected)


def test_dropout_reaches_the_heads_of_the_encoders_and_the_classifiers():
    model = build("gb", dropout=0.37)
    assert (model.rgb_enc.dropout, model.flow_enc.dropout) == (0.37, 0.37)
    assert (model.rgb_out.dropout, model.flow_out.dropout, model.out.dropout) == (0.37, 0.37, 0.37)


def test_unknown_method_is_named():
    with pytest.raises(UserError, match="--fusion tfn: no such method; expected one of rgb, flow, early"):
        build_model("tfn", SMALL)


@pytest.mark.parametrize("fusion", ["misa", "mult"])
def test_widths_other_than_the_encoders_are_refused(fusion):
    with pytest.raises(UserError, match="--d_2 512: expected 64, the width of the encoders' last map"):
        settings_of(fusion, "--narrow", str(NARROW), "--d_2", "512")
    assert (map_width(1), map_width(NARROW)) == (1024, 64)
    settings_of(fusion, "--narrow", str(NARROW), "--d_1", "64")


def test_clip_sizes_that_a_method_cannot_take_are_refused(clips):
    for fusion in FUSIONS:
        check_clip_size(fusion, 16, 224)
        for frames, side, flag in ((17, 224, "--num_frames 17"), (9, 225, "--crop-size 225")):
            if fusion in ("misa", "mult"):
                check_clip_size(fusion, frames, side)
            else:
                with pytest.raises(UserError, match=f"{flag}: expected 1 to (16|224) for --fusion {fusion}"):
                    check_clip_size(fusion, frames, side)
    with pytest.raises(ValueError, match="clips that give 2 steps: expected at most 16 frames"):
        build("rgb").eval()(torch.zeros(1, 3, 17, 16, 16), None)


@torch.no_grad()
def test_frozen_methods_take_long_clips(clips):
    for fusion in ("misa", "mult"):
        output = build(fusion).eval()(*(torch.zeros(1, channels, 17, 40, 24) for channels in (3, 2)))
        assert logits_of(output).shape == (1, 8)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_networks_start_from_the_i3d_files(fusion, weights):
    model = build(fusion)
    heads = {name: value.clone() for name, value in model.state_dict().items() if ".logits." in name}
    facts = start_from_kinetics(model, weights, said_to_be_published=True)
    streams = [stream for stream in ("rgb", "flow") if hasattr(model, f"{stream}_enc")]
    for stream in streams:
        stored = torch.load(weights / f"{stream}_imagenet.pt", weights_only=True)
        own = getattr(model, f"{stream}_enc").state_dict()
        kept = fusion not in ("misa", "mult")
        for name, value in own.items():
            head = name.startswith("logits.") and kept
            assert torch.equal(value, heads[f"{stream}_enc.{name}"] if head else stored[name])
    assert [f"{stream}_imagenet.pt" in facts["file"] for stream in ("rgb", "flow")] == [
        s in streams for s in ("rgb", "flow")
    ]
    assert len(facts["sha256"].split(", ")) == len(streams)
    assert (facts["published"], facts["published_by"], facts["standin"]) == (False, None, True)


def test_missing_file_is_named_before_anything_is_loaded(weights, tmp_path):
    (tmp_path / "rgb_imagenet.pt").write_bytes((weights / "rgb_imagenet.pt").read_bytes())
    model = build("late")
    before = model.rgb_enc.Conv3d_1a_7x7.conv3d.weight.clone()
    with pytest.raises(UserError, match=r"flow_imagenet.pt"):
        start_from_kinetics(model, tmp_path, said_to_be_published=False)
    assert torch.equal(model.rgb_enc.Conv3d_1a_7x7.conv3d.weight, before)
    facts = start_from_kinetics(build("rgb"), tmp_path, said_to_be_published=False)
    assert facts["standin"] is False  # no standin.json beside this copy


@pytest.mark.parametrize(("said", "published", "by"), [(False, False, None), (True, True, "user")])
def test_files_of_unknown_hash_are_published_only_by_the_users_word(weights, tmp_path, said, published, by):
    (tmp_path / "rgb_imagenet.pt").write_bytes((weights / "rgb_imagenet.pt").read_bytes())
    facts = start_from_kinetics(build("rgb"), tmp_path, said_to_be_published=said)
    assert (facts["published"], facts["published_by"]) == (published, by)


@pytest.mark.parametrize(
    ("made_by", "said", "published", "by"),
    [("", False, False, None), ("", True, True, "user"), (MADE_BY, True, False, None)],
    ids=["unknown", "user's word", "ours"],
)
def test_checkpoint_is_published_only_by_the_users_word_and_never_if_it_is_ours(tmp_path, made_by, said, published, by):
    model = build("rgb")
    torch.save({"model": model.state_dict(), "made_by": made_by}, tmp_path / "saved.pt")
    start, facts = load_model(model, tmp_path / "saved.pt", "", said_to_be_published=said)
    assert (start, facts["ours"]) == (None, made_by == MADE_BY)
    assert (facts["published"], facts["published_by"]) == (published, by)


def test_official_blending_weights_follow_the_loss_over_the_squared_gap():
    assert official_weight(1.0, 1.5) == pytest.approx(1.5 / 0.25)
    assert official_weight(2.0, 1.5) == pytest.approx(1.5 / 1e-8)  # a negative gap counts as 1e-4
    assert official_weight(1.5, 1.5) == official_weight(2.0, 1.5)  # where the published script divides by zero
    found = blending_weights([(1.0, 1.5), (1.0, 2.0), (0.5, 1.5)])
    assert found == pytest.approx([6 / 9.5, 2 / 9.5, 1.5 / 9.5])


def test_paper_s_blending_weights_follow_gain_and_growth_of_the_gap():
    first = [(2.0, 2.0), (2.0, 2.1), (2.0, 2.0)]
    last = [(1.0, 1.5), (1.5, 1.7), (0.5, 2.5)]
    assert paper_weight(*last[0], *first[0]) == pytest.approx(0.5 / 0.25)
    assert paper_weight(*last[1], *first[1]) == pytest.approx(0.4 / 0.01)
    assert paper_weight(*last[2], *first[2]) == 0.0  # no gain
    assert blending_weights(last, first) == pytest.approx([2 / 42, 40 / 42, 0.0])
    assert blending_weights(last, first) != pytest.approx(blending_weights(last))


def test_blending_weights_are_equal_where_no_head_gains():
    assert blending_weights([(1.0, 3.0)] * 3, [(1.0, 2.0)] * 3) == pytest.approx([1 / 3] * 3)


def test_published_blending_weights_sum_to_one():
    assert all(sum(weights) == pytest.approx(1.0, abs=1e-6) for weights in PUBLISHED_WEIGHTS.values())


def test_heads_of_the_blended_network_share_the_encoders(clips):
    model = GradientBlending(4, HIDDEN, 0.0, NARROW)
    model(*clips).rgb.sum().backward()
    assert model.rgb_enc.Mixed_5c.b0.conv3d.weight.grad is not None
    assert all(p.grad is None for part in (model.flow_enc, model.flow_out, model.out) for p in part.parameters())
