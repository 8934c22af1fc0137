"""The networks of both tasks: published names and sizes, DynMM's modes, routing inside the networks."""

import pytest
import torch

from common.errors import UserError
from dynmm.modality.affect import networks as affect_networks
from dynmm.modality.affect.networks import AffectSizes, DynMMNetV2, UnimodalDynMMNet
from dynmm.modality.imdb import networks as imdb_networks
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes

IMDB = ImdbSizes(text=12, image=20, genres=5, narrow=40)
AFFECT = AffectSizes(vision=6, audio=7, text=8, narrow=100)
LENGTHS = torch.tensor([3, 5, 1, 4, 2, 5, 4, 3])


def imdb_inputs(count=8):
    return [torch.randn(count, IMDB.text), torch.randn(count, IMDB.image).relu()], None


def affect_inputs():
    padded = (torch.arange(5) >= LENGTHS[:, None])[:, :, None]
    return [torch.randn(8, 5, width).masked_fill(padded, 0.0) for width in AFFECT.inputs], LENGTHS


CASES = {"imdb": (DynMMNet, IMDB, imdb_inputs), "affect": (DynMMNetV2, AFFECT, affect_inputs)}


@pytest.fixture(params=list(CASES))
def dynamic(request):
    """A small DynMM network whose gate sends some samples each way, and inputs for it."""
    build, sizes, inputs = CASES[request.param]
    torch.manual_seed(0)
    network, (x, lengths) = build(sizes, hard=True).eval(), inputs()
    with torch.no_grad():
        for part in network.experts():
            for parameter in part.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        logits = network.gate_logits(x, lengths)
        bias = network.gate.fc2.bias if request.param == "imdb" else network.gate[1].bias
        difference = (logits[:, 0] - logits[:, 1]).sort().values
        bias[1] += difference[2:4].mean()
        choice = network.gate_logits(x, lengths).argmax(dim=1)
    assert choice.bincount(minlength=2).min() >= 2
    return network, x, lengths


def counts(network):
    return len(network.state_dict()), sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (imdb_networks.text_expert, (8, 691_223)),
        (imdb_networks.image_expert, (8, 4_994_583)),
        (lambda: imdb_networks.fusion_network("ef"), (21, 5_050_479)),
        (lambda: imdb_networks.fusion_network("lf"), (40, 10_311_279)),
        (DynMMNet, (60, 16_560_159)),
        (lambda: DynMMNet().gate, (4, 563_074)),
        (lambda: affect_networks.unimodal_expert(0, "gru"), (8, 21_505)),
        (lambda: affect_networks.unimodal_expert(1, "gru"), (8, 86_657)),
        (lambda: affect_networks.unimodal_expert(2, "gru"), (8, 1_381_889)),
        (lambda: affect_networks.unimodal_expert(0), (65, 2_773_249)),
        (lambda: affect_networks.unimodal_expert(1), (65, 2_777_929)),
        (lambda: affect_networks.unimodal_expert(2), (65, 2_805_049)),
        (lambda: affect_networks.fusion_network("ef_gru"), (8, 1_549_313)),
        (lambda: affect_networks.fusion_network("lf_gru"), (16, 1_709_505)),
        (lambda: affect_networks.fusion_network("ef_tran"), (65, 8_129_097)),
        (lambda: affect_networks.fusion_network("lf_tran"), (187, 6_921_857)),
        (lambda: affect_networks.fusion_network("mult"), (633, 3_080_321)),
        (DynMMNetV2, (315, 9_948_508)),
        (lambda: DynMMNetV2().gate, (63, 221_602)),
        (UnimodalDynMMNet, (258, 8_577_840)),
    ],
)
def test_state_entries_and_parameters_are_the_published_numbers(build, expected):
    with torch.device("meta"):
        assert counts(build()) == expected


def test_low_rank_fusions_have_the_published_numbers_without_their_factors():
    assert counts(imdb_networks.fusion_network("lrtf", lrtf="official")) == (40, 10_299_503)
    trained, official = (affect_networks.fusion_network("lrtf", lrtf=lrtf) for lrtf in ("trained", "official"))
    assert counts(official) == (22, 1_486_465)
    assert counts(trained)[1] == 1_486_465 + 32 * (33 + 33 + 129) * 128 + 32 + 128


def test_wrong_numbers_are_named_with_what_is_expected():
    for call, match in [
        (lambda: imdb_networks.fusion_network(4), r"--fuse: found 4, expected one of 0 \(ef\), .* 3 \(mim\)"),
        (lambda: affect_networks.fusion_network(6), r"--fusion: found 6, expected one of 0 \(ef_gru\).*5 \(lrtf\)"),
        (lambda: imdb_networks.unimodal_expert(2), "--mod: found 2"),
        (lambda: affect_networks.unimodal_expert(2, hidden1=12), "--hidden-dim1: found 12, expected a multiple of 5"),
    ]:
        with pytest.raises(UserError, match=match):
            call()


def test_given_hidden_sizes_and_outputs_replace_the_published_ones():
    expert = affect_networks.unimodal_expert(0, "gru", 14, 9, outputs=2)
    assert (expert[0].gru.hidden_size, expert[1].fc.out_features, expert[1].fc2.out_features) == (14, 9, 2)
    assert affect_networks.unimodal_expert(7, "anything", sizes=AFFECT)[0].conv.in_channels == AFFECT.text


@pytest.mark.parametrize("fusion", affect_networks.FUSIONS)
@pytest.mark.parametrize("padding", ["official", "masked"])
def test_every_affect_fusion_runs_narrow(fusion, padding):
    inputs, lengths = affect_inputs()
    network = affect_networks.fusion_network(fusion, AFFECT, padding)
    assert network(inputs, lengths).shape == (8, 1)
    with torch.device("meta"):
        published = affect_networks.fusion_network(fusion) if fusion != "lrtf" else affect_networks.unimodal_expert(2)
    assert counts(network)[1] < counts(published)[1] / 10


