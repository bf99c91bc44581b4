"""What lies in what."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.errors import OptionError

EXAMPLES = Path(__file__).parents[2] / "examples"


def rectangle(x1, y1, x2, y2, size=(40, 30)):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def test_a_nose_lies_in_the_head_and_the_head_in_the_person():
    person, head, nose = rectangle(5, 0, 25, 30), rectangle(10, 0, 20, 10), rectangle(14, 4, 16, 6)
    ball, wall = rectangle(30, 20, 36, 26), rectangle(0, 0, 30, 30)
    found = Segmentation.from_masks([nose, person, ball, wall, head])
    assert found.parents().tolist() == [4, 3, -1, -1, 1]
    assert found.without_parts().areas.tolist() == [36, 900]
    assert found.parents().dtype == np.int64


def test_a_share_of_the_pixels_is_enough():
    sleeve, shirt = rectangle(0, 0, 10, 10), rectangle(2, 0, 30, 10)  # 80 of the sleeve's 100 pixels
    found = Segmentation.from_masks([sleeve, shirt])
    assert found.parents().tolist() == [-1, -1]
    assert found.parents(0.8).tolist() == [1, -1]
    assert found.parents(share=0.81).tolist() == [-1, -1]
    larger = np.zeros((30, 40), bool)
    larger[:5, :10] = larger[5, :5] = larger[10:] = True
    half_in = Segmentation.from_masks([sleeve, Mask.from_dense(larger)])
    assert half_in.parents(0.55).tolist() == [1, -1], "55 of 100, though 0.55 * 100 is a little more in floats"
    assert half_in.parents(0.56).tolist() == [-1, -1]
    assert (len(found.without_parts(0.8)), len(found.without_parts())) == (1, 2)
    for share in (0.49, 1.01, 0, "0.9", None, np.nan):
        with pytest.raises(OptionError, match=r"share must be a number from 0\.5 to 1"):
            found.parents(share)
        with pytest.raises(OptionError, match=r"share must be a number from 0\.5 to 1"):
            found.without_parts(share)


def test_of_the_same_mask_more_than_once_the_last_holds_the_others():
    mask, empty = rectangle(3, 3, 9, 9), Mask.empty((40, 30))
    found = Segmentation.from_masks([mask, empty, mask, mask, empty])
    assert found.parents().tolist() == [2, -1, 3, -1, -1]
    assert found[:0].parents().tolist() == []
    assert len(found[:0].without_parts()) == 0


def test_of_very_many_objects_no_table_of_all_pairs_is_made():
    """Photos in tiles have tens of thousands: 20,000 needed 15 GB."""
    count = 4000
    found = Segmentation.from_masks(
        [rectangle(k % 40, k // 40, k % 40 + 1, k // 40 + 1, (40, 100)) for k in range(count)]
    )
    found.masks.areas, found.masks.boxes  # noqa: B018
    tracemalloc.start()
    assert (found.parents() == -1).all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * count * count / 50


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 8), share=st.sampled_from([0.5, 0.75, 1.0]))
def test_it_is_the_smallest_of_what_holds_the_share(seed, count, share):
    rng = np.random.default_rng(seed)
    dense = []
    for _ in range(count):
        x, y, width, height = rng.integers(0, 6), rng.integers(0, 5), rng.integers(0, 9), rng.integers(0, 8)
        one = np.zeros((7, 9), bool)
        one[y : y + height, x : x + width] = rng.random((height, width))[: 7 - y, : 9 - x] < 0.8
        dense.append(one)
    found = Segmentation.from_masks([Mask.from_dense(one) for one in dense], image_size=(9, 7))
    parents = found.parents(share)
    rank = [(one.sum(), index) for index, one in enumerate(dense)]
    for index, one in enumerate(dense):
        holding = [k for k in range(count) if rank[k] > rank[index] and (one & dense[k]).sum() >= share * one.sum() > 0]
        assert parents[index] == min(holding, key=lambda k: rank[k], default=-1)


def test_most_of_what_is_found_in_a_photo_lies_in_something():
    found = FastSAM()(EXAMPLES / "astronaut.jpg")
    parents = found.parents()
    assert 0.4 < np.mean(parents >= 0) < 0.9
    for index in np.flatnonzero(parents >= 0):
        inside, whole = found.masks[index], found.masks[parents[index]]
        assert inside.area < whole.area
        assert inside.intersection_area(whole) >= 0.9 * inside.area
