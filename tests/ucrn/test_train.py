"""One epoch of UCRN's loop: an incomplete last batch counts as the batch that it is."""

import numpy as np
import pytest
import torch
from torch import nn

from common.training.step import grad_scaler
from tests.support.ucrn_runs import inputs_of, random_clips, settings_of, small_model
from ucrn.losses import Objective
from ucrn.train import train_epoch

BATCHES = [np.array([3, 0, 5, 1]), np.array([4, 2])]


@pytest.mark.parametrize("chunks", [1, 2])
def test_incomplete_last_batch_is_stepped_on_with_its_own_mean_and_weighs_by_its_clips(run, chunks):
    clips, ours, plain = random_clips(6), small_model(), small_model()
    settings = settings_of(batch_size=4, batch_chunk=chunks, clip=1e6)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.1)
    mean = train_epoch(ours, clips, BATCHES, optimizer, grad_scaler("fp32"), Objective(jsd=False), settings, run, 1)

    written, losses = torch.optim.SGD(plain.parameters(), lr=0.1), []
    for indices in BATCHES:
        text, audio, vision = (part[indices] for part in inputs_of(clips))
        loss = nn.functional.l1_loss(plain(text, audio, vision).prediction, clips.labels[indices])
        written.zero_grad()
        loss.backward()
        written.step()
        losses.append(loss.item())
    assert mean == pytest.approx((4 * losses[0] + 2 * losses[1]) / 6, rel=1e-5)
    for (name, mine), theirs in zip(ours.state_dict().items(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
