"""Batches that are a function of seed, epoch and index alone, however many processes share them."""

from contextlib import suppress
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from common.errors import UserError
from common.training.batches import Draw, Share, ShuffledBatches, cut_batches, index_batches


def drawn(size, batch_size, seed=3, epoch=0, **kwargs):
    """The batches of one epoch."""
    batches = ShuffledBatches(size, batch_size, seed, **kwargs)
    batches.epoch = epoch
    return list(batches)


def indices(batches):
    return [[draw.index for draw in batch] for batch in batches]


class Echo(Dataset):
    """What it is asked for, and a number of the draw's own."""

    def __getitem__(self, draw):
        return draw.index, draw.rng().random()


@settings(deadline=None)
@given(
    world=st.integers(1, 4),
    share=st.integers(1, 5),
    size=st.integers(1, 60),
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 300),
)
def test_processes_together_see_the_batches_of_a_single_one(world, share, size, seed, epoch):
    batch_size, size = world * share, size + world * share
    alone = drawn(size, batch_size, seed, epoch)
    shares = [drawn(size, batch_size, seed, epoch, rank=rank, world=world) for rank in range(world)]
    assert len(alone) == len(ShuffledBatches(size, batch_size, seed))
    for step, batch in enumerate(alone):
        parts = [batches[step] for batches in shares]
        assert {len(part) for part in parts} == {share}
        assert sorted(chain(*parts)) == sorted(batch)


@settings(deadline=None)
@given(batch_size=st.integers(1, 9), size=st.integers(9, 60), epoch=st.integers(0, 9))
def test_epoch_shows_each_sample_once_and_drops_the_incomplete_batch(batch_size, size, epoch):
    batches = indices(drawn(size, batch_size, epoch=epoch))
    assert {len(batch) for batch in batches} == {batch_size}
    seen = list(chain(*batches))
    assert len(seen) == len(set(seen)) == size - size % batch_size
    assert set(seen) <= set(range(size))


def test_order_is_a_function_of_seed_and_epoch():
    first = indices(drawn(50, 5))
    assert indices(drawn(50, 5)) == first
    assert indices(drawn(50, 5, epoch=1)) != first
    assert indices(drawn(50, 5, seed=4)) != first
    assert list(chain(*first)) != sorted(chain(*first))


def test_later_epoch_needs_no_earlier_one():
    """What a resumed run sees."""
    batches = ShuffledBatches(20, 4, seed=1)
    for batches.epoch in range(3):
        straight = list(batches)
    assert drawn(20, 4, seed=1, epoch=2) == straight


def test_draws_carry_seed_epoch_and_plain_index():
    (batch,) = drawn(3, 3, seed=8, epoch=5)
    assert {(draw.seed, draw.epoch) for draw in batch} == {(8, 5)}
    assert all(type(draw.index) is int for draw in batch)


@pytest.mark.parametrize(("limit", "expected"), [(None, 5), (2, 2), (9, 5)])
def test_limit_ends_the_epoch_early_with_the_same_batches(limit, expected):
    batches = ShuffledBatches(20, 4, seed=3, limit=limit)
    assert len(batches) == len(list(batches)) == expected
    assert list(batches) == drawn(20, 4)[:expected]


def test_batch_that_cannot_be_shared_is_an_error():
    with pytest.raises(UserError, match="--batch-size 6 cannot be shared by 4 processes: take a multiple"):
        ShuffledBatches(100, 6, seed=0, rank=1, world=4)


def test_batch_larger_than_the_training_set_is_an_error():
    with pytest.raises(UserError, match=r"--batch-size 6 is larger than the training set \(5 samples\)"):
        ShuffledBatches(5, 6, seed=0)
    assert len(ShuffledBatches(6, 6, seed=0)) == 1


@settings(deadline=None)
@given(draws=st.lists(st.builds(Draw, *[st.integers(0, 2**33)] * 3), min_size=2, max_size=6, unique=True))
def test_generator_of_a_draw_does_not_depend_on_the_others(draws):
    forwards = {draw: draw.rng().random() for draw in draws}
    backwards = {draw: draw.rng().random() for draw in reversed(draws)}
    assert forwards == backwards


