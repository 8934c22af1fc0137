"""Evaluation and the final test of DynMM: batches, padding, routing, accounting of multiply-adds, quirks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dynmm.modality.affect.scores import SentimentTask
from dynmm.modality.evaluate import evaluate, predict
from dynmm.modality.final import account, shares_by_need
from dynmm.modality.imdb.scores import GenreTask
from dynmm.modality.networks.gating import Gating
from dynmm.modality.networks.madds import PathMadds, measure_madds, path_madds
from dynmm.modality.results import Evaluation, Losses, share_of_expert2

MADDS = PathMadds(1_000_000, (10_000_000, 100_000_000))


def test_predictions_are_those_of_the_network_in_eval_mode(run, films, film_net):
    net, split = film_net(hard=True), films()
    predictions, weights, cost = predict(net, split, run, 16)
    with torch.no_grad():
        expected = net.eval()(list(split.inputs))
    torch.testing.assert_close(predictions, expected.prediction)
    torch.testing.assert_close(weights, expected.weights)
    assert cost.mean().item() == pytest.approx(expected.cost.item())


def test_total_is_the_loss_and_lambda_times_the_mean_weight_of_expert_2(run, clips, clip_net):
    found = evaluate(clip_net(), clips(), SentimentTask(5), run, 5, reg=0.5)
    assert found.losses.total == pytest.approx(found.losses.task + 0.5 * found.mean_weights[1])


@pytest.mark.parametrize("kind", ["film", "clip"])
def test_running_the_chosen_expert_alone_gives_the_same_predictions(run, kind, request):
    net = request.getfixturevalue(f"{kind}_net")(hard=True)
    split = request.getfixturevalue(f"{kind}s")(30)
    mixed, weights, _ = predict(net, split, run, 8)
    routed, same, _ = predict(net, split, run, 8, routed=True)
    assert 0 < share_of_expert2(weights) < 1
    torch.testing.assert_close(routed, mixed, atol=1e-5, rtol=1e-5)
    assert torch.equal(weights, same)


def test_running_the_chosen_expert_alone_costs_what_the_shares_say(run, films, film_net):
    net, split = film_net(hard=True), films()
    found = {
        routed: measure_madds(lambda routed=routed: predict(net, split, run, 40, routed), len(split))
        for routed in (False, True)
    }
    share, counted = share_of_expert2(predict(net, split, run, 40)[1]), path_madds(net)
    norms = 2 * (6 + 8 + 4 * 10) / 1e6  # the rule counts batch norms, the measurement does not
    assert found[False] == pytest.approx(counted.spent() - norms)
    assert found[True] == pytest.approx(counted.spent((1 - share, share)) - share * norms)


def test_official_padding_makes_a_prediction_depend_on_its_batch_and_masked_does_not(run, clips, clip_net):
    split = clips()
    for padding, same in (("official", False), ("masked", True)):
        net = clip_net(padding=padding)
        one, twelve = (predict(net, split, run, size)[0] for size in (1, 12))
        assert torch.allclose(one, twelve, atol=1e-5) == same, padding


def gated(*second):
    """An evaluation whose gate gave these weights to expert 2."""
    weights = torch.tensor([[1 - weight, weight] for weight in second])
    return Evaluation(torch.zeros(len(second), 1), weights, Losses(0, 0, 0), {})


ROUTED = Gating(real_gating="inference")


def test_hard_gate_costs_the_same_in_both_accountings_where_it_routes():
    found = gated(1.0, 0.0, 0.0, 0.0)
    official, clean = (account(found, MADDS, ROUTED, protocol, True) for protocol in ("official", "clean"))
    assert official["madds"] == clean["madds"] == official["flops"] == pytest.approx(1 + 0.75 * 10 + 0.25 * 100)
    assert official["share_e2"] == 0.25


def test_hard_gate_that_runs_both_experts_costs_both_in_the_clean_accounting():
    found = account(gated(1.0, 0.0), MADDS, Gating(real_gating="never"), "clean", True)
    assert found["madds"] == pytest.approx(1 + 10 + 100)


def test_quirk_gate_counted_counts_the_gate_of_soft_weights_twice_or_once():
    found = gated(0.25, 0.75)
    twice = account(found, MADDS, ROUTED, "official", False)
    once = account(found, MADDS, replace(ROUTED, counted_once=True), "official", False)
    assert (twice["madds"], once["madds"]) == (pytest.approx(112), pytest.approx(111))
    assert twice["flops"] == pytest.approx(0.5 * 11 + 0.5 * 101)  # what the published script prints
    assert account(found, MADDS, ROUTED, "clean", False)["madds"] == pytest.approx(111)


@pytest.mark.parametrize(("mode", "madds", "share"), [(1, 11, 0.0), (2, 101, 1.0)])
def test_forced_expert_is_what_share_and_cost_speak_of(mode, madds, share):
    found = account(gated(0.25, 0.75), MADDS, replace(ROUTED, infer_mode=mode), "official", False)
    assert found["madds"] == pytest.approx(madds)
    assert found["share_e2"] == found["weight_e2"] == share
    assert found["flops"] == pytest.approx(0.5 * 11 + 0.5 * 101)  # as published it speaks of the gate


def test_shares_by_need():
    needs = np.array([0, 0, 1, 1], np.int8)
    found = shares_by_need(gated(0.0, 1.0, 1.0, 1.0).weights, needs)
    assert (found["share_e2_needs_text"], found["share_e2_needs_all"]) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("hard", "real_gating", "expected"), [(True, "inference", True), (True, "never", False), (False, "always", False)]
)
def test_only_a_hard_gate_routes_at_inference(film_net, hard, real_gating, expected):
    assert Gating(real_gating=real_gating).routes(film_net(hard=hard)) is expected


def test_evaluation_leaves_the_loss_of_logits_to_the_task(run, films, film_net):
    split, task = films(), GenreTask()
    found = evaluate(film_net(), split, task, run, 7)
    assert found.losses.task == pytest.approx(task.loss(found.predictions, split.labels).item())
