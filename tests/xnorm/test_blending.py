"""The estimate of Gradient-Blending's weights before training."""

import copy

import pytest
import torch
from torch import nn

from common.errors import UserError
from tests.golden_adapters.xnorm_loop import Features, InOrder, LinearHeads
from tests.support.xnorm_runs import settings_of
from xnorm.blending import estimate_weights
from xnorm.data import held_rows
from xnorm.methods.gradient_blending import Blended, Estimate, blending_weights


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 6, generator=generator), torch.randn(40, 4, generator=generator)
    y = torch.randint(0, 3, (40,), generator=generator)
    rows = [Features(a[i : i + 2], b[i : i + 2], y[i : i + 2]) for i in range(0, 40, 2)]
    return {"fit": InOrder(rows[2:]), "held": InOrder(rows[:2])}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LinearHeads(6, 4, 3)


def estimate(run, model, batches, *flags, start=None):
    settings = settings_of("gb", *flags, num_gb_epochs=2, learning_rate=0.05, batch_size=2)
    return estimate_weights(settings, run, model, batches, start)


def test_model_itself_is_left_as_it_was(run, model, batches):
    before = copy.deepcopy(model.state_dict())
    estimate(run, model, batches)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_weights_come_from_the_losses_and_are_told(run, model, batches):
    found = estimate(run, model, batches)
    weights = found.weights
    assert weights == blending_weights(found.losses)
    assert sum(weights) == pytest.approx(1)
    assert run.printed == [
        *("At gb_estimate unimodal 0", "Epoch: 1/2", "Epoch: 2/2"),
        *("At gb_estimate unimodal 1", "Epoch: 1/2", "Epoch: 2/2"),
        *("At gb_estimate multimodal ", "Epoch: 1/2", "Epoch: 2/2", f"weights: {weights}"),
    ]
    assert run.recorded == [
        {"epoch": 0, "split": "blending", **dict(zip(("rgb", "flow", "joint"), weights, strict=True))}
    ]


def test_each_head_starts_from_the_same_weights(run, batches):
    """Two heads share a layer: the second one's estimate must not see what the first one's did to it."""

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, rgb, flow):
            logits = self.layer(rgb)
            return Blended(logits, logits, logits)

    first, second, third = estimate(run, Shared(), batches).losses
    assert first == second == third


def test_quirk_gb_formula_changes_the_weights(run, model, batches):
    official = estimate(run, model, batches)
    paper = estimate(run, model, batches, "--quirk", "gb_formula=paper")
    assert paper.weights == blending_weights(paper.losses, paper.first)
    assert paper.weights != pytest.approx(official.weights, rel=1e-3)


@pytest.mark.parametrize("formula", ["official", "paper"])
def test_estimate_goes_on_from_every_checkpoint_as_if_it_had_never_stopped(run, model, batches, formula):
    flags = ("--quirk", f"gb_formula={formula}")
    whole = estimate(run, model, batches, *flags)
    saved = [state for _, state, _ in run.saved]
    assert len(saved) == 3 * 2 + 1
    for state in saved:
        assert state["ours"]["epoch"] == 0
        again = estimate(run, model, batches, *flags, start=state["ours"])
        assert again.weights == whole.weights
        assert again.losses == whole.losses


def test_given_weights_need_no_estimate(run, model):
    assert estimate(run, model, {}, "--gb-weights", "0.2", "0.5", "0.3") == Estimate()
    assert run.printed == []


def test_other_methods_have_no_weights(run, model):
    assert estimate_weights(settings_of("xnorm"), run, model, {}, None) == Estimate()


def test_a_tenth_of_the_rows_is_held_and_must_fill_a_batch():
    assert held_rows(11127, 32) == 1112
    assert held_rows(40, 4) == 4
    with pytest.raises(UserError, match="a tenth of the 6 training rows, which is less than one batch"):
        held_rows(6, 2)
