"""The transforms of the segmentation: sizes, paddings, draws, and that a sample's arrays stay aligned."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cen.semantic_segmentation import transforms as T
from cen.semantic_segmentation.transforms import Normalisation, TrainTransform, ValTransform

NORM = Normalisation()
RAW = Normalisation(scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), depth_scale=0.0)


def sample(height=6, width=8, surplus=(0, 0), seed=0):
    """Labels in 0..39; rgb and depth say the label of their pixel, and 200 in the surplus around the mask."""
    mask = np.random.default_rng(seed).integers(0, 40, (height, width)).astype(np.uint8)
    around = [(side // 2, side - side // 2) for side in surplus]
    wide = np.pad(mask, around, constant_values=200)
    rgb = np.repeat(wide[..., None], 3, axis=2)
    return {"rgb": rgb, "depth": rgb.astype(np.uint16), "mask": mask}


def training(norm=RAW, shorter_side=4, scales=(1.0, 1.0), crop=6, **options):
    options = {"input_size": None, "ignore_label": 255, "ignore_in_files": 255, **options}
    return TrainTransform(
        shorter_side=shorter_side, low_scale=scales[0], high_scale=scales[1], crop_size=crop, norm=norm, **options
    )


class Scripted:
    """Gives the draws it is told, and remembers what was asked."""

    def __init__(self, factor=1.0, *integers):
        self.factor, self.answers, self.asked = factor, list(integers), []

    def uniform(self, low, high):
        self.asked.append(("uniform", low, high))
        return self.factor

    def integers(self, high):
        self.asked.append(high)
        return self.answers.pop(0)


@pytest.mark.parametrize("surplus", [(0, 0), (4, 2), (3, 5), (1, 0)])
def test_inputs_are_cut_to_the_centre_that_the_mask_shows(surplus):
    cut = T.crop_align_to_mask(sample(surplus=surplus))
    for key in ("rgb", "depth"):
        assert np.array_equal(cut[key][..., 0], cut["mask"])


def test_square_inputs_are_resized_to_the_mask_of_another_data_set():
    given_ = sample(8, 8)
    given_["mask"] = given_["mask"][::2, ::2]
    resized = T.resize_align_to_mask(given_)
    assert resized["rgb"].shape == resized["depth"].shape == (4, 4, 3)
    assert np.array_equal(resized["depth"][..., 0], given_["depth"][::2, ::2, 0])


@pytest.mark.parametrize(("side", "halved"), [(84, 42), (85, 42), (87, 44), (425, 212)])
def test_scaled_sizes_are_rounded_half_to_even(side, halved):
    scaled = T.resize_and_scale(sample(side, side), Scripted(0.5), 1, 0.5, 2.0)
    assert {array.shape[:2] for array in scaled.values()} == {(halved, halved)}


@pytest.mark.parametrize(("factor", "size"), [(0.5, (20, 40)), (1.0, (20, 40)), (3.0, (30, 60))])
def test_factor_is_raised_until_the_shorter_side_is_long_enough(factor, size):
    rng = Scripted(factor)
    assert T.resize_and_scale(sample(10, 20), rng, 20, 0.5, 2.0)["rgb"].shape[:2] == size
    assert rng.asked == [("uniform", 0.5, 2.0)]


@pytest.mark.parametrize(("factor", "size"), [(0.5, (5, 10)), (1.0, (8, 16)), (3.0, (8, 16))])
def test_factor_is_lowered_until_the_longer_side_is_short_enough(factor, size):
    assert T.resize_and_scale(sample(10, 20), Scripted(factor), 16, 0.5, 2.0, shorter=False)["mask"].shape == size


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), height=st.integers(5, 30), width=st.integers(5, 30))
def test_depth_and_mask_stay_aligned_under_any_scale(seed, height, width):
    scaled = T.resize_and_scale(sample(height, width, seed=seed), np.random.default_rng(seed), 4, 0.5, 2.0)
    assert np.array_equal(scaled["depth"][..., 0], scaled["mask"])
    assert scaled["rgb"].shape == scaled["depth"].shape


def test_padding_of_depth_has_the_means_of_rgb_as_published():
    padded = T.pad(sample(6, 6), 10, T.RGB_MEANS, 255)
    for key, dtype in (("rgb", np.uint8), ("depth", np.uint16)):
        assert padded[key].dtype == dtype
        assert padded[key][0, 0].tolist() == [123, 116, 103]
    assert padded["mask"][0, 0] == 255


def test_quirk_depth_padding_pads_depth_alone_with_nothing():
    published, fixed = (T.pad(sample(6, 6), 10, T.RGB_MEANS, 255, zero_depth=zero) for zero in (False, True))
    assert fixed["depth"][0, 0].tolist() == [0, 0, 0]
    assert np.array_equal(fixed["depth"][2:8, 2:8], published["depth"][2:8, 2:8])
    assert np.array_equal(fixed["rgb"], published["rgb"])
    assert np.array_equal(fixed["mask"], published["mask"])


@pytest.mark.parametrize(("size", "padded"), [((4, 6), (8, 8)), ((5, 7), (9, 9)), ((8, 3), (8, 9)), ((12, 8), (12, 8))])
def test_odd_shortage_pads_one_more_and_a_longer_side_stays(size, padded):
    result = T.pad(sample(*size), 8, T.RGB_MEANS, 255)
    assert {array.shape[:2] for array in result.values()} == {padded}
    top, left = (padded[0] - size[0]) // 2, (padded[1] - size[1]) // 2
    assert np.array_equal(result["mask"][top : top + size[0], left : left + size[1]], sample(*size)["mask"])


def test_mirror_flips_all_arrays_or_none():
    plain = sample()
    for draw in (0, 1):
        rng = Scripted(1.0, draw)
        flipped = T.random_mirror(plain, rng)
        assert rng.asked == [2]
        for key, array in plain.items():
            assert np.array_equal(flipped[key], array[:, ::-1] if draw else array)


def test_crop_may_reach_every_corner_and_draws_top_before_left():
    plain, rng = sample(10, 13), Scripted(1.0, 4, 7)
    cut = T.random_crop(plain, rng, 6)
    assert rng.asked == [10 - 6 + 1, 13 - 6 + 1]
    for key, array in plain.items():
        assert np.array_equal(cut[key], array[4:10, 7:13])


def test_odd_crop_size_loses_one_and_a_larger_one_takes_all():
    assert T.random_crop(sample(10, 13), Scripted(1.0, 0, 0), 7)["rgb"].shape == (6, 6, 3)
    rng = Scripted(1.0, 0, 2)
    assert T.random_crop(sample(5, 13), rng, 11)["mask"].shape == (5, 10)
    assert rng.asked == [1, 4]


def test_input_size_resizes_the_inputs_by_the_height_of_rgb():
    resized = T.resize_inputs(sample(10, 16), 5)
    assert resized["rgb"].shape == resized["depth"].shape == (5, 8, 3)
    assert resized["mask"].shape == (10, 16)


def test_rgb_is_normalised_by_channel():
    white = {"rgb": np.full((1, 1, 3), 255, np.uint8), "mask": np.zeros((1, 1), np.uint8)}
    expected = (1 - np.asarray(NORM.mean)) / np.asarray(NORM.std)
    np.testing.assert_allclose(T.normalise(white, NORM)["rgb"][0, 0], expected, rtol=1e-12)


def depths(*values):
    return {"depth": np.asarray(values, np.uint16).reshape(1, -1, 1).repeat(3, 2), "mask": np.zeros((1, 1), np.uint8)}


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (1 / 5000, [0.0, 0.2, 13.107]),
        (-1, [0.0, np.log(1001), np.log(65536)]),
        (-2, [0.0, 1000 * 255 / 65535, 255.0]),
        (0, [0.0, 1000.0, 65535.0]),
    ],
)
def test_depth_follows_its_scale_up_to_the_largest_value_of_16_bits(scale, expected):
    found = T.normalise(depths(0, 1000, 65535), Normalisation(depth_scale=scale))["depth"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-12)


def test_tensors_have_channels_first_and_labels_are_whole_numbers():
    plain = sample(4, 5)
    tensors = T.to_tensor(T.normalise(plain, RAW))
    assert {key: (value.dtype, tuple(value.shape)) for key, value in tensors.items()} == {
        "rgb": (torch.float32, (3, 4, 5)),
        "depth": (torch.float32, (3, 4, 5)),
        "mask": (torch.int64, (4, 5)),
    }
    assert np.array_equal(tensors["mask"].numpy(), plain["mask"])


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(9, 40), st.integers(9, 40)),
    crop=st.integers(8, 33),
    seed=st.integers(0, 2**16),
    input_size=st.sampled_from([None, 5, 16]),
)
def test_training_samples_are_squares_of_the_crop_size(size, crop, seed, input_size):
    transform = training(NORM, shorter_side=7, scales=(0.5, 2.0), crop=crop, input_size=input_size)
    tensors = transform(sample(*size, surplus=(3, 2)), np.random.default_rng(seed))
    side = crop - crop % 2
    assert tensors["mask"].shape == (side, side)
    assert tensors["rgb"].shape == tensors["depth"].shape == (3, input_size or side, input_size or side)
    assert all(value.is_contiguous() for key, value in tensors.items() if key != "mask")


@pytest.mark.parametrize("seed", range(12))
def test_training_sample_shows_the_same_pixels_in_all_arrays(seed):
    tensors = training(crop=10)(sample(8, 14, surplus=(2, 3)), np.random.default_rng(seed))
    labelled = tensors["mask"] != 255
    assert 0 < labelled.sum() < labelled.numel()
    for key in ("rgb", "depth"):
        assert torch.equal(tensors[key][0][labelled].long(), tensors["mask"][labelled])
        assert set(tensors[key][0][~labelled].tolist()) == {123}


def test_draws_come_in_the_published_order():
    rng = Scripted(1.0, 1, 2, 3)
    training(scales=(0.5, 2.0), crop=6)(sample(10, 12), rng)
    assert rng.asked == [("uniform", 0.5, 2.0), 2, 10 - 6 + 1, 12 - 6 + 1]


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_sample_is_a_function_of_the_generator_alone():
    transform = training(NORM, shorter_side=8, scales=(0.5, 2.0), crop=10)
    before = global_states()
    first, again, other = (transform(sample(20, 24), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert global_states() == before
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["mask"], other["mask"])


def test_arrays_that_were_read_stay_as_they_are():
    plain, kept = sample(20, 24, surplus=(2, 2)), sample(20, 24, surplus=(2, 2))
    training(NORM, crop=30)(plain, np.random.default_rng(0))
    ValTransform(10, NORM)(plain)
    assert all(np.array_equal(plain[key], kept[key]) for key in kept)


def test_quirk_depth_padding_reaches_the_training_chain():
    published, fixed = (
        training(crop=10, zero_depth_padding=zero)(sample(6, 6), np.random.default_rng(0)) for zero in (False, True)
    )
    assert published["depth"][:, 0, 0].tolist() == [123, 116, 103]
    assert fixed["depth"][:, 0, 0].tolist() == [0, 0, 0]
    assert torch.equal(published["rgb"], fixed["rgb"])


def test_validation_with_an_input_size_leaves_the_mask():
    tensors = ValTransform(25, RAW)(sample(50, 60, surplus=(2, 3)))
    assert tensors["rgb"].shape == tensors["depth"].shape == (3, 25, 30)
    assert np.array_equal(tensors["mask"].numpy(), sample(50, 60)["mask"])


def test_validation_without_one_shows_every_labelled_pixel():
    tensors = ValTransform(None, RAW)(sample(7, 9, surplus=(3, 1)))
    for key in ("rgb", "depth"):
        assert torch.equal(tensors[key][0].long(), tensors["mask"])


def test_another_ignore_label_takes_the_place_of_the_masks_own():
    chain = TrainTransform(5, 1.0, 1.0, 10, None, 77, RAW, 255)
    given = sample(6, 6)
    given["mask"][2, 2] = 255
    mask = chain(given, np.random.default_rng(0))["mask"]
    assert (mask == 77).sum() == 1 + (100 - 36)
    assert not (mask == 255).any()
