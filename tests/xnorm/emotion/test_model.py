"""Networks of the emotion task: padding, exchange, shares of the logits."""

import pytest
import torch

from xnorm.emotion.flags import read_flags
from xnorm.emotion.model import FUSIONS, build_model, mean_over_steps, sinusoids


def built(fusion, *flags, seed=0):
    args = ["--fusion", fusion, "--width", "8", "--heads", "2", "--layers", "3", "--exchange", "0", "2"]
    torch.manual_seed(seed)
    settings = read_flags([*args, "--hidden_size", "8", *flags])
    return build_model(fusion, settings.sizes, (5, 4), 3).eval()


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(0)
    text, audio = torch.randn(2, 6, 5, generator=generator), torch.randn(2, 9, 4, generator=generator)
    text_mask, audio_mask = torch.arange(6) < torch.tensor([[6], [4]]), torch.arange(9) < torch.tensor([[5], [9]])
    return text, text_mask, audio, audio_mask


@pytest.mark.parametrize("fusion", FUSIONS)
def test_logits_of_every_method(fusion, clips):
    assert built(fusion)(*clips).shape == (2, 3)


@pytest.mark.parametrize("fusion", ["text", "audio", "early", "late", "xnorm"])
def test_longer_padding_changes_nothing(fusion, clips):
    text, text_mask, audio, audio_mask = clips
    longer = (
        torch.cat([text, torch.full((2, 3, 5), 7.0)], dim=1),
        torch.cat([text_mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
        torch.cat([audio, torch.full((2, 2, 4), -7.0)], dim=1),
        torch.cat([audio_mask, torch.zeros(2, 2, dtype=torch.bool)], dim=1),
    )
    model = built(fusion)
    torch.testing.assert_close(model(*longer), model(*clips), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("fusion", "read", "ignored"), [("text", 0, 2), ("audio", 2, 0)])
def test_one_modality_reads_the_other_not(fusion, read, ignored, clips):
    model = built(fusion)
    for position, changes in ((read, True), (ignored, False)):
        changed = list(clips)
        changed[position] = changed[position] + 1
        assert torch.equal(model(*changed), model(*clips)) != changes


def test_late_fusion_weighs_the_two_logits(clips):
    text, audio = (built("late", "--weight", share)(*clips) for share in ("1", "0"))
    torch.testing.assert_close(built("late", "--weight", "0.3")(*clips), 0.3 * text + 0.7 * audio)


def test_exchange_lets_each_stream_see_the_other(clips):
    changed = list(clips)
    changed[2] = changed[2] + 1
    for fusion, sees in (("late", False), ("xnorm", True)):
        model = built(fusion, "--weight", "1")  # the text's logits alone
        assert torch.equal(model(*changed), model(*clips)) != sees


def test_exchange_stands_behind_the_named_layers():
    model = built("xnorm")
    assert sorted(model.exchanges) == ["0", "2"]
    assert {name.split(".")[1] for name in model.state_dict() if name.startswith("exchanges")} == {"0", "2"}
    assert len(built("late").exchanges) == 0


def test_mean_over_steps_leaves_padding_out():
    x = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_over_steps(x, torch.tensor([[True, True, False]])).item() == 2


def test_positions_differ_and_the_first_is_zero_and_one_in_turn():
    found = sinusoids(4, 6)
    assert found[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert len(set(map(tuple, found.tolist()))) == 4
