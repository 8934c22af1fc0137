"""How a test set is damaged: one modality silent, or noise in the scale of the training set's features."""

import pytest
import torch

from tests.support.ucrn_runs import inputs_of, random_clips
from ucrn.robustness import noisy, without


@pytest.mark.parametrize(("modality", "place"), [("l", 0), ("a", 1), ("v", 2)])
def test_missing_modality_is_silent_and_the_others_stay(modality, place):
    clips = random_clips()
    for index, (found, clean) in enumerate(zip(inputs_of(without(clips, modality)), inputs_of(clips), strict=True)):
        assert torch.equal(found, torch.zeros_like(clean) if index == place else clean)


def test_noise_is_in_the_scale_of_each_feature_of_the_training_set():
    train, test = random_clips(40, seed=1), random_clips(400, seed=2)
    for features in inputs_of(train):
        features *= torch.arange(1.0, features.shape[2] + 1)  # every feature has a scale of its own
    for found, clean, of_train in zip(*map(inputs_of, (noisy(test, train, 0.5, 3), test, train)), strict=True):
        expected = 0.5 * of_train.flatten(0, 1).std(dim=0)
        torch.testing.assert_close((found - clean).flatten(0, 1).std(dim=0), expected, rtol=0.1, atol=0.0)
        assert (found - clean).flatten(0, 1).mean(dim=0).abs().max() < 0.1 * expected.max()


def test_noise_is_a_function_of_the_seed():
    clips = random_clips()
    first, again, other = (noisy(clips, clips, 1.0, seed).text for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
