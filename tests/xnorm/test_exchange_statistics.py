"""What is recorded of the exchanged scales and shifts."""

import pytest
import torch
from torch import nn

from common.processes import Processes
from tests.support.xnorm_runs import settings_of
from xnorm.exchange_statistics import ExchangeStatistics, encoders_of
from xnorm.models import build_model


def test_means_are_those_of_all_samples_in_batches_of_any_size():
    encoder, x = nn.Conv3d(2, 6, 1), torch.randn(5, 2, 3, 4, 4)
    with ExchangeStatistics({"rgb_l1": encoder}, dim=1) as statistics:
        for part in (x[:3], x[3:]):
            encoder(part)
    shift, scale = encoder(x).chunk(2, dim=1)
    found = statistics.means(Processes())
    assert found == {
        "gamma_rgb_l1": pytest.approx(scale.abs().mean().item(), rel=1e-5),
        "beta_rgb_l1": pytest.approx(shift.abs().mean().item(), rel=1e-5),
    }


def test_nothing_is_watched_behind_the_block():
    encoder = nn.Linear(3, 8)
    with ExchangeStatistics({"text_l0": encoder}, dim=-1) as statistics:
        encoder(torch.ones(2, 3))
    before = statistics.means(Processes())
    encoder(100 * torch.ones(2, 3))
    assert statistics.means(Processes()) == before
    assert not encoder._forward_hooks


def test_names_say_which_stream_is_modulated():
    model = build_model("xnorm", settings_of("xnorm", "--narrow", "64").sizes)
    found = encoders_of(model)
    assert set(found) == {f"{stream}_l{level}" for stream in ("rgb", "flow") for level in (1, 2, 3)}
    assert found["rgb_l2"] is model.rgb2flow_l2
    assert found["flow_l3"] is model.flow2rgb_l3
    assert encoders_of(build_model("late", settings_of("late", "--narrow", "64").sizes)) == {}
