import numpy as np
import pytest
import torch

from tests.golden_adapters.xnorm_data import PythonDraws
from xnorm.transforms import (
    EvalTransform,
    TrainTransform,
    center_crop,
    enlarge,
    mirror,
    random_crop,
    random_flip,
    scale,
    smallest_side,
)


class Scripted:
    """A generator that tells what it was asked, and answers from a list."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def integers(self, low, high, endpoint):
        self.asked.append((low, high, endpoint))
        return self.answers.pop(0)

    def random(self, count=None):
        self.asked.append("random" if count is None else f"random {count}")
        return self.answers.pop(0)


def clip(height=9, width=11, channels=3, frames=2):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, channels), np.uint8)


def test_published_sides():
    assert (smallest_side("rgb"), smallest_side("flow")) == (226, 224)
    assert (smallest_side("rgb", 64), smallest_side("flow", 64)) == (66, 64)


@pytest.mark.parametrize(
    ("size", "smallest", "expected"),
    [((120, 160), 226, (226, 301)), ((150, 100), 224, (336, 224)), ((7, 9), 8, (8, 10))],
)
def test_small_frames_are_enlarged_to_the_shorter_side(size, smallest, expected):
    large = enlarge(clip(*size), smallest)
    assert large.shape == (2, *expected, 3)
    assert large.dtype == np.uint8


def test_large_frames_stay_as_they_are():
    frames = clip(226, 232)
    assert enlarge(frames, 226) is frames


def test_two_channels_are_enlarged_each_on_its_own():
    flow = clip(channels=2)
    both = enlarge(flow, 20)
    for channel in range(2):
        np.testing.assert_array_equal(
            both[..., channel], enlarge(np.repeat(flow[..., channel, None], 3, 3), 20)[..., 0]
        )


def test_scaling_is_the_published_one_for_every_level():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(scale(torch.from_numpy(levels)).numpy(), (levels / 255 * 2 - 1).astype(np.float32))


def test_crop_draws_row_then_column_and_nothing_for_an_equal_side():
    frames = clip()
    rng = Scripted(3, 1)
    np.testing.assert_array_equal(random_crop(frames, 4, rng), frames[:, 3:7, 1:5])
    assert rng.asked == [(0, 5, True), (0, 7, True)]
    rng = Scripted(2)
    np.testing.assert_array_equal(random_crop(frames, 9, rng), frames[:, :, 2:11])
    assert rng.asked == [(0, 2, True)]


def test_every_offset_is_drawn_both_ends_included():
    frames = np.arange(6, dtype=np.uint8).reshape(1, 1, 6, 1).repeat(4, axis=1)
    rng = np.random.default_rng(0)
    assert {int(random_crop(frames, 4, rng)[0, 0, 0, 0]) for _ in range(60)} == {0, 1, 2}


def test_flip_is_below_one_half_and_turns_columns():
    frames = clip()
    np.testing.assert_array_equal(random_flip(frames, Scripted(0.499)), frames[:, :, ::-1])
    assert random_flip(frames, Scripted(0.5)) is frames


@pytest.mark.parametrize(
    ("size", "side", "offsets"), [((256, 456), 224, (16, 116)), ((9, 11), 4, (2, 4)), ((9, 11), 6, (2, 2))]
)
def test_centre_offsets_are_rounded_half_to_even(size, side, offsets):
    top, left = offsets
    frames = clip(*size)
    np.testing.assert_array_equal(center_crop(frames, side), frames[:, top : top + side, left : left + side])


def test_evaluation_gives_the_middle_channels_first():
    frames = {"rgb": clip(), "flow": clip(channels=2)}
    found = EvalTransform(6)(frames)
    assert {key: tuple(x.shape) for key, x in found.items()} == {"rgb": (3, 2, 6, 6), "flow": (2, 2, 6, 6)}
    np.testing.assert_array_equal(found["rgb"].permute(1, 2, 3, 0), center_crop(frames["rgb"], 6))
    assert found["rgb"].dtype == torch.uint8
    assert found["rgb"].is_contiguous()


def test_training_draws_anew_for_flow_in_the_published_order():
    frames = {"rgb": clip(), "flow": clip(channels=2)}
    rng = Scripted(1, 2, 0.4, 3, 4, 0.6)
    found = TrainTransform(5)(frames, {"rgb": rng, "flow": rng})
    assert rng.asked == [(0, 4, True), (0, 6, True), "random"] * 2
    np.testing.assert_array_equal(found["rgb"].permute(1, 2, 3, 0), frames["rgb"][:, 1:6, 2:7][:, :, ::-1])
    np.testing.assert_array_equal(found["flow"].permute(1, 2, 3, 0), frames["flow"][:, 3:8, 4:9])


def test_shared_draws_give_both_streams_one_window_and_one_mirroring():
    content = clip()
    frames = {"rgb": content, "flow": content[..., :2]}
    for seed in range(20):
        rngs = {key: np.random.default_rng([seed, i]) for i, key in enumerate(frames)}
        found = TrainTransform(5, shared=True)(frames, rngs)
        assert torch.equal(found["rgb"][:2], found["flow"])
    apart = TrainTransform(5)(frames, {key: np.random.default_rng(i) for i, key in enumerate(frames)})
    assert not torch.equal(apart["rgb"][:2], apart["flow"])


def test_shared_window_lies_at_the_same_relative_place_of_unequal_sizes():
    rows = {"rgb": np.arange(21), "flow": np.arange(11)}
    frames = {
        key: np.zeros((1, len(r), len(r), 1), np.uint8) + r.astype(np.uint8)[:, None, None] for key, r in rows.items()
    }
    found = TrainTransform(1, shared=True)(frames, {"rgb": Scripted((0.5, 0.99, 0.7)), "flow": Scripted()})
    assert (found["rgb"].item(), found["flow"].item()) == (10, 5)


def test_shared_windows_reach_both_ends():
    frames = {"flow": np.arange(6, dtype=np.uint8).reshape(1, 1, 6, 1).repeat(4, axis=1)}
    rng = np.random.default_rng(0)
    transform = TrainTransform(4, shared=True)
    found = {tuple(transform(frames, {"rgb": rng, "flow": rng})["flow"][0, 0, 0].tolist()) for _ in range(100)}
    ahead = {(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)}
    assert found == ahead | {row[::-1] for row in ahead}


@pytest.mark.parametrize("shared", [False, True])
def test_fixed_flip_turns_the_horizontal_motion_round_and_nothing_else(shared):
    frames = {"rgb": clip(), "flow": clip(channels=2)}
    differing = 0
    for seed in range(12):
        official, fixed = (
            TrainTransform(5, shared, flip_u)(
                frames, {key: np.random.default_rng([seed, i]) for i, key in enumerate(frames)}
            )
            for flip_u in (False, True)
        )
        assert torch.equal(official["rgb"], fixed["rgb"])
        assert torch.equal(official["flow"][1], fixed["flow"][1])
        if not torch.equal(official["flow"][0], fixed["flow"][0]):
            differing += 1
            assert torch.equal(scale(fixed["flow"][0]), -scale(official["flow"][0]))
    assert 2 <= differing <= 10


def test_mirroring_twice_is_nothing():
    flow = clip(channels=2)
    np.testing.assert_array_equal(mirror(mirror(flow, negate_u=True), negate_u=True), flow)
    np.testing.assert_array_equal(mirror(flow, negate_u=True)[0, 0, 0], [255 - flow[0, 0, -1, 0], flow[0, 0, -1, 1]])


def test_numbers_of_python_and_numpy_are_asked_for_alike():
    frames = {"rgb": clip(), "flow": clip(channels=2)}
    for rng in (PythonDraws(0), np.random.default_rng(0)):
        found = TrainTransform(5)(frames, {"rgb": rng, "flow": rng})
        assert tuple(found["flow"].shape) == (2, 2, 5, 5)