@pytest.mark.parametrize("fuse", imdb_networks.FUSIONS)
def test_every_imdb_fusion_runs_narrow(fuse):
    assert imdb_networks.fusion_network(fuse, IMDB)(imdb_inputs()[0]).shape == (8, 5)


@torch.no_grad()
def test_routed_equals_both_experts_with_hard_weights_in_eval_mode(dynamic):
    network, inputs, lengths = dynamic
    mixed, routed = network(inputs, lengths), network.routed(inputs, lengths)
    torch.testing.assert_close(routed.prediction, mixed.prediction, rtol=1e-4, atol=1e-5)
    for found, expected in zip(routed[1:], mixed[1:], strict=True):
        assert torch.equal(found, expected)


@torch.no_grad()
def test_routed_runs_each_expert_on_its_own_samples(dynamic):
    network, inputs, lengths = dynamic
    seen, costly = [], network.branch3 if isinstance(network, DynMMNet) else network.branch2
    hooks = [part.register_forward_hook(lambda *a: seen.append(len(a[2]))) for part in (network.text_head, costly)]
    weights = network.routed(inputs, lengths).weights
    for hook in hooks:
        hook.remove()
    assert seen == weights.round().sum(dim=0).int().tolist()
    assert sum(seen) == 8


@torch.no_grad()
def test_forced_expert_answers_alone_at_no_cost_and_the_gate_is_still_told(dynamic):
    network, inputs, lengths = dynamic
    gated = network(inputs, lengths)
    for number in (1, 2):
        network.infer_mode = number
        for found in (network(inputs, lengths), network.routed(inputs, lengths)):
            assert torch.equal(found.prediction, network.run_expert(number, inputs, lengths))
            assert found.cost.item() == 0
            assert torch.equal(found.weights, gated.weights)


@torch.no_grad()
def test_infer_mode_minus_one_is_gated_on_imdb_and_halves_on_affect(dynamic):
    network, inputs, lengths = dynamic
    gated, network.infer_mode = network(inputs, lengths), -1
    found = network(inputs, lengths)
    if isinstance(network, DynMMNet):
        assert torch.equal(found.prediction, gated.prediction)
        return
    halves = (network.run_expert(1, inputs, lengths) + network.run_expert(2, inputs, lengths)) / 2
    torch.testing.assert_close(found.prediction, halves)
    assert found.cost.item() == 0.5
    assert torch.equal(found.weights, gated.weights)


def test_freezing_leaves_the_gate_to_learn_and_modes_as_they_are(dynamic):
    network, inputs, lengths = dynamic
    network.train().freeze_experts()
    trainable = {name.split(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trainable == {"gate"}
    assert all(part.training for part in network.experts())
    network(inputs, lengths).prediction.sum().backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.gate.parameters())


def test_frozen_batch_norm_moves_in_train_mode_alone():
    inputs, _ = imdb_inputs()
    for training in (True, False):
        network = DynMMNet(IMDB)
        network.freeze_experts()
        before = network.branch3.encoders[0].op0.running_mean.clone()
        network.train()
        network.branch3.train(training)
        network(inputs)
        assert torch.equal(before, network.branch3.encoders[0].op0.running_mean) is not training


def test_real_gating_in_training_gives_every_part_a_gradient(dynamic):
    network, inputs, lengths = dynamic
    network.train()
    found = network(inputs, lengths, real_gating=True)
    (found.prediction.square().mean() + 0.1 * found.cost).backward()
    used = [network.gate, *network.experts()]
    if isinstance(network, DynMMNet):
        used = [part for part in used if part not in (network.image_encoder, network.image_head)]
    for part in used:
        assert any(parameter.grad.abs().sum() > 0 for parameter in part.parameters())


def test_a_single_sample_for_the_costly_expert_does_not_stop_its_batch_norm():
    network, (inputs, _) = DynMMNet(IMDB).train(), imdb_inputs(4)
    with torch.no_grad():
        network.gate.fc2.weight.zero_()
        network.gate.fc.weight.zero_()
        network.gate.fc.bias.zero_()
        network.gate.fc2.weight[1, 0] = 1.0
        network.gate.fc.weight[0, 0] = 1.0
        network.gate.fc2.bias.copy_(torch.tensor([0.5, 0.0]))
        inputs[0][:, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert network(inputs, real_gating=True).weights[:, 1].round().tolist() == [0, 1, 0, 0]


def test_nothing_is_kept_between_batches(dynamic):
    network, inputs, lengths = dynamic
    before = {name for part in network.modules() for name in vars(part)}
    network(inputs, lengths)
    network.routed(inputs, lengths)
    assert {name for part in network.modules() for name in vars(part)} == before


def test_image_expert_has_no_part_in_the_output():
    network, (inputs, _) = DynMMNet(IMDB).eval(), imdb_inputs()
    before = network(inputs).prediction
    with torch.no_grad():
        network.image_head.fc2.bias.add_(1.0)
    assert torch.equal(network(inputs).prediction, before)
    assert network.image_branch(inputs[1]).shape == (8, 5)


def test_masked_dynamic_network_does_not_depend_on_the_batch():
    torch.manual_seed(1)
    network, (inputs, lengths) = DynMMNetV2(AFFECT, padding="masked").eval(), affect_inputs()
    with torch.no_grad():
        together = network(inputs, lengths)
        apart = network([x[:1, :3] for x in inputs], lengths[:1])
    torch.testing.assert_close(together.prediction[:1], apart.prediction, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.weights[:1], apart.weights, rtol=1e-4, atol=1e-5)
