"""CLIP's preprocessing: equal to Pillow's in every bit, the right middle, the right square."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastsam_onnx.clip.preprocessing import BICUBIC, BILINEAR, MEAN, STD, Preprocessing, resize, resized_size


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pillow(image, size, kernel=BICUBIC):
    """The two passes by two calls, because Pillow 13 turns them round for some pictures."""
    resampling = Image.Resampling.BICUBIC if kernel is BICUBIC else Image.Resampling.BILINEAR
    across = Image.fromarray(image).resize((size[0], image.shape[0]), resampling)
    return np.asarray(across.resize(size, resampling))


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.tuples(st.integers(1, 120), st.integers(1, 120)),
    st.integers(0, 2**32),
    st.sampled_from([BICUBIC, BILINEAR]),
)
def test_resize_is_pillows_bit_by_bit(height, width, size, seed, kernel):
    image = noise(height, width, seed)
    np.testing.assert_array_equal(resize(image, size, kernel), pillow(image, size, kernel))


@pytest.mark.parametrize("levels", [(0, 255), (255, 0)])
def test_overshoot_is_cut_off_as_pillow_does(levels):
    image = np.full((40, 40, 3), levels[0], np.uint8)
    image[10:30, 13:21] = levels[1]
    np.testing.assert_array_equal(resize(image, (91, 17)), pillow(image, (91, 17)))


@pytest.mark.parametrize("shape", [(1500, 700), (701, 1503), (40, 300), (300, 41), (5, 7), (1, 1), (224, 224)])
def test_only_the_middle_is_computed_and_it_is_the_same(shape):
    image = noise(*shape)
    width, height = resized_size(shape[::-1], 224)
    left, top = round((width - 224) / 2), round((height - 224) / 2)
    expected = pillow(image, (width, height))[top : top + 224, left : left + 224]
    np.testing.assert_array_equal(Preprocessing().square(image), expected)


def test_a_views_memory_layout_does_not_matter():
    image = noise(50, 60)
    view = image[::-1, 5:40, ::-1]
    np.testing.assert_array_equal(resize(view, (20, 20)), resize(np.ascontiguousarray(view), (20, 20)))


def test_a_padded_square_holds_the_whole_picture():
    square = Preprocessing(size=32, resize=32).square(np.full((10, 40, 3), 200, np.uint8), pad=(1, 2, 3))
    assert square.shape == (32, 32, 3)
    assert (square[12:20] == 200).all()  # 40 becomes 32, so 10 becomes 8, in the middle of 32 rows
    assert (square[:12] == (1, 2, 3)).all()
    assert (square[20:] == (1, 2, 3)).all()
    line = Preprocessing(size=32, resize=32).square(np.full((1, 4000, 3), 9, np.uint8), pad=(0, 0, 0))
    assert (line.any(axis=(1, 2))).sum() == 1, "a line survives"


def test_a_larger_resize_than_the_crop_cuts_a_margin_off():
    image = noise(100, 100)
    square = Preprocessing(size=32, resize=40).square(image)
    np.testing.assert_array_equal(square, pillow(image, (40, 40))[4:36, 4:36])


def test_normalised_is_in_deviations_from_the_mean():
    square = np.zeros((2, 2, 3), np.uint8)
    square[0, 0] = (255, 51, 102)
    tensor = Preprocessing().normalise(square)
    assert tensor.shape == (3, 2, 2)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[:, 0, 0], (np.array([1.0, 0.2, 0.4]) - MEAN) / STD, atol=1e-6)
    # 0.48145466, 0.4578275 and 0.40821073 of 255 are 122.8, 116.7 and 104.1
    assert Preprocessing().mean_colour == (123, 117, 104)
    assert np.abs(Preprocessing().normalise(np.full((1, 1, 3), (123, 117, 104), np.uint8))).max() < 0.01


def test_the_longer_side_is_rounded_down():
    """224 * 4 / 3 = 298.67, of which torchvision takes the whole part."""
    assert resized_size((3, 4), 224) == (224, 298)
    assert resized_size((4, 3), 224) == (298, 224)
    assert resized_size((5, 5), 224) == (224, 224)
