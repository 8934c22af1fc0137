"""Rows of several processes, put in the order that they had before they were shared."""

import numpy as np
import pytest

from common.processes import Processes


@pytest.mark.parametrize(("world", "count"), [(1, 5), (2, 5), (3, 7), (4, 2)])
def test_shares_of_several_processes_are_put_in_order(world, count):
    class Everybody(Processes):
        def gather(self, value):
            numbers = [np.arange(rank, count, world) for rank in range(world)]
            return [(n[:, None].astype(np.float32), n) if len(n) else () for n in numbers]

    logits, labels = Everybody(world=world).gather_rows()
    assert labels.tolist() == list(range(count))
    assert logits[:, 0].tolist() == list(range(count))