def test_every_part_of_a_draw_changes_its_generator():
    numbers = [Draw(*draw).rng().random() for draw in ((1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (3, 2, 1))]
    assert len(set(numbers)) == len(numbers)


def test_generator_leaves_the_global_one_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    Draw(1, 2, 3).rng().random(100)
    drawn(50, 5)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_neither_order_nor_augmentation(workers):
    def epoch(num_workers: int) -> list[list[float]]:
        batches = ShuffledBatches(12, 4, seed=5)
        batches.epoch = 2
        loader = DataLoader(Echo(), batch_sampler=batches, num_workers=num_workers)
        return [[*index.tolist(), *number.tolist()] for index, number in loader]

    assert epoch(workers) == epoch(0)


@settings(deadline=None)
@given(size=st.integers(0, 40), world=st.integers(1, 6))
def test_shares_are_all_samples_once_in_order(size, world):
    shares = [Share(size, rank, world) for rank in range(world)]
    assert all(len(share) == len(list(share)) for share in shares)
    assert all(list(share) == sorted(share) for share in shares)
    assert sorted(chain(*shares)) == list(range(size))


def test_single_process_has_all_samples():
    assert list(Share(4)) == [0, 1, 2, 3]


def test_negative_seed_is_an_error_or_works():
    with suppress(UserError):
        drawn(4, 2, seed=-1)


def test_order_and_first_sample_have_generators_of_their_own():
    (batch,) = indices(drawn(30, 30, seed=3, epoch=5))
    assert batch != Draw(3, 5, 0).rng().permutation(30).tolist()


SIZES = {"size": st.integers(1, 60), "batch_size": st.integers(1, 20), "epoch": st.integers(0, 300)}


@settings(deadline=None)
@given(**SIZES, seed=st.integers(0, 2**40))
def test_index_batches_show_every_sample_once_and_keep_the_smaller_last_batch(size, batch_size, epoch, seed):
    batches = index_batches(size, batch_size, seed, epoch)
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches[-1]) == size - batch_size * (len(batches) - 1)
    assert {batch.dtype for batch in batches} == {np.dtype(np.int64)}
    assert sorted(np.concatenate(batches)) == list(range(size))


@settings(deadline=None)
@given(**SIZES, world=st.integers(1, 5))
def test_index_batches_of_all_processes_are_those_of_a_single_one(size, batch_size, epoch, world):
    alone = [batch for batch in index_batches(size, batch_size, 3, epoch) if len(batch) >= world]
    shares = [index_batches(size, batch_size, 3, epoch, rank, world) for rank in range(world)]
    assert {len(batches) for batches in shares} == {len(alone)}  # or one would wait for another's step
    for step, batch in enumerate(alone):
        parts = [batches[step] for batches in shares]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert sorted(np.concatenate(parts)) == sorted(batch)


def test_index_batches_are_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return np.concatenate(index_batches(50, 8, seed, epoch)).tolist()

    assert order(3, 1) == order(3, 1)
    assert len({tuple(order(*key)) for key in ((3, 1), (3, 2), (4, 1), (-3, 1))}) == 4
    assert order(3, 1) == list(chain(*indices(drawn(50, 5, epoch=1))))


def test_last_batch_that_does_not_reach_all_processes_is_left_out():
    assert [len(batch) for batch in index_batches(9, 4, 0, 0, rank=1, world=2)] == [2, 2]
    assert [len(batch) for batch in index_batches(10, 4, 0, 0, rank=1, world=2)] == [2, 2, 1]


@pytest.mark.parametrize(("limit", "expected"), [(None, 3), (1, 1), (2, 2), (9, 3)])
def test_limit_ends_index_batches_early_with_the_same_ones(limit, expected):
    batches, whole = index_batches(10, 4, 0, 7, limit=limit), index_batches(10, 4, 0, 7)
    assert len(batches) == expected
    assert all(map(np.array_equal, batches, whole))


def test_given_order_is_cut_as_it_stands():
    order = np.array([4, 0, 3, 1, 2])
    assert [batch.tolist() for batch in cut_batches(order, 2)] == [[4, 0], [3, 1], [2]]
    assert [batch.tolist() for batch in cut_batches(order, 3, rank=1, world=2)] == [[0], [2]]
    assert [batch.tolist() for batch in cut_batches(order, 2, limit=1)] == [[4, 0]]
