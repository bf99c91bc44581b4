"""Samples of any type as 0 to 255: what that costs."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from fastsam_onnx.images.scale import Scale


@pytest.mark.parametrize(("kind", "white"), [(np.float32, None), (np.float64, None), (np.float32, 0.5)])
def test_floats_are_scaled_without_a_second_picture_of_floats(kind, white):
    rng = np.random.default_rng(0)
    floats = rng.random((1500, 1000, 3)).astype(kind)
    tracemalloc.start()
    scaled = Scale(white, on_highest=lambda _: None).eight_bit(floats)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expected = (
        np.rint(floats.astype(np.float32) * 255)
        if white is None
        else np.rint(floats.astype(np.float64) * 510).clip(0, 255)
    )
    assert np.array_equal(scaled, expected)
    assert peak < floats.size + 6_000_000  # the result and a few rows; a copy of the floats has 18 or 36 MB


def test_the_highest_sample_of_16_bits_is_told_unless_white_is_known():
    for samples, white, told in (([0, 7], None, [7]), ([0, 0], None, [0]), ([0, 7], 9, []), ([], None, [])):
        found = []
        Scale(white, on_highest=found.append).eight_bit(np.array([samples], np.uint16))
        Scale(white, on_highest=found.append).eight_bit(np.array([samples], np.uint8))
        assert found == told
