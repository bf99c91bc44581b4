"""Outlines with fewer points: near the exact ones, valid, and in the same order."""

from __future__ import annotations

import tracemalloc
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.outline import trace_outlines
from fastsam_onnx.masks.simplify import _crossings, _near, _nesting, simplify_outlines

DENSE = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), fill=st.nothing())
TOLERANCES = [0.5, 1.0, 2.0, 5.0]


def signed_area(ring):
    x, y = ring.astype(np.float64).T
    return (x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def distance(point, ring):
    """From a point to the nearest edge of a closed ring."""
    start, end = ring, np.roll(ring, -1, axis=0)
    along = end - start
    share = np.clip(((point - start) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return np.hypot(*(start + share[:, None] * along - point).T).min()


def blob(seed):
    """A mask of smooth noise, with islands and holes of many sizes."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(10, 90, 2)
    noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), float(rng.uniform(0.6, 4)))
    return noise > np.quantile(noise, rng.uniform(0.2, 0.8))


def assert_valid(islands):
    """By shapely: rings do not cross, holes lie in their islands, islands touch in points at most."""
    shapely = pytest.importorskip("shapely", reason="shapely is not installed")
    shapes = shapely.MultiPolygon([shapely.Polygon(exterior, holes) for exterior, holes in islands])
    assert shapes.is_valid, shapely.is_valid_reason(shapes)


@settings(deadline=None)
@given(DENSE, st.sampled_from(TOLERANCES))
def test_a_simplified_ring_stays_near_and_keeps_its_turning(dense, tolerance):
    exact = trace_outlines(dense)
    for (exterior, holes), (plain, plain_holes) in zip(simplify_outlines(exact, tolerance), exact, strict=True):
        for fewer, ring in zip((exterior, *holes), (plain, *plain_holes), strict=True):
            assert 3 <= len(fewer) <= len(ring)
            assert signed_area(fewer) / signed_area(ring) > 0.5
            assert {tuple(p) for p in fewer.tolist()} <= {tuple(p) for p in ring.tolist()}, "corners are only left out"
            assert max(distance(point, fewer) for point in ring) <= tolerance + 1e-4


@settings(deadline=None, max_examples=200)
@given(DENSE, st.sampled_from(TOLERANCES))
def test_small_masks_of_any_kind_stay_valid(dense, tolerance):
    assert_valid(simplify_outlines(trace_outlines(dense), tolerance))


@pytest.mark.parametrize("tolerance", [0, *TOLERANCES])
def test_blobs_stay_valid_and_near(tolerance):
    shapely = pytest.importorskip("shapely", reason="shapely is not installed")
    for seed in range(40):
        exact = trace_outlines(blob(seed))
        simplified = simplify_outlines(exact, tolerance)
        assert_valid(simplified)
        for island, plain in zip(simplified, exact, strict=True):
            for fewer, ring in zip((island[0], *island[1]), (plain[0], *plain[1]), strict=True):
                thin, full = shapely.LinearRing(fewer), shapely.LinearRing(ring)
                along_thin = shapely.points(shapely.get_coordinates(shapely.segmentize(thin, 0.5)))
                assert shapely.distance(along_thin, full).max() <= tolerance + 1e-9
                assert shapely.distance(shapely.points(ring), thin).max() <= tolerance + 1e-9


def test_a_hole_does_not_leave_its_island():
    """A bump of 4 x 3 pixels with a hole of 2 x 1: a chord would cut the bump off and leave the hole outside."""
    dense = np.zeros((20, 40), bool)
    dense[8:18, 2:38] = True
    dense[5:8, 18:22] = True
    dense[6, 19:21] = False
    [(exterior, [hole])] = simplify_outlines(trace_outlines(dense), 5.0)
    assert exterior[:, 1].min() < hole[:, 1].min()
    assert exterior[:, 1].max() > hole[:, 1].max()
    assert_valid([(exterior, [hole])])


def test_islands_that_meet_in_a_corner_still_do_not_overlap():
    dense = np.zeros((24, 24), bool)
    y, x = np.mgrid[:12, :12]
    dense[:12, :12] = x + y >= 11
    dense[12:, 12:] = x + y <= 11
    assert len(trace_outlines(dense)) == 2
    for tolerance in TOLERANCES:
        islands = simplify_outlines(trace_outlines(dense), tolerance)
        assert_valid(islands)


def test_a_ring_in_a_ring_keeps_its_place():
    """A frame one pixel wide around a frame one pixel wide: every ring lies within the tolerance of the next."""
    dense = np.zeros((30, 30), bool)
    for inset in (0, 2, 4, 6):
        dense[inset : 30 - inset, inset : 30 - inset] = inset % 4 == 0
        dense[inset + 1 : 29 - inset, inset + 1 : 29 - inset] = False
    assert_valid(simplify_outlines(trace_outlines(dense), 5.0))


def test_simplifying_a_disc_saves_points_and_little_area():
    y, x = np.mgrid[:101, :101]
    disc = (x - 50) ** 2 + (y - 50) ** 2 <= 45**2
    [(plain, _)] = trace_outlines(disc)
    [(fewer, _)] = simplify_outlines([(plain, ())], 1.0)
    assert len(fewer) < len(plain) / 4
    assert signed_area(fewer) == pytest.approx(disc.sum(), rel=0.03)


def test_a_ring_that_would_vanish_stays():
    [(ring, holes)] = trace_outlines(np.ones((1, 1), bool))
    assert simplify_outlines([(ring, holes)], 10.0)[0][0] is ring
    assert simplify_outlines([], 10.0) == []


def test_polygons_of_a_mask_are_simplified_so():
    mask = Mask.from_dense(blob(3))
    polygons = mask.polygons(2.0)
    assert_valid([(polygon.exterior, polygon.holes) for polygon in polygons])
    assert sum(len(one.exterior) for one in polygons) < sum(len(one.exterior) for one in mask.polygons())


@given(st.lists(st.tuples(*[st.integers(0, 90)] * 4), min_size=1, max_size=12))
def test_rectangles_that_touch_are_each_paired_once(corners):
    """Also those that begin in different bands of rows, or go over several."""
    given_corners = np.array(corners).reshape(-1, 2, 2)
    low, high = given_corners.min(axis=1), given_corners.max(axis=1)
    pairs = sorted(tuple(sorted(pair)) for pair in zip(*(side.tolist() for side in _near(low, high)), strict=True))
    assert pairs == [
        (one, other)
        for one, other in combinations(range(len(low)), 2)
        if (low[one] <= high[other]).all() and (low[other] <= high[one]).all()
    ]


def test_a_mask_of_many_specks_takes_little_memory():
    """Leaves, waves: 1,213 islands of 133,000 corners. All edges whose columns overlap would be 9 million pairs."""
    noise = np.random.default_rng(0).standard_normal((1000, 1000)).astype(np.float32)
    mask = Mask.from_dense(cv2.GaussianBlur(noise, (0, 0), 2) > 0)
    exact = trace_outlines(mask.crop)
    tracemalloc.start()
    try:
        simplify_outlines(exact, 1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6


@pytest.mark.parametrize("far", [0, 2**24 - 400])
def test_rings_are_known_by_the_rings_around_them(far):
    """Frames in frames and 2,500 dots beside them, also where float32 has whole numbers only."""
    frames, dots = np.zeros((40, 40), bool), np.zeros((200, 200), bool)
    for inset in range(0, 16, 2):
        frames[inset : 40 - inset, inset : 40 - inset] = inset % 4 == 0
    dots[1::4, 1::4] = True
    rings = [ring for exterior, holes in trace_outlines(frames) for ring in (exterior, *holes)]
    rings.sort(key=np.ptp, reverse=True)
    beside = [exterior + np.float32([40, 0]) for exterior, _ in trace_outlines(dots)]
    assert (len(rings), len(beside)) == (8, 2500)
    assert _nesting([ring + np.float32(far) for ring in (*rings, *beside)]) == set(combinations(range(8), 2))


SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize(
    ("rings", "crossing"),
    [
        ([SQUARE, [(4, 0), (2, 2), (4, 4), (6, 2)]], {0, 1}),  # in at one corner, out at another
        ([SQUARE, [(4, 0), (2, 2), (4, 4), (8, 2), (8, -6), (2, -4)]], {0, 1}),
        ([SQUARE, [(4, 0), (6, 2), (4, 4), (8, 2)]], set()),  # from outside
        ([SQUARE, [(4, 0), (8, 2), (8, -6), (2, -4)]], set()),
        ([SQUARE, [(4, 0), (1, 2), (4, 4), (2, 2)]], set()),  # from inside
        ([SQUARE, [(4, 4), (8, 4), (8, 8), (4, 8)]], set()),
        ([[(2, 2), (4, 0), (4, 4), (2, 2), (0, 4), (0, 0)]], set()),  # a ring that touches itself
        ([[(2, 2), (4, 0), (4, 4), (2, 2), (0, 0), (0, 4)]], {0}),
    ],
)
def test_rings_that_share_a_corner_cross_where_one_changes_sides(rings, crossing, turns):
    turned = [np.array(ring) @ np.linalg.matrix_power([[0, 1], [-1, 0]], turns) + 8 for ring in rings]
    for order in (1, -1):
        assert set(_crossings([ring[::order] for ring in turned])) == crossing
