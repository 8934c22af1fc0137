"""Multiply-adds: the published constants, what is measured, totals, and the count scripts."""

import pytest
import torch

from common.errors import UserError
from dynmm.modality import affect_count_flop, imdb_count_flop
from dynmm.modality.affect.networks import AffectSizes, DynMMNetV2, fusion_network
from dynmm.modality.imdb.networks import DynMMNet, ImdbSizes
from dynmm.modality.networks.blocks import MLP, MaxoutMLP, Transformer
from dynmm.modality.networks.madds import PathMadds, example, madds_by_rule, measure_madds, parts, path_madds, with_unit


def published(build):
    with torch.device("meta"):
        return path_madds(build())


def test_rule_gives_the_published_constants_of_imdb():
    counted = published(DynMMNet)
    assert counted == PathMadds(562_944, (689_664, 10_292_224 + 13_912))
    assert [round(branch / 1e6, 5) for branch in counted.branches] == [1.25261, 10.86908]


def test_rule_gives_the_published_constants_of_mosei():
    counted = published(DynMMNetV2)
    assert counted == PathMadds(10_444_520, (124_687_744, 309_587_528))
    assert [round(branch / 1e6, 5) for branch in counted.branches] == [135.13226, 320.03205]


def test_rule_counts_linears_norms_and_no_attention():
    assert madds_by_rule(MLP(3, 4, 2), torch.zeros(1, 3)) == 3 * 4 + 4 * 2
    norms = 2 * (3 + 4 + 5)
    assert madds_by_rule(MaxoutMLP(3, 4, 5), torch.zeros(1, 3)) == 3 * 8 + 4 * 10 + norms
    transformer = Transformer(3, 10, feed_forward=20)
    assert madds_by_rule(transformer, torch.zeros(1, 7, 3)) == 7 * (3 * 10 + 5 * 2 * 10 * 20)


def test_counting_leaves_modes_and_statistics_alone():
    block = MaxoutMLP(3, 4, 5).train()
    block.op2.eval()
    before = {name: value.clone() for name, value in block.state_dict().items()}
    madds_by_rule(block, torch.ones(1, 3))
    assert block.training
    assert not block.op2[0].training
    assert all(torch.equal(before[name], value) for name, value in block.state_dict().items())
    assert not any(module._forward_hooks for module in block.modules())


def test_measured_attention_is_projections_and_scores():
    steps, width, hidden = 7, 10, 20
    block, x = Transformer(3, width, feed_forward=hidden).eval(), torch.zeros(2, steps, 3)
    layer = 4 * width * width * steps + 2 * steps * steps * width + 2 * width * hidden * steps
    expected = 3 * width * steps + 5 * layer
    assert measure_madds(lambda: block(x), samples=2) == pytest.approx(expected / 1e6)


def test_measured_gru_is_its_matrix_products():
    network = fusion_network("ef_gru", AffectSizes(vision=3, audio=4, text=5, narrow=20)).eval()
    inputs, lengths = example(AffectSizes(vision=3, audio=4, text=5), 6)
    hidden, head = 20, 10
    expected = 6 * 3 * hidden * (12 + hidden) + hidden * head + head
    assert measure_madds(lambda: network(inputs, lengths), samples=1) == pytest.approx(expected / 1e6)


def test_routed_costs_what_its_shares_say_and_mixing_costs_everything():
    sizes = ImdbSizes(text=12, image=20, genres=5, narrow=40)
    network, inputs = DynMMNet(sizes).eval(), [torch.randn(16, 12), torch.randn(16, 20)]
    with torch.no_grad():
        logits = network.gate_logits(inputs)
        network.gate.fc2.bias[0] += (logits[:, 1] - logits[:, 0]).sort().values[11:13].mean()
        shares = network.routed(inputs).weights.mean(dim=0).tolist()
    assert shares == pytest.approx([0.75, 0.25])
    gate, experts = parts(network)
    alone = [measure_madds(lambda part=part: part.module.eval()(*part.arguments), 1) for part in (gate, *experts)]
    routed = measure_madds(lambda: network.routed(inputs), samples=16)
    assert routed == pytest.approx(alone[0] + 0.75 * alone[1] + 0.25 * alone[2])
    assert measure_madds(lambda: network(inputs), samples=16) == pytest.approx(sum(alone))


def test_accountings_agree_on_hard_gates_and_differ_where_both_experts_run():
    counted = published(DynMMNet)
    shares = [0.32, 0.68]
    assert counted.accounted(shares) == pytest.approx(counted.spent(shares))
    assert counted.accounted(shares) == pytest.approx(0.32 * 1.252608 + 0.68 * 10.86908)
    assert counted.gate_counted_twice == pytest.approx(12.12, abs=0.005)
    assert counted.spent() == pytest.approx(counted.gate_counted_twice - 0.562944)


def test_longer_clips_cost_more_in_every_part():
    with torch.device("meta"):
        network = DynMMNetV2()
        short, long = path_madds(network, 10), path_madds(network, 50)
    assert 4.9 < long.gate / short.gate < 5.1
    assert all(4.9 < a / b < 5.1 for a, b in zip(long.experts, short.experts, strict=True))


@pytest.mark.parametrize("script", [imdb_count_flop, affect_count_flop])
def test_count_script_prints_what_its_docstring_says(script, capsys):
    script.main(["--path", "1", "--weight-enable"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [line.strip() for line in script.__doc__.splitlines() if line.strip().startswith("MACs")]


@pytest.mark.parametrize(
    ("script", "arguments", "start"),
    [
        (imdb_count_flop, ["--weight-enable"], "MACs 10.86908M  parameters 10.87435M"),
        (imdb_count_flop, ["--path", "2"], "MACs 4.99251M  parameters 4.99458M"),
        (imdb_count_flop, ["--model-type", "0"], "MACs 689.66400K  parameters 691.22300K"),
        (imdb_count_flop, ["--model-type", "2"], "MACs 5.04841M  parameters 5.05048M"),
        (imdb_count_flop, ["--model-type", "5", "--narrow", "8"], "MACs"),
        (affect_count_flop, ["--weight-enable"], "MACs 320.03205M"),
        (affect_count_flop, ["--model-type", "2"], "MACs 124.68774M  parameters 2.80505M"),
        (affect_count_flop, ["--model-type", "6"], "MACs 309.58753M  parameters 6.92186M"),
        (affect_count_flop, ["--model-type", "0", "--enc", "gru"], "MACs 2.08000K  parameters 21.50500K  (the rule"),
        (affect_count_flop, ["--model-type", "8", "--narrow", "10", "--steps", "4"], "MACs"),
    ],
)
def test_count_script_counts_the_named_network(script, arguments, start, capsys):
    script.main(arguments)
    assert capsys.readouterr().out.startswith(start)


def test_unknown_model_type_is_named():
    for script, last in ((imdb_count_flop, 5), (affect_count_flop, 8)):
        for found in (last + 1, -2):
            with pytest.raises(UserError, match=f"--model-type: found {found}, expected -1 to {last}"):
                script.main(["--model-type", str(found)])


def test_numbers_with_units():
    numbers = (1_252_608, 689_664, 12, 3.2e9, 2e12)
    assert [with_unit(n) for n in numbers] == ["1.25261M", "689.66400K", "12.00000B", "3.20000G", "2.00000T"]
