"""How many scales of the stand-in ResNets are nearly 0 is the caller's."""

import json

import pytest
import torch

from common.standins.weights.resnets import WEAK_SCALE, WEAK_SHARE, standin_state
from common.standins.weights.standin import write_weights


def weak(state):
    """Share of the middle norms' scales that are nearly 0."""
    scales = torch.cat([value for name, value in state.items() if name.endswith("bn2.weight")])
    return float((scales.abs() <= WEAK_SCALE).float().mean())


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_share_of_weak_scales_is_the_one_asked_for(share):
    assert weak(standin_state(50, 16, weak_share=share)) == pytest.approx(share, abs=0.05)


def test_default_share_changes_no_weight():
    given, default = standin_state(50, 2, weak_share=WEAK_SHARE), standin_state(50, 2)
    assert all(torch.equal(given[name], value) for name, value in default.items())


def test_share_stands_in_the_marker(tmp_path):
    write_weights(tmp_path, [50], 2, only=["resnet"], weak_share=0.25)
    assert json.loads((tmp_path / "standin.json").read_text())["truth"]["share"] == 0.25
