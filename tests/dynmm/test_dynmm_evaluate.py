"""Evaluation and the final test of DynMM: batches, padding, routing, accounting of multiply-adds, quirks."""

from argparse import Namespace

import numpy as np
import pytest
import torch

from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.evaluate import Evaluation, Inference, Losses, evaluate, predict
from dynmm.modality.final import costs
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.networks.madds import PathMadds, measure_madds, path_madds
from dynmm.modality.train import routes, share_of_expert2

CPU = torch.device("cpu")
MADDS = PathMadds(1_000_000, (10_000_000, 100_000_000))


def test_predictions_are_those_of_the_network_in_eval_mode(films, film_net):
    net, split = film_net(hard=True), films()
    predictions, weights, cost = predict(net, split, Inference(16, CPU))
    with torch.no_grad():
        expected = net.eval()([split.text, split.image])
    torch.testing.assert_close(predictions, expected.prediction)
    torch.testing.assert_close(weights, expected.weights)
    assert cost.mean().item() == pytest.approx(expected.cost.item())


def test_total_is_the_loss_and_lambda_times_the_mean_weight_of_expert_2(clips, clip_net):
    found = evaluate(clip_net(), clips(), SentimentTask(5), Inference(5, CPU), reg=0.5)
    assert found.losses.total == pytest.approx(found.losses.task + 0.5 * found.mean_weights[1])


@pytest.mark.parametrize("kind", ["film", "clip"])
def test_running_the_chosen_expert_alone_gives_the_same_predictions(kind, request):
    net = request.getfixturevalue(f"{kind}_net")(hard=True)
    split = request.getfixturevalue(f"{kind}s")(30)
    mixed, weights, _ = predict(net, split, Inference(8, CPU))
    routed, same, _ = predict(net, split, Inference(8, CPU, routed=True))
    assert 0 < share_of_expert2(weights) < 1
    torch.testing.assert_close(routed, mixed, atol=1e-5, rtol=1e-5)
    assert torch.equal(weights, same)


def test_running_the_chosen_expert_alone_costs_what_the_shares_say(films, film_net):
    net, split = film_net(hard=True), films()
    found = {
        routed: measure_madds(lambda routed=routed: predict(net, split, Inference(40, CPU, routed=routed)), len(split))
        for routed in (False, True)
    }
    share, counted = share_of_expert2(predict(net, split, Inference(40, CPU))[1]).item(), path_madds(net)
    norms = 2 * (6 + 8 + 4 * 10) / 1e6  # the rule counts batch norms, the measurement does not
    assert found[False] == pytest.approx(counted.spent() - norms)
    assert found[True] == pytest.approx(counted.spent((1 - share, share)) - share * norms)


def test_official_padding_makes_a_prediction_depend_on_its_batch_and_masked_does_not(clips, clip_net):
    split = clips()
    for padding, same in (("official", False), ("masked", True)):
        net = clip_net(padding=padding)
        one, twelve = (predict(net, split, Inference(size, CPU))[0] for size in (1, 12))
        assert torch.allclose(one, twelve, atol=1e-5) == same, padding


def gated(*second):
    """An evaluation whose gate gave these weights to expert 2."""
    weights = torch.tensor([[1 - weight, weight] for weight in second])
    return Evaluation(torch.zeros(len(second), 1), weights, Losses(0, 0, 0), {})


def flags(infer_mode=0, real_gating="inference", gate_counted="official"):
    return Namespace(infer_mode=infer_mode, real_gating=real_gating, quirks={"gate_counted": gate_counted})


def test_hard_gate_costs_the_same_in_both_accountings_where_it_routes():
    found = gated(1.0, 0.0, 0.0, 0.0)
    official, clean = (costs(flags(), found, MADDS, protocol, True, None) for protocol in ("official", "clean"))
    assert official["madds"] == clean["madds"] == official["flops"] == pytest.approx(1 + 0.75 * 10 + 0.25 * 100)
    assert official["share_e2"] == 0.25


def test_hard_gate_that_runs_both_experts_costs_both_in_the_clean_accounting():
    found = costs(flags(real_gating="never"), gated(1.0, 0.0), MADDS, "clean", True, None)
    assert found["madds"] == pytest.approx(1 + 10 + 100)


def test_quirk_gate_counted_counts_the_gate_of_soft_weights_twice_or_once():
    found = gated(0.25, 0.75)
    twice = costs(flags(), found, MADDS, "official", False, None)
    once = costs(flags(gate_counted="once"), found, MADDS, "official", False, None)
    assert (twice["madds"], once["madds"]) == (pytest.approx(112), pytest.approx(111))
    assert twice["flops"] == pytest.approx(0.5 * 11 + 0.5 * 101)  # what the published script prints
    assert costs(flags(), found, MADDS, "clean", False, None)["madds"] == pytest.approx(111)


@pytest.mark.parametrize(("mode", "madds", "share"), [(1, 11, 0.0), (2, 101, 1.0)])
def test_forced_expert_is_what_share_and_cost_speak_of(mode, madds, share):
    found = costs(flags(infer_mode=mode), gated(0.25, 0.75), MADDS, "official", False, None)
    assert found["madds"] == pytest.approx(madds)
    assert found["share_e2"] == found["weight_e2"] == share
    assert found["flops"] == pytest.approx(0.5 * 11 + 0.5 * 101)  # as published it speaks of the gate


def test_shares_by_need():
    needs = np.array([0, 0, 1, 1], np.int8)
    found = costs(flags(), gated(0.0, 1.0, 1.0, 1.0), MADDS, "official", True, needs)
    assert (found["share_e2_needs_text"], found["share_e2_needs_all"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("hard", "real_gating", "expected"), [(True, "inference", True), (True, "never", False), (False, "always", False)]
)
def test_only_a_hard_gate_routes_at_inference(film_net, hard, real_gating, expected):
    assert routes(flags(real_gating=real_gating), film_net(hard=hard)) is expected


def test_evaluation_leaves_the_loss_of_logits_to_the_task(films, film_net):
    split, task = films(), GenreTask()
    found = evaluate(film_net(), split, task, Inference(7, CPU))
    assert found.losses.task == pytest.approx(task.loss(found.predictions, split.labels).item())
