"""The network of the segmentation: streams, sizes, dropout, ensemble, names and numbers."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cen.exchange import penalised_slices
from cen.semantic_segmentation import model as model_file
from cen.semantic_segmentation.model import RCUBlock, RefineNet, StreamBatchNorm2d, ensemble
from cen.semantic_segmentation.optimizers import parameter_groups
from cen.semantic_segmentation.train import freeze_norms

# Section 4.2: depth, streams: state-dict entries, learnable tensors and scalars, elements of buffers, tensors and
# scalars of the encoder's group, tensors and scales under the penalty.
SIZES = {
    (50, 1): (407, 248, 99_104_105, 53_173, 159, 23_508_032, 16, 1_888),
    (50, 2): (672, 354, 99_157_226, 106_346, 265, 23_561_152, 32, 3_776),
    (101, 1): (713, 401, 118_096_233, 105_448, 312, 42_500_160, 33, 4_064),
    (101, 2): (1233, 609, 118_201_578, 210_896, 520, 42_605_504, 66, 8_128),
    (152, 1): (1019, 554, 133_739_881, 151_579, 465, 58_143_808, 50, 5_984),
    (152, 2): (1794, 864, 133_891_306, 303_158, 775, 58_295_232, 100, 11_968),
}
DECODER_OF_TWO = (89, 75_596_074)


def elements(tensors):
    return sum(tensor.numel() for tensor in tensors)


def alone(narrow, model, stream):
    """The network of one stream: the shared weights and that stream's norms."""
    single = narrow(streams=1, bn_threshold=0.0, seed=99, dropout=0.0)
    state = {"alpha": single.alpha.detach()}
    for name, value in model.state_dict().items():
        if name != "alpha" and (".bn_" not in name or f".bn_{stream}." in name):
            state[re.sub(r"\.bn_\d+\.", ".bn_0.", name)] = value
    single.load_state_dict(state, strict=True)
    return single


def inputs_of(model, *names):
    """What the modules of these names get, filled at each forward pass."""
    seen = {}
    for name in names:
        model.get_submodule(name).register_forward_pre_hook(lambda _, x, name=name: seen.update({name: x[0].detach()}))
    return seen


def outputs_of(model, *names):
    """What the modules of these names return, filled at each forward pass."""
    seen = {}
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda _, x, y, name=name: seen.update({name: y.detach()}))
    return seen


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("streams", [2, 3])
def test_stacked_streams_equal_each_stream_alone_where_nothing_is_exchanged(narrow, pictures, streams, training):
    model = narrow(streams, bn_threshold=0.0, dropout=0.0).double()
    singles = [alone(narrow, model, stream).double() for stream in range(streams)]
    inputs = pictures(streams, batch=2, dtype=torch.float64)
    with torch.no_grad():
        together = model.train(training)(inputs)[0]
        for stream, single in enumerate(singles):
            (apart, _), _ = single.train(training)([inputs[stream]])
            torch.testing.assert_close(together[stream], apart)
            for name, value in alone(narrow, model, stream).double().state_dict().items():
                torch.testing.assert_close(value, single.state_dict()[name], msg=name)


def test_exchange_takes_place_in_every_bottleneck_behind_its_second_norm(narrow, pictures, monkeypatch):
    seen = []

    def spy(streams, scales, threshold):
        seen.append((streams, scales, threshold))
        return list(streams)

    monkeypatch.setattr(model_file, "exchange_channels", spy)
    model = narrow(bn_threshold=0.125)
    norms = [module for name, module in model.named_modules() if name.endswith(".bn2")]
    outputs = {}
    for block, norm in enumerate(norms):
        for stream, own in enumerate(norm.norms()):
            own.register_forward_hook(lambda _, x, y, key=(block, stream): outputs.update({key: y}))
    model(pictures())
    assert len(seen) == len(norms) == 16
    for block, (streams, scales, threshold) in enumerate(seen):
        assert threshold == 0.125
        for stream, own in enumerate(norms[block].norms()):
            assert streams[stream] is outputs[block, stream]
            assert scales[stream] is own.weight


def test_exchange_changes_the_outputs_of_every_stream(narrow, pictures):
    exchanging, apart = narrow(3), narrow(3, bn_threshold=0.0)
    for ours, theirs in zip(exchanging(pictures(3))[0], apart(pictures(3))[0], strict=True):
        assert not torch.allclose(ours, theirs)


@torch.no_grad()
def test_norms_of_training_mode_see_their_own_stream_only():
    norm = StreamBatchNorm2d(3, 2).train()
    a, b = torch.randn(4, 3, 5, 5), torch.randn(4, 3, 5, 5) * 7 + 3
    y = norm(torch.cat([a, b]))
    for stream, x in zip(y.chunk(2), (a, b), strict=True):
        torch.testing.assert_close(stream, F.batch_norm(x, None, None, training=True), rtol=1e-4, atol=1e-4)


