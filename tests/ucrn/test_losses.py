"""UCRN's objective, and that chunks of a batch and shares of processes add up to the whole batch."""

import numpy as np
import pytest
import torch

from common.processes import Processes
from tests.support.run_folders import RememberedRun
from tests.support.ucrn_runs import inputs_of, random_clips, small_model
from ucrn.losses import Objective
from ucrn.refinement import multimodal_divergence
from ucrn.train import backward

CLIPS = random_clips(10)
SCALER = torch.amp.GradScaler(enabled=False)
DIVERGENCES = ["official", "jsd"]


def gradients(model, indices, whole, world=1, jsd=True, mjsd="official", chunks=1):
    """Of one share of a batch of `whole` clips; and its L1 and its total."""
    objective = Objective(jsd, true_js=mjsd == "jsd")
    run = RememberedRun()
    run.procs = Processes(0, world)
    model.zero_grad()
    losses = backward(model, CLIPS, np.asarray(indices), whole, SCALER, objective, chunks, run)
    return {name: p.grad.clone() for name, p in model.named_parameters()}, torch.stack(losses)


def assert_same_gradients(one, other):
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("true_js", [False, True])
def test_objective_is_the_mean_absolute_error_plus_the_divergence(true_js):
    output = small_model()(*inputs_of(CLIPS))
    found = Objective(jsd=True, true_js=true_js)(output, CLIPS.labels)
    l1 = sum(
        abs(p - y)
        for p, y in zip(output.prediction.tolist(), CLIPS.labels.tolist(), strict=True)
        for p, y in [(p[0], y[0])]
    ) / len(CLIPS)
    assert found.l1.item() == pytest.approx(l1, rel=1e-5)
    assert found.mjsd.item() == pytest.approx(multimodal_divergence(output.refined, true_js).item())
    assert found.total.item() == pytest.approx(found.l1.item() + found.mjsd.item())


def test_without_jsd_the_divergence_is_told_but_moves_nothing():
    model = small_model()
    found = Objective(jsd=False)(model(*inputs_of(CLIPS)), CLIPS.labels)
    assert found.total.item() == found.l1.item()
    assert found.mjsd.item() > 0
    assert not found.mjsd.requires_grad
    found.total.backward()
    alone = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    (model(*inputs_of(CLIPS)).prediction - CLIPS.labels).abs().mean().backward()
    assert_same_gradients(alone, {name: p.grad for name, p in model.named_parameters()})


def test_divergence_moves_the_refinement():
    with_it, without_it = (gradients(small_model(), range(10), 10, jsd=jsd)[0] for jsd in (True, False))
    name = "l_refine.layers.0.fc1.weight"
    assert not torch.allclose(with_it[name], without_it[name], rtol=0.1)
    torch.testing.assert_close(with_it["out_layer.weight"], without_it["out_layer.weight"])


@pytest.mark.parametrize("mjsd", DIVERGENCES)
@pytest.mark.parametrize("chunks", [2, 3, 10, 99])
def test_chunks_of_a_batch_have_the_gradient_of_the_whole(chunks, mjsd):
    model = small_model()
    whole, losses = gradients(model, range(10), 10, mjsd=mjsd)
    cut, parts = gradients(model, range(10), 10, mjsd=mjsd, chunks=chunks)
    assert_same_gradients(cut, whole)
    torch.testing.assert_close(parts, losses)


@pytest.mark.parametrize("mjsd", DIVERGENCES)
@pytest.mark.parametrize(("batch", "chunks"), [(10, 1), (7, 1), (7, 2)])
def test_mean_over_the_processes_is_the_whole_batch(batch, chunks, mjsd):
    model, given = small_model(), {"chunks": chunks, "mjsd": mjsd}
    whole, losses = gradients(model, range(batch), batch, **given)
    shares = [gradients(model, range(rank, batch, 3), batch, world=3, **given) for rank in range(3)]
    mean = {name: sum(share[0][name] for share in shares) / 3 for name in whole}
    assert_same_gradients(mean, whole)
    torch.testing.assert_close(sum(share[1] for share in shares) / 3, losses)


def test_processes_of_unequal_shares_go_backward_equally_often():
    passes = []
    for rank in range(2):
        model = small_model()
        calls = []
        model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        gradients(model, range(rank, 3, 2), 3, world=2, chunks=2)
        passes.append(len(calls))
    assert passes[0] == passes[1]
