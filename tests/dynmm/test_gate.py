"""The gate: weights, their gradients, the cost, and routing that runs the chosen expert alone."""

import pytest
import torch
from torch import nn

from dynmm.gate import diff_softmax, mix, resource_loss, route


def random_logits(count=7, experts=2, seed=0):
    return torch.randn(count, experts, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def alternating_logits(count, experts=2):
    """Sample b chooses expert b mod E."""
    return 3.0 * nn.functional.one_hot(torch.arange(count) % experts, experts).float()


class Recorder:
    """An expert that answers a function of its samples and remembers which it was asked for."""

    def __init__(self, outputs):
        self.outputs, self.calls = outputs, []

    def __call__(self, index):
        self.calls.append(index.tolist())
        return self.outputs[index]


def test_hard_weights_are_one_hot_with_exact_zeros():
    logits = random_logits(50, 3)
    weights = diff_softmax(logits, 0.7, hard=True)
    chosen = logits.argmax(dim=1, keepdim=True)
    torch.testing.assert_close(weights.gather(1, chosen), torch.ones(50, 1))
    assert (weights.scatter(1, chosen, 0.0) == 0).all()


def test_the_first_of_equal_logits_is_chosen():
    assert diff_softmax(torch.zeros(1, 3), hard=True).argmax().item() == 0


@pytest.mark.parametrize("temperature", [1.0, 0.1, 3.0])
def test_hard_weights_have_the_gradient_of_the_softmax(temperature):
    upstream, gradients = torch.randn(7, 2), []
    for hard in (False, True):
        logits = random_logits()
        (diff_softmax(logits, temperature, hard) * upstream).sum().backward()
        gradients.append(logits.grad)
    assert torch.equal(*gradients)


def test_nothing_is_drawn_at_random():
    logits = random_logits()
    assert torch.equal(diff_softmax(logits, hard=True), diff_softmax(logits, hard=True))


def test_small_temperature_sharpens_and_a_large_one_flattens():
    logits = torch.tensor([[1.0, 0.0]])
    sharp, plain, flat = (diff_softmax(logits, temperature)[0, 0] for temperature in (0.1, 1.0, 10.0))
    assert sharp > 0.9999 > plain > 0.7 > flat > 0.5


def test_mix_weighs_each_sample_on_its_own():
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    outputs = [torch.full((2, 3), 4.0), torch.full((2, 3), 8.0)]
    assert mix(weights, outputs)[:, 0].tolist() == [4.0, 7.0]


def test_cost_is_the_share_sent_to_the_costly_expert():
    weights = diff_softmax(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]), hard=True)
    assert resource_loss(weights, (0, 1)).item() == pytest.approx(0.75)
    assert resource_loss(weights, (2.0, 10.0)).item() == pytest.approx(0.25 * 2 + 0.75 * 10)


@pytest.mark.parametrize("experts", [1, 2, 3, 5])
def test_routed_equals_mixed_hard_weights(experts):
    weights = diff_softmax(random_logits(40, experts), hard=True).detach()
    outputs = [torch.randn(40, 6) for _ in range(experts)]
    torch.testing.assert_close(route(weights, [Recorder(p) for p in outputs]), mix(weights, outputs))


def test_each_expert_is_called_once_with_its_own_samples_in_order():
    experts = [Recorder(torch.randn(9, 2)) for _ in range(3)]
    route(alternating_logits(9, 3), experts)
    assert [expert.calls for expert in experts] == [[[0, 3, 6]], [[1, 4, 7]], [[2, 5, 8]]]


def test_an_expert_without_samples_is_not_called():
    outputs = torch.randn(4, 2)
    chosen, idle = Recorder(outputs), Recorder(outputs)
    assert torch.equal(route(torch.tensor([[1.0, 0.0]] * 4), [chosen, idle]), outputs)
    assert idle.calls == []


def test_empty_batch_gives_an_empty_output():
    assert route(torch.zeros(0, 2), [Recorder(torch.zeros(0, 3))] * 2).shape == (0, 3)


def test_small_group_is_filled_up_and_the_filling_is_dropped():
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    experts = [Recorder(torch.zeros(4, 1)), Recorder(torch.arange(4.0)[:, None])]
    found = route(weights, experts, at_least=2)
    assert experts[1].calls == [[1, 0]]
    assert experts[0].calls == [[0, 2, 3]]
    assert found[:, 0].tolist() == [0.0, 1.0, 0.0, 0.0]


def gradients_of(routed, upstream):
    """Gradients of gate logits and expert outputs for hard weights, routed or mixed."""
    logits = random_logits(8)
    outputs = [torch.randn(8, 3, generator=torch.Generator().manual_seed(k), requires_grad=True) for k in (1, 2)]
    weights = diff_softmax(logits, 0.5, hard=True)
    experts = [Recorder(p) for p in outputs]
    y = route(weights, experts, straight_through=True) if routed else mix(weights, outputs)
    (y * upstream).sum().backward()
    return logits, outputs, y


def test_routing_in_training_gives_outputs_and_expert_gradients_of_mixing():
    upstream = torch.randn(8, 3)
    (_, routed, y_routed), (_, mixed, y_mixed) = gradients_of(True, upstream), gradients_of(False, upstream)
    torch.testing.assert_close(y_routed, y_mixed)
    for p, q in zip(routed, mixed, strict=True):
        torch.testing.assert_close(p.grad, q.grad)


def test_routed_gate_gradient_is_as_if_the_other_expert_had_answered_zero():
    upstream = torch.randn(8, 3)
    logits, outputs, _ = gradients_of(True, upstream)
    soft = (logits / 0.5).softmax(dim=1).detach()
    chosen = logits.argmax(dim=1)
    of_chosen = torch.stack([(upstream * p).sum(dim=1) for p in outputs], dim=1).gather(1, chosen[:, None]).detach()
    slope = soft.prod(dim=1, keepdim=True) * of_chosen / 0.5
    expected = torch.cat([slope, -slope], dim=1) * torch.where(chosen == 0, 1.0, -1.0)[:, None]
    torch.testing.assert_close(logits.grad, expected)
    mixed, _, _ = gradients_of(False, upstream)
    assert not torch.allclose(logits.grad, mixed.grad)


def test_without_straight_through_the_gate_gets_no_gradient():
    weights = diff_softmax(random_logits(4), hard=True)
    outputs = torch.randn(4, 2, requires_grad=True)
    route(weights, [Recorder(outputs)] * 2).sum().backward()
    assert outputs.grad is not None
    assert not route(weights, [Recorder(torch.randn(4, 2))] * 2).requires_grad
