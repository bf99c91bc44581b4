"""Threshold, suppression and border snap, against plain readings of their rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx.masks.detections import (
    NMS_BLOCK,
    box_iou,
    detect,
    nms,
    nms_with_rivals,
    snap_to_border,
    xyxy_from_xywh,
)
from fastsam_onnx.network.letterbox import Letterbox

SQUARE = Letterbox.fit((64, 64), (64, 64))
SMALL = st.integers(0, 12).map(float)


@st.composite
def boxes(draw: st.DrawFn, low: int = 0, high: int = 12) -> np.ndarray:
    """(n, 4) float32 x1 <= x2, y1 <= y2 on a coarse grid, so that equal, empty and touching boxes are common."""
    corners = draw(st.lists(st.lists(SMALL, min_size=4, max_size=4), min_size=low, max_size=high))
    array = np.array(corners, np.float32).reshape(-1, 2, 2)
    return np.concatenate([array.min(axis=1), array.max(axis=1)], axis=1)


def plain_iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    both = width * height
    either = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both
    return both / either if either else np.float32(np.nan)


def plain_nms(sorted_boxes: np.ndarray, iou: float, max_det: int) -> list[int]:
    kept: list[int] = []
    for index, box in enumerate(sorted_boxes):
        if not any(plain_iou(sorted_boxes[other], box) > np.float32(iou) for other in kept):
            kept.append(index)
    return kept[:max_det]


@settings(deadline=None)
@given(boxes(), st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.9, 1.0]), st.integers(1, 8))
def test_nms_is_the_plain_greedy_rule(found, iou, max_det):
    before = found.copy()
    assert nms(found, iou, max_det).tolist() == plain_nms(found, iou, max_det)
    np.testing.assert_array_equal(found, before)


@pytest.mark.parametrize("iou", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("max_det", [5, 1000])
def test_nms_of_several_blocks_is_the_plain_greedy_rule(iou, max_det):
    rng = np.random.default_rng(0)
    corners = rng.random((2 * NMS_BLOCK + 40, 2, 2)).astype(np.float32)
    found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    found[1::3] = found[::3][: len(found[1::3])] + np.float32(0.01)
    assert nms(found, iou, max_det).tolist() == plain_nms(found, iou, max_det)


@settings(deadline=None)
@given(boxes(), boxes())
def test_iou_of_every_pair(a, b):
    table = box_iou(a, b)
    assert table.shape == (len(a), len(b))
    assert table.dtype == np.float32
    expected = np.array([[plain_iou(one, other) for other in b] for one in a], np.float32).reshape(table.shape)
    np.testing.assert_array_equal(table, expected)


def candidates(rows: list[list[float]]) -> np.ndarray:
    """Rows as the network gives them: one candidate a column."""
    return np.array(rows, np.float32).T


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(5, 59), st.integers(5, 59), st.integers(0, 9)), max_size=30))
def test_detections_come_best_first_and_ties_in_the_networks_order(spots):
    rows = [[x, y, 2, 2, score / 10, place] for place, (x, y, score) in enumerate(spots)]
    found = detect(
        candidates(rows) if rows else np.zeros((6, 0), np.float32),
        SQUARE,
        class_count=1,
        conf=0.35,
        iou=1.0,
        max_det=20,
        border_snap=False,
    )
    expected = sorted((row for row in rows if row[4] >= 0.4), key=lambda row: -row[4])[:20]  # a stable sort
    assert found.coefficients[:, 0].tolist() == [row[5] for row in expected]
    np.testing.assert_array_equal(found.scores, np.array([row[4] for row in expected], np.float32))
    assert found.boxes_xyxy.shape == (len(expected), 4)


def test_the_best_class_counts_and_suppression_ignores_classes():
    rows = [[32, 32, 10, 10, 0.1, 0.9, 1], [32, 32, 10, 10, 0.8, 0.2, 2], [10, 10, 4, 4, 0.3, 0.5, 3]]
    found = detect(candidates(rows), SQUARE, class_count=2, conf=0.25, iou=0.5, max_det=300)
    assert found.coefficients.tolist() == [[1.0], [3.0]]
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.5], np.float32))


@pytest.mark.parametrize(("better", "found"), [(29_999, [1, 2]), (30_000, [1])])
def test_the_best_30000_go_into_suppression(better, found):
    """All but the last are one object, and so the one answer to them."""
    rows = [[20, 20, 10, 10, 0.9, 1]] * better + [[50, 50, 10, 10, 0.8, 2]]
    kept = detect(candidates(rows), SQUARE, class_count=1, conf=0.2, iou=0.5, max_det=9)
    assert kept.coefficients[:, 0].tolist() == found


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2, 4, 5])
def test_a_candidate_that_is_no_number_is_left_out(number, place):
    bad = [20.0, 20.0, 10.0, 10.0, 0.9, 1.0]
    bad[place] = number
    found = detect(candidates([bad, [40, 40, 10, 10, 0.8, 2]]), SQUARE, class_count=1, conf=0.2, iou=0.5, max_det=9)
    assert found.coefficients.tolist() == [[2.0]]


def test_detections_own_their_numbers():
    output = candidates([[32, 32, 10, 10, 0.9, 1], [10, 10, 4, 4, 0.8, 2]])
    before = output.copy()
    found = detect(output, SQUARE, class_count=1, conf=0.25, iou=0.5, max_det=300)
    np.testing.assert_array_equal(output, before)
    for array in (found.boxes_xyxy, found.scores, found.coefficients):
        assert array.dtype == np.float32
        assert not np.shares_memory(array, output), "the network's output would be kept alive"


def test_boxes_from_centres():
    np.testing.assert_array_equal(
        xyxy_from_xywh(np.array([[10, 20, 4, 6], [0.5, 0.5, 1, 0]], np.float32)), [[8, 17, 12, 23], [0, 0.5, 1, 0.5]]
    )


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_snapped_boxes_hold_the_unsnapped_and_stay_in_the_photo(width, height, data):
    side = st.floats(0, 1, width=32)
    corners = np.array(data.draw(st.lists(st.tuples(side, side, side, side), max_size=6)), np.float32).reshape(-1, 2, 2)
    size = np.array([width, height], np.float32)
    before = np.concatenate([corners.min(axis=1) * size, corners.max(axis=1) * size], axis=1)
    given_boxes = before.copy()
    snapped = snap_to_border(given_boxes, (width, height))
    np.testing.assert_array_equal(given_boxes, before, "the boxes given must not be changed")
    assert (snapped[:, :2] <= before[:, :2]).all()
    assert (snapped[:, 2:] >= before[:, 2:]).all()
    assert (snapped >= 0).all()
    assert (snapped <= [width, height, width, height]).all()
    # What is moved lies on the border, and nothing moves further than the threshold, unless the box is all the photo.
    near = 20 / 1024 * max(width, height)
    whole = (snapped == [0, 0, width, height]).all(axis=1)
    moved = snapped != before
    border = np.tile([0, 0, width, height], (len(before), 1))
    np.testing.assert_array_equal(snapped[moved], border[moved])
    assert (np.abs(snapped - before)[~whole] <= near).all()
    np.testing.assert_array_equal(snap_to_border(snapped, (width, height)), snapped, "snapping twice changes nothing")


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (512, 1024), (2048, 100), (12, 12)])
def test_the_snap_grows_with_the_photo(width, height):
    near = 20 * max(width, height) / 1024
    middle = height / 2
    found = snap_to_border(
        np.array([[near, middle, width / 2, middle], [near * 0.99, middle, width / 2, middle]], np.float32),
        (width, height),
    )
    assert found[:, 0].tolist() == [np.float32(near), 0.0], "strictly nearer than 20 of 1024"


@pytest.mark.parametrize("iou", [0.05, 0.5])
def test_nms_within_classes_is_nms_of_each_class_alone(iou):
    rng = np.random.default_rng(1)
    corners = rng.random((2 * NMS_BLOCK + 40, 2, 2)).astype(np.float32)
    found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    labels = rng.integers(0, 3, len(found))
    groups = [np.flatnonzero(labels == label) for label in range(3)]
    expected = sorted(index for group in groups for index in group[plain_nms(found[group], iou, 1000)].tolist())
    assert nms(found, iou, 1000, labels).tolist() == expected
    assert len(expected) > len(nms(found, iou, 1000))


def test_what_nms_would_drop_counts_half_and_what_is_nearly_the_same_goes():
    """IoUs with the first box: 10 / 10.5 = 0.95, 0.8, 0.7, 0; the third suppresses nothing, for it is suppressed."""
    found = np.array([[0, 0, 10, side] for side in (10, 10.5, 8, 7)] + [[20, 0, 30, 10]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    for conf, kept, weighed in ((0.3, [0, 2, 3, 4], [0.9, 0.35, 0.6, 0.5]), (0.35, [0, 3, 4], [0.9, 0.6, 0.5])):
        places, lowered = nms_with_rivals(found, scores, conf=conf, iou=0.75, max_det=9)
        assert places.tolist() == kept
        assert lowered.tolist() == pytest.approx(weighed)
    labels = np.array([0, 0, 1, 0, 0])
    _, lowered = nms_with_rivals(found, scores, conf=0.3, iou=0.75, max_det=9, labels=labels)
    assert lowered.tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5]), "of another class"


@settings(deadline=None)
@given(boxes(), st.sampled_from([0.25, 0.5, 0.7, 0.9, 0.95]), st.integers(1, 8))
def test_what_nms_keeps_stays_with_its_full_score(found, iou, max_det):
    scores = np.linspace(0.9, 0.8, len(found), dtype=np.float32)
    kept, weighed = nms_with_rivals(found, scores, conf=0.0, iou=iou, max_det=99)
    full = weighed == scores[kept]
    assert kept[full].tolist() == nms(found, iou, 99).tolist()
    np.testing.assert_array_equal(weighed[~full], scores[kept[~full]] / 2)
    fewer, _ = nms_with_rivals(found, scores, conf=0.0, iou=iou, max_det=max_det)
    assert fewer.tolist() == kept[:max_det].tolist()