def test_norms_are_batch_norms_with_the_published_constants(narrow):
    norms = [module for module in narrow().modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum, norm.affine, norm.track_running_stats) for norm in norms} == {
        (1e-5, 0.1, True, True)
    }


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (65, 70), (97, 31), (5, 9)])
def test_sides_are_rounded_up_at_every_stride(narrow, pictures, size):
    model = narrow()
    layers = outputs_of(model, "layer1", "layer2", "layer3", "layer4")
    with torch.no_grad():
        outputs, _ = model(pictures(size=size))
    for stride, layer in zip((4, 8, 16, 32), layers.values(), strict=True):
        assert layer.shape[-2:] == tuple(-(-side // stride) for side in size)
    for output in outputs:
        assert output.shape == (1, 5, -(-size[0] // 4), -(-size[1] // 4))


def test_three_streams_give_three_maps_and_an_ensemble(narrow, pictures):
    outputs, weights = narrow(3)(pictures(3, batch=2))
    assert [tuple(output.shape) for output in outputs] == [(2, 5, 9, 12)] * 4
    assert weights.shape == (3,)
    assert all(output.isfinite().all() for output in outputs)


def test_ensemble_is_the_sum_weighted_by_the_softmax_of_alpha(narrow, pictures):
    model = narrow(3)
    (*streams, whole), weights = model(pictures(3))
    torch.testing.assert_close(weights, model.alpha.exp() / model.alpha.exp().sum())
    torch.testing.assert_close(whole, sum(w * s for w, s in zip(weights, streams, strict=True)))


def test_alpha_starts_with_equal_weights():
    with torch.no_grad():
        assert RefineNet(50, 5, 3, 0.02, width=4).alpha.softmax(0).tolist() == pytest.approx([1 / 3] * 3)


def test_ensemble_trains_alpha_alone(narrow, pictures):
    model = narrow()
    model(pictures())[0][-1].square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is not None] == ["alpha"]
    assert model.alpha.grad.abs().min() > 0


def test_streams_train_everything_but_alpha(narrow, pictures):
    model = narrow()
    sum(output.square().sum() for output in model(pictures())[0][:-1]).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == ["alpha"]


def test_ensemble_stops_gradients_of_its_logits_only():
    logits = [torch.randn(1, 2, 3, 3, requires_grad=True) for _ in range(2)]
    weights = torch.tensor([0.25, 0.75], requires_grad=True)
    ensemble(logits, weights).sum().backward()
    assert [stream.grad for stream in logits] == [None, None]
    torch.testing.assert_close(weights.grad, torch.stack([stream.detach().sum() for stream in logits]))


DROPPED = {"p_ims1d2_outl1_dimred": "layer4", "p_ims1d2_outl2_dimred": "layer3", "clf_conv": "mflow_conv_g4_b"}
WHOLE = {"p_ims1d2_outl3_dimred": "layer2", "p_ims1d2_outl4_dimred": "layer1"}


@torch.no_grad()
def test_full_dropout_leaves_two_layers_to_the_decoder_and_the_bias_to_the_outputs(narrow, pictures):
    model = narrow(dropout=1.0).train()
    read, given = inputs_of(model, *DROPPED, *WHOLE), outputs_of(model, *DROPPED.values(), *WHOLE.values())
    outputs, _ = model(pictures(batch=2))
    for reader, source in DROPPED.items():
        assert given[source].abs().max() > 0
        assert read[reader].count_nonzero() == 0
    for reader, source in WHOLE.items():
        assert torch.equal(read[reader], given[source])
    for output in outputs:
        torch.testing.assert_close(output, model.clf_conv.module.bias[:, None, None].expand_as(output))


@torch.no_grad()
@pytest.mark.parametrize(("layer", "matters"), [("layer4", False), ("layer3", False), ("layer2", True)])
def test_with_full_dropout_the_decoder_depends_on_the_two_fine_layers_alone(narrow, pictures, layer, matters):
    model = narrow(dropout=1.0).train()
    freeze_norms(model)
    decoded = outputs_of(model, "mflow_conv_g4_b")
    model(pictures())
    before = decoded["mflow_conv_g4_b"]
    last_norm = model.get_submodule(layer)[-1].bn3
    for norm in last_norm.norms():
        norm.bias += 1
    model(pictures())
    assert torch.equal(before, decoded["mflow_conv_g4_b"]) is not matters


@torch.no_grad()
def test_half_of_the_features_is_dropped_by_default_and_the_rest_doubled(narrow, pictures):
    model = narrow(width=8).train()
    read, given = inputs_of(model, *DROPPED), outputs_of(model, *DROPPED.values())
    torch.manual_seed(0)
    model(pictures(batch=4, size=(64, 64)))
    for reader, source in DROPPED.items():
        kept = read[reader] != 0
        torch.testing.assert_close(read[reader][kept], 2 * given[source][kept])
        alive = given[source] != 0
        assert kept[alive].double().mean().item() == pytest.approx(0.5, abs=0.02)
        ours, theirs = kept.chunk(2)
        both = alive.chunk(2)[0] & alive.chunk(2)[1]
        assert (ours == theirs)[both].double().mean().item() == pytest.approx(0.5, abs=0.03)  # a draw of its own
        within = kept[0].flatten(1).double().mean(1)[alive[0].flatten(1).all(1)]
        assert ((within > 0) & (within < 1)).any()  # single features, not whole channels


@torch.no_grad()
def test_evaluation_drops_nothing(narrow, pictures):
    model = narrow(dropout=1.0)
    read, given = inputs_of(model, *DROPPED), outputs_of(model, *DROPPED.values())
    model(pictures())
    for reader, source in DROPPED.items():
        assert torch.equal(read[reader], given[source])


@torch.no_grad()
def test_frozen_norms_keep_their_statistics_while_dropout_stays_on(narrow, pictures):
    model = narrow().train()
    freeze_norms(model)
    before = {name: value.clone() for name, value in model.named_buffers()}
    first, second = model(pictures(batch=2))[0], model(pictures(batch=2))[0]
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert not torch.equal(first[0], second[0])
    model.train()
    model(pictures(batch=2))
    assert not any(torch.equal(v, before[name]) for name, v in model.named_buffers() if name.endswith("running_mean"))


@torch.no_grad()
def test_skip_of_a_residual_unit_carries_the_rectified_input_as_published():
    published, paper = RCUBlock(2, 1), RCUBlock(2, 1, rectified_skip=False)
    x = torch.randn(1, 2, 4, 4)
    for block in (published, paper):
        for parameter in block.parameters():
            nn.init.zeros_(parameter)
    assert torch.equal(published(x), x.relu())
    assert torch.equal(paper(x), x)


@torch.no_grad()
def test_both_skips_agree_where_nothing_is_negative():
    published, paper = RCUBlock(2, 1), RCUBlock(2, 1, rectified_skip=False)
    paper.load_state_dict(published.state_dict())
    x = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(published(x), paper(x))


@torch.no_grad()
def test_quirk_rcu_skip_changes_the_outputs(narrow, pictures):
    published, paper = narrow(), narrow(rectified_skip=False)
    for ours, theirs in zip(published(pictures())[0], paper(pictures())[0], strict=True):
        assert not torch.allclose(ours, theirs)


@pytest.mark.parametrize(("enc", "streams"), SIZES)
def test_numbers_of_entries_and_parameters_are_the_published_ones(enc, streams):
    with torch.device("meta"):
        model = RefineNet(enc, 40, streams, 0.02)
    encoder, decoder = parameter_groups(model)
    slices = penalised_slices(model.named_parameters(), "bn2")
    found = (len(model.state_dict()), len(list(model.parameters())), elements(model.parameters()))
    found += (elements(model.buffers()), len(encoder), elements(encoder))
    found += (len(slices), sum(part.stop - part.start for part in slices))
    assert found == SIZES[enc, streams]
    assert (len(decoder), elements(decoder)) == (DECODER_OF_TWO[0], DECODER_OF_TWO[1] - (streams == 1))


def test_entries_begin_and_end_as_published(narrow):
    names = list(narrow().state_dict())
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    stem = [f"bn1.bn_{stream}.{kind}" for stream in (0, 1) for kind in kinds]
    assert names[:13] == ["alpha", "conv1.module.weight", *stem, "layer1.0.conv1.module.weight"]
    assert names[-2:] == ["clf_conv.module.weight", "clf_conv.module.bias"]


def test_width_scales_every_channel_in_proportion():
    with torch.device("meta"):
        full, quarter = RefineNet(50, 40, 2, 0.02), RefineNet(50, 40, 2, 0.02, width=16)
    for name, parameter in quarter.named_parameters():
        if name not in ("alpha", "clf_conv.module.bias"):
            shared = {"conv1.module.weight": 4, "clf_conv.module.weight": 4}
            ratio = shared.get(name, 16 if parameter.dim() == 4 else 4)
            assert full.get_parameter(name).numel() == ratio * parameter.numel(), name


@torch.no_grad()
def test_channels_last_gives_the_same_and_reaches_the_last_convolution(narrow, pictures):
    model, inputs = narrow(width=8), pictures(batch=2, size=(64, 64))
    expected, _ = model(inputs)
    model.to(memory_format=torch.channels_last)
    read = inputs_of(model, "clf_conv")
    found, _ = model([x.contiguous(memory_format=torch.channels_last) for x in inputs])
    assert read["clf_conv"].is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_compiled_in_one_graph_gives_the_same(narrow, pictures):
    model, inputs = narrow(), pictures(batch=2)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    (found, weights), (expected, _) = compiled(inputs), model(inputs)
    assert weights.sum().item() == pytest.approx(1)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
