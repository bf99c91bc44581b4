"""Masks that share no pixel: what each keeps, what goes, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx import FastSAM, Mask, Segmentation

EXAMPLES = Path(__file__).parents[2] / "examples"


def rectangle(x1, y1, x2, y2, size=(40, 30)):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 7))
def test_each_pixel_is_of_the_smallest_that_has_it_and_of_equals_of_the_first(seed, count):
    rng = np.random.default_rng(seed)
    masks = [Mask.from_dense(rng.random((7, 9)) < rng.random()) for _ in range(count)]
    scores = np.linspace(0.9, 0.1, count, dtype=np.float32)
    kept = [mask.dense() for mask in masks]
    for index in sorted(range(count), key=lambda k: (-masks[k].area, -k)):  # a smaller one takes from all larger ones
        for other in range(count):
            if other != index and (masks[other].area, other) > (masks[index].area, index):
                kept[other] &= ~masks[index].dense()
    expected = [index for index in range(count) if kept[index].any()]

    apart = Segmentation.from_masks(masks, scores, image_size=(9, 7)).disjoint(min_area=0)
    assert apart.scores.tolist() == scores[expected].tolist()
    for mask, index in zip(apart.masks, expected, strict=True):
        np.testing.assert_array_equal(mask.dense(), kept[index])
    np.testing.assert_array_equal(apart.boxes, apart.mask_boxes)


def test_islands_that_others_cut_off_go_and_small_objects_stay():
    bar = rectangle(0, 5, 40, 15)  # 400 pixels; what the post leaves left of it has 20
    post = rectangle(2, 0, 10, 30)  # 240
    dot = rectangle(30, 20, 33, 23)  # 9
    found = Segmentation.from_masks([bar, post, dot], [0.9, 0.8, 0.7])
    apart = found.disjoint()
    assert apart.areas.tolist() == [300, 240, 9]
    assert apart.boxes[0].tolist() == [10, 5, 40, 15]
    assert found.disjoint(min_area=20).areas.tolist() == [320, 240, 9]
    assert found.disjoint(min_area=21).areas.tolist() == [300, 240, 9]


def test_an_object_that_consists_of_its_parts_goes():
    found = Segmentation.from_masks([rectangle(0, 0, 20, 10), rectangle(0, 0, 10, 10), rectangle(10, 0, 20, 10)])
    assert found.disjoint().masks.dense().any(axis=(1, 2)).tolist() == [True, True]


def test_what_overlaps_nothing_is_the_same_mask():
    ring = np.ones((9, 9), bool)
    ring[1:8, 1:8] = False
    found = Segmentation.from_masks([Mask(ring, 3, 3, (40, 30)), rectangle(5, 5, 9, 9), rectangle(20, 0, 30, 9)])
    apart = found.disjoint()
    assert list(apart.masks) == list(found.masks)


def test_prompts_look_at_what_is_left():
    """Not at what the network offered, which overlaps."""
    apart = FastSAM()(EXAMPLES / "coffee.jpg").disjoint()
    assert apart.candidates is None
    (drink,) = apart.point_prompt([(300, 150)])
    assert drink.mask in list(apart.masks)
