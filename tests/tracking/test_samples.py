"""Masks on a lattice: nearly the IoU of their pixels, whatever holds them."""

import numpy as np
import pytest

from fastsam_onnx import Mask
from fastsam_onnx.tracking.samples import Samples, sampling_step


def disc(x, y, radius, size=(640, 480)):
    columns, rows = np.arange(size[0]), np.arange(size[1])[:, None]
    return Mask.from_dense((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def test_the_step_is_that_of_256_samples_along_the_long_side():
    assert [sampling_step(size) for size in ((64, 48), (640, 480), (1280, 720), (720, 1280))] == [1, 2, 5, 5]


@pytest.mark.parametrize("shift", [(0, 0), (12, 4), (40, -30), (200, 0)])
def test_iou_of_samples_is_nearly_that_of_pixels(shift):
    first, second = disc(300, 200, 40), disc(300 + shift[0], 200 + shift[1], 40)
    samples = [Samples.from_mask(mask, 4) for mask in (first, second)]
    assert samples[0].iou(samples[1], (0, 0)) == pytest.approx(first.iou(second), abs=0.02)
    assert samples[1].iou(samples[0], shift) == pytest.approx(1, abs=0.1)  # half a step is lost at most


def test_masks_that_are_not_rendered_have_the_samples_of_their_pixels(pending_found):
    found = pending_found(seed=3, count=12)
    for step in (1, 2, 3):
        for lazy, mask in zip(found.masks.lazy, found.masks, strict=True):
            drawn = [Samples.from_mask(one, step) for one in (lazy, mask)]
            full = np.zeros((2, 40, 60), bool)
            for canvas, one in zip(full, drawn, strict=True):
                height, width = one.pixels.shape
                canvas[one.top : one.top + height, one.left : one.left + width] = one.pixels
            assert np.array_equal(*full)
            assert (
                drawn[0].count == drawn[1].count == np.count_nonzero(mask.dense()[step // 2 :: step, step // 2 :: step])
            )


def test_what_lies_between_the_samples_has_none():
    thin = np.zeros((40, 40), bool)
    thin[:, 1] = True
    samples = Samples.from_mask(Mask.from_dense(thin), 8)
    assert samples.count == 0
    assert samples.iou(samples, (0, 0)) == 0
    assert Samples.from_mask(Mask.empty((40, 40)), 8).count == 0
