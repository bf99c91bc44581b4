"""Outlines enclose exactly the pixels, as simple rings."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.outline import count_corners, count_parts, trace_outlines

DENSE = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), fill=st.nothing())


def signed_area(ring):
    x, y = ring.astype(np.float64).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def pixels_inside(ring, shape):
    """(h, w) bool: the pixels whose centre is inside, by counting the vertical edges to their left (even-odd)."""
    inside = np.zeros(shape, bool)
    for (x1, y1), (x2, y2) in zip(ring.astype(int), np.roll(ring.astype(int), -1, axis=0), strict=True):
        if x1 == x2:
            inside[min(y1, y2) : max(y1, y2), x1:] ^= True
    return inside


def filled(islands, shape):
    picture = np.zeros(shape, bool)
    for exterior, holes in islands:
        island = pixels_inside(exterior, shape)
        for hole in holes:
            inside = pixels_inside(hole, shape)
            assert not (inside & ~island).any(), "a hole lies in its island"
            island &= ~inside
        assert not (picture & island).any(), "islands do not overlap"
        picture |= island
    return picture


def assert_simple(ring):
    assert ring.dtype == np.float32
    assert len(ring) >= 4
    assert len({tuple(point) for point in ring.tolist()}) == len(ring), "no corner twice"
    steps = np.roll(ring, -1, axis=0) - ring
    assert ((steps != 0).sum(axis=1) == 1).all(), "every edge is horizontal or vertical"
    turns = steps[:, 0] * np.roll(steps, -1, axis=0)[:, 1] - steps[:, 1] * np.roll(steps, -1, axis=0)[:, 0]
    assert (turns != 0).all(), "no corner on a straight line"
    # No corner lies on another edge: with that and corners met once, the ring does not touch itself.
    ends = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring, ends), np.maximum(ring, ends)
    for x, y in ring.tolist():
        on_edge = (low[:, 0] <= x) & (x <= high[:, 0]) & (low[:, 1] <= y) & (y <= high[:, 1])
        assert on_edge.sum() == 2


@settings(deadline=None, max_examples=150)
@given(DENSE)
def test_rings_fill_exactly_the_pixels_and_are_simple(dense):
    islands = trace_outlines(dense)
    np.testing.assert_array_equal(filled(islands, dense.shape), dense)
    count, _ = cv2.connectedComponents(dense.view(np.uint8), connectivity=4)
    assert len(islands) == count - 1, "diagonal neighbours are islands of their own"
    for exterior, holes in islands:
        assert signed_area(exterior) > 0, "clockwise on the screen"
        assert_simple(exterior)
        area = signed_area(exterior)
        for hole in holes:
            assert signed_area(hole) < 0
            assert_simple(hole)
            area += signed_area(hole)
        assert area == filled([(exterior, holes)], dense.shape).sum()
    # The order is that of the islands' first pixels, row by row.
    first = [np.flatnonzero(filled([island], dense.shape))[0] for island in islands]
    assert first == sorted(first)


@settings(deadline=None)
@given(DENSE)
def test_polygons_lie_where_the_crop_lies(dense):
    framed = np.pad(dense, ((3, 1), (2, 4)))
    polygons = Mask.from_dense(framed).polygons()
    np.testing.assert_array_equal(filled([(p.exterior, p.holes) for p in polygons], framed.shape), framed)


def test_one_pixel():
    [(exterior, holes)] = trace_outlines(np.ones((1, 1), bool))
    assert {tuple(point) for point in exterior.tolist()} == {(0, 0), (1, 0), (1, 1), (0, 1)}
    assert holes == ()


def test_a_rectangle_has_four_corners():
    [(exterior, _)] = trace_outlines(np.ones((300, 500), bool))
    assert len(exterior) == 4
    assert signed_area(exterior) == 150_000


def test_an_island_in_a_hole_is_an_island_of_its_own():
    dense = np.zeros((9, 9), bool)
    dense[1:8, 1:8] = True
    dense[2:7, 2:7] = False
    dense[4, 4] = True
    islands = trace_outlines(dense)
    assert [len(holes) for _, holes in islands] == [1, 0]
    assert [signed_area(exterior) for exterior, _ in islands] == [49, 1]
    assert [signed_area(hole) for _, holes in islands for hole in holes] == [-25]


def test_two_pixels_that_touch_at_a_corner():
    islands = trace_outlines(np.eye(2, dtype=bool))
    assert [exterior.min(axis=0).tolist() for exterior, _ in islands] == [[0, 0], [1, 1]]


def test_a_hole_that_touches_the_outside_at_a_corner_is_a_hole():
    dense = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    [(exterior, [hole])] = trace_outlines(dense)
    assert signed_area(exterior) == 8, "3 x 3 less the corner"
    assert signed_area(hole) == -1


def test_nothing():
    assert trace_outlines(np.zeros((4, 4), bool)) == []
    assert trace_outlines(np.zeros((0, 0), bool)) == []


@settings(deadline=None, max_examples=150)
@given(DENSE)
def test_corners_and_parts_are_counted_without_tracing(crop):
    rings = [ring for exterior, holes in trace_outlines(crop) for ring in (exterior, *holes)]
    assert count_corners(crop) == sum(map(len, rings))
    assert len(rings) <= count_parts(crop)


def test_parts_are_islands_and_holes():
    crop = np.zeros((7, 12), bool)
    crop[1:6, 1:6] = True
    crop[2, 2] = crop[4, 2:4] = False
    crop[3, 8] = crop[4, 9] = True
    assert (count_parts(crop), len(trace_outlines(crop))) == (5, 3)
    assert count_parts(np.zeros((3, 4), bool)) == 0
