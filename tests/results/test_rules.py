"""Which rows points and boxes mean, and what is no prompt at all."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_onnx.errors import FastSAMError, OptionError, PromptError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.rules import (
    best_texts,
    check_box_points,
    check_boxes,
    check_points,
    closest_by_box,
    closest_by_mask,
    closest_to_box,
    closest_with_points,
    hits,
    most_similar,
)
from fastsam_onnx.results.segmentation import Segmentation

SHAPE = (7, 9)
WIDTH, HEIGHT = SHAPE[1], SHAPE[0]
DENSE = hnp.arrays(bool, SHAPE, fill=st.nothing())


def block(x, y):
    """(7, 9) bool: 4 x 3 pixels at (x, y)."""
    dense = np.zeros(SHAPE, bool)
    dense[y : y + 3, x : x + 4] = True
    return dense


PHOTO_MASKS = st.lists(DENSE, min_size=1, max_size=5)
BLOCKS = st.tuples(st.integers(0, WIDTH - 4), st.integers(0, HEIGHT - 3)).map(lambda corner: block(*corner))
COORDINATE = st.floats(-2, 11).map(lambda value: round(value * 4) / 4)  # quarters, so that halves and ties are common


@st.composite
def prompt_boxes(draw: st.DrawFn) -> np.ndarray:
    corners = np.array([[draw(COORDINATE), draw(COORDINATE)], [draw(COORDINATE), draw(COORDINATE)]])
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def segmentation(denses, scores=None):
    masks = [Mask.from_dense(dense) for dense in denses]
    return Segmentation.from_masks(masks, scores, image_size=(WIDTH, HEIGHT))


# ---------------------------------------------------------------- what is a prompt


@pytest.mark.parametrize(
    ("points", "labels", "groups"),
    [
        ([3, 4], None, [[[3, 4]]]),
        ((3, 4), 1, [[[3, 4]]]),
        ((3, 4), [1], [[[3, 4]]]),
        ([[3, 4]], [1], [[[3, 4]]]),
        ([(3, 4), (5, 6.5)], (1, 0), [[[3, 4], [5, 6.5]]]),
        (np.array([[3, 4], [5, 6]], np.uint8), np.array([True, False]), [[[3, 4], [5, 6]]]),
        ([[[3, 4]], [[5, 6]]], [[1], [0]], [[[3, 4]], [[5, 6]]]),
        ([[[3, 4]], [[5, 6]]], None, [[[3, 4]], [[5, 6]]]),
    ],
)
def test_points_in_every_form(points, labels, groups):
    found, foreground = check_points(points, labels)
    assert found.tolist() == groups
    assert found.dtype == np.float64
    assert foreground.shape == found.shape[:2]
    assert foreground.dtype == bool
    if labels is None:
        assert foreground.all()


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([], None, r"\(k, 2\).*got \(0,\)"),
        (np.zeros((0, 2)), None, r"got \(0, 2\)"),
        (np.zeros((2, 0, 2)), None, r"got \(2, 0, 2\)"),
        (5, None, r"got \(\)"),
        ([1, 2, 3], None, r"got \(3,\)"),
        ([[1, 2, 3]], None, r"got \(1, 3\)"),
        (np.zeros((1, 1, 1, 2)), None, r"got \(1, 1, 1, 2\)"),
        ([[1, 2], [3]], None, "regular"),
        ("here", None, "numbers"),
        (None, None, "finite"),
        ([[1, float("nan")]], None, "finite"),
        ([[1, float("inf")]], None, "finite"),
        ([[10**400, 1]], None, "numbers"),
        ([[1, 2]], [1, 0], r"\(1, 2\) need labels \(1,\), got \(2,\)"),
        ([[1, 2], [3, 4]], [1], r"need labels \(2,\), got \(1,\)"),
        (np.ones((2, 3, 2)), np.ones((3, 2)), r"need labels \(2, 3\), got \(3, 2\)"),
        (np.ones((2, 3, 2)), np.ones(6), r"need labels \(2, 3\), got \(6,\)"),
        (np.ones((3, 2)), np.ones((3, 1)), r"need labels \(3,\), got \(3, 1\)"),
        ([["1", "2"]], None, "numbers"),
        ([[1, 2]], [2], r"1 \(foreground\) or 0 \(background\), got \[2.0\]"),
        ([[1, 2]], [-1], "foreground"),
        ([[1, 2]], [float("nan")], "finite"),
        ([[1, 2]], ["yes"], "labels must be numbers"),
    ],
)
def test_points_that_mean_nothing_are_an_error(points, labels, message):
    with pytest.raises(PromptError, match=message):
        check_points(points, labels)


def test_boxes_in_every_form():
    for boxes in ([1, 2, 3, 4], (1, 2, 3, 4), [[1, 2, 3, 4]], np.array([1, 2, 3, 4], np.uint8)):
        assert check_boxes(boxes).tolist() == [[1, 2, 3, 4]]
    assert check_boxes([[1, 2, 1, 2], [-5, -5, 99, 99]]).shape == (2, 4)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((0, 3)), r"\(k, 4\).*got \(0, 3\)"),
        (np.zeros((1, 0)), r"got \(1, 0\)"),
        ([1, 2, 3], r"got \(3,\)"),
        ([[[1, 2, 3, 4]]], r"got \(1, 1, 4\)"),
        ([[1, 2, 3, 4], [1, 2]], "regular"),
        ([1, 2, float("nan"), 4], "finite"),
        ([1, 2, 3, float("inf")], "finite"),
        ([[0, 0, 1, 1], [5, 2, 3, 4]], r"corners, not width and height.*box 1 is \[5.0, 2.0, 3.0, 4.0\]"),
        ([1, 5, 3, 4], "box 0"),
    ],
)
def test_boxes_that_mean_nothing_are_an_error(boxes, message):
    with pytest.raises(PromptError, match=message):
        check_boxes(boxes)


def test_prompt_errors_are_fastsam_errors_and_value_errors():
    assert issubclass(PromptError, FastSAMError)
    assert issubclass(PromptError, ValueError)


@pytest.mark.parametrize("pick", ["first", "", "MERGE", "box"])
def test_an_unknown_choice_names_the_known(pick):
    found = segmentation([np.ones(SHAPE, bool)])
    with pytest.raises(OptionError, match="'merge', 'all', 'smallest', 'largest', 'best'"):
        found.point_prompt((1, 1), pick=pick)
    with pytest.raises(OptionError, match="'mask', 'box'"):
        found.box_prompt((1, 1, 2, 2), match=pick + "es")


# ---------------------------------------------------------------- points


@settings(deadline=None)
@given(PHOTO_MASKS, st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=4))
def test_a_point_hits_the_pixel_that_holds_it_and_nothing_outside_the_photo(denses, points):
    found = segmentation(denses)
    held = hits(found.masks.lazy, found.masks.bounds, np.array(points))
    for row, dense in enumerate(denses):
        for place, (x, y) in enumerate(points):
            inside = 0 <= x < WIDTH and 0 <= y < HEIGHT
            assert held[row, place] == (inside and dense[int(y), int(x)])


@settings(deadline=None)
@given(PHOTO_MASKS, st.data())
def test_picks_are_a_plain_reading(denses, data):
    scores = data.draw(st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=len(denses), max_size=len(denses)))
    points = data.draw(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=4))
    labels = data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(points), max_size=len(points)))
    found = segmentation(denses, scores)

    def count(dense, wanted):
        inside = [(x, y) for (x, y), label in zip(points, labels, strict=True) if label == wanted]
        return sum(0 <= x < WIDTH and 0 <= y < HEIGHT and bool(dense[int(y), int(x)]) for x, y in inside)

    candidates = [row for row, dense in enumerate(denses) if count(dense, 1) and not count(dense, 0)]
    most = max((count(denses[row], 1) for row in candidates), default=0)
    finalists = [row for row in candidates if count(denses[row], 1) == most]
    area = {row: int(dense.sum()) for row, dense in enumerate(denses)}
    expected = {
        "all": sorted(candidates, key=lambda row: area[row]),
        "smallest": sorted(finalists, key=lambda row: area[row])[:1],
        "largest": sorted(finalists, key=lambda row: -area[row])[:1],
        "best": sorted(finalists, key=lambda row: -scores[row])[:1],
    }
    for pick, rows in expected.items():
        answer = found.point_prompt(points, labels, pick=pick)
        assert len(answer) == len(rows), pick
        for mask, score, row in zip(answer.masks, answer.scores, rows, strict=True):
            np.testing.assert_array_equal(mask.dense(), denses[row], pick)
            assert score == np.float32(scores[row])
        assert answer.prompt_index.tolist() == [0] * len(rows)


def plain_merge(denses, points, labels):
    """Decision 7: from large to small, masks with a background point taken away, others with a foreground point added.

    Among equal areas those to be taken away come last.
    """

    def holds(dense, wanted):
        return any(
            label == wanted and 0 <= x < WIDTH and 0 <= y < HEIGHT and dense[int(y), int(x)]
            for (x, y), label in zip(points, labels, strict=True)
        )

    canvas = np.zeros(SHAPE, bool)
    for dense in sorted(denses, key=lambda dense: (-dense.sum(), holds(dense, 0))):
        if holds(dense, 0):
            canvas &= ~dense
        elif holds(dense, 1):
            canvas |= dense
    return canvas


@settings(deadline=None)
@given(PHOTO_MASKS | st.lists(BLOCKS, min_size=2, max_size=5), st.data())
def test_merge_is_a_plain_reading_whatever_the_order(denses, data):
    inside = st.tuples(st.integers(0, WIDTH - 1), st.integers(0, HEIGHT - 1))
    points = data.draw(st.lists(inside | st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=4))
    labels = data.draw(st.lists(st.sampled_from([0, 1]), min_size=len(points), max_size=len(points)))
    expected = plain_merge(denses, points, labels)
    scores = np.linspace(0.9, 0.1, len(denses))
    row_order = data.draw(st.permutations(range(len(denses))))
    point_order = data.draw(st.permutations(range(len(points))))
    answers = [
        segmentation(denses, scores).point_prompt(points, labels, pick="merge"),
        segmentation([denses[i] for i in row_order], scores[list(row_order)]).point_prompt(
            [points[i] for i in point_order], [labels[i] for i in point_order], pick="merge"
        ),
    ]
    for answer in answers:
        assert len(answer) == expected.any()
        assert answer.scores.tolist() == answers[0].scores.tolist()
        if len(answer):
            np.testing.assert_array_equal(answer.masks[0].dense(), expected)
            assert answer.boxes[0].tolist() == answer.masks[0].box.tolist()


def test_of_equal_areas_what_is_taken_away_comes_last():
    wanted, unwanted = block(0, 0), block(2, 1)
    for denses in ([wanted, unwanted], [unwanted, wanted]):
        answer = segmentation(denses).point_prompt([(0, 0), (5, 3)], [1, 0], pick="merge")
        np.testing.assert_array_equal(answer.masks[0].dense(), wanted & ~unwanted)


# ---------------------------------------------------------------- boxes


def plain_mask_iou(dense, box):
    """The official code's: pixels in the rounded, clipped box / (area of box + area of mask - these)."""
    x1, x2 = np.clip(np.rint(box[[0, 2]]), 0, WIDTH).astype(int)
    y1, y2 = np.clip(np.rint(box[[1, 3]]), 0, HEIGHT).astype(int)
    inside = int(dense[y1:y2, x1:x2].sum())
    return inside / ((x2 - x1) * (y2 - y1) + int(dense.sum()) - inside) if inside else 0.0


@settings(deadline=None, max_examples=100)
@given(PHOTO_MASKS, prompt_boxes())
def test_the_pruned_search_is_the_brute_force_one(denses, box):
    found = segmentation(denses)
    table = [plain_mask_iou(dense, box) for dense in denses]
    row = closest_by_mask(box, found.masks.bounds, (WIDTH, HEIGHT), found.areas, found.masks.lazy)
    assert row == (int(np.argmax(table)) if max(table) > 0 else None)


class Counting:
    """A row that notes when its pixels in a rectangle are counted."""

    def __init__(self, row, counted):
        self.row, self.counted = row, counted

    def area_inside(self, *rectangle):
        self.counted.append(self.row)
        return self.row.area_inside(*rectangle)


def test_the_pruned_search_is_the_brute_force_one_on_masks_still_to_be_made(pending_found):
    rng = np.random.default_rng(0)
    for seed in range(20):
        found = pending_found(seed)
        width, height = found.image_size
        counted = []
        rows = [Counting(row, counted) for row in found.masks.lazy]

        for corners in rng.random((20, 2, 2)) * found.image_size:
            box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            x1, y1, x2, y2 = np.rint(box).astype(int)
            prompt = np.zeros((height, width), bool)
            prompt[y1:y2, x1:x2] = True
            dense = found.masks.dense()
            inside = (dense & prompt).sum(axis=(1, 2))
            table = inside / np.maximum((dense | prompt).sum(axis=(1, 2)), 1)
            row = closest_by_mask(box, found.masks.bounds, found.image_size, found.areas, rows)
            assert row == (int(np.argmax(table)) if inside.any() else None)
        assert len(counted) < 20 * len(found), "some masks cannot win and are not counted"


def test_the_count_is_exact_where_float32_is_not():
    """A mask of 4001 x 5001 and one of a pixel less: 20 009 001 is odd and above 2**24, which float32 rounds down."""
    size = (4001, 5001)
    whole = np.ones((size[1], size[0]), bool)
    less = whole.copy()
    less[0, 0] = False
    found = Segmentation.from_masks([Mask(less, 0, 0, size), Mask(whole, 0, 0, size)])
    assert found.box_prompt((0, 0, *size)).areas.tolist() == [20_009_001]


@settings(deadline=None, max_examples=100)
@given(PHOTO_MASKS, prompt_boxes())
def test_the_box_of_the_mask_is_what_box_matches(denses, box):
    found = segmentation(denses)
    x1, x2 = np.clip(box[[0, 2]], 0, WIDTH)
    y1, y2 = np.clip(box[[1, 3]], 0, HEIGHT)

    def iou(mask_box):
        a1, b1, a2, b2 = (float(edge) for edge in mask_box)
        both = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
        either = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - both
        return both / either if both else 0.0

    table = [iou(mask.box) for mask in found.masks]
    row = closest_by_box(box, found.mask_boxes, found.image_size)
    if max(table) == 0:
        assert row is None
    else:
        assert table[row] == pytest.approx(max(table), rel=1e-6)


def test_a_box_that_reaches_beyond_the_photo_is_compared_where_the_photo_is():
    """Cut it has 20 pixels: IoUs 10 / 20 and 20 / 44. Its 200 pixels would have 10 / 200 and 20 / (200 + 44 - 20)."""
    mask_boxes = np.array([[0, 0, 5, 2], [0, 0, 11, 4]], np.float32)
    assert closest_by_box(np.array([-10.0, -8.0, 10.0, 2.0]), mask_boxes, (20, 10)) == 0


def test_a_foreground_point_on_the_edge_is_the_last_pixel_in_its_box_and_one_beyond_is_named():
    """Pixel 4 begins where a box of 0 to 4 ends: nothing that is drawn in the box holds it."""
    boxes = np.array([[0.0, 0.0, 4.0, 4.0], [10.0, 10.0, 20.0, 20.0]])
    points = [[[0, 4], [4, 0], [4, 4]], [[10, 20], [20, 10], [15, 20]]]
    labels = [[1, 1, 0], [1, 1, 1]]
    groups, foreground = check_box_points(boxes, points, labels)
    assert np.floor(groups).tolist() == [[[0, 3], [3, 0], [4, 4]], [[10, 19], [19, 10], [15, 19]]]
    assert np.abs(groups - points).max() < 1e-9
    assert foreground.tolist() == labels
    points[1][2] = [15, 20.5]
    with pytest.raises(PromptError, match=r"box 1 is .*the point \[15\.0, 20\.5\]"):
        check_box_points(boxes, points, labels)


@pytest.mark.parametrize("point", [[9.5, 35], [20.5, 35], [15, 29.5], [15, 40.5]])
def test_a_foreground_point_beyond_any_side_of_its_box_is_named(point):
    with pytest.raises(PromptError, match=rf"box 0 is .*the point \[{point[0]:.1f}, {point[1]:.1f}\]"):
        check_box_points(np.array([[10.0, 30.0, 20.0, 40.0]]), [[[15, 35], point]], None)


def test_what_obeys_the_points_but_misses_the_box_does_not_answer():
    """A background point in the only mask in the box; the other mask obeys it, elsewhere."""
    masks = segmentation([block(0, 0), block(5, 4)], [0.9, 0.8]).masks
    point, background = np.array([[6.5, 5.5]]), np.array([False])
    for box, index in (([5.0, 4.0, 9.0, 7.0], 1), ([0.0, 0.0, 4.0, 3.0], 0), ([0.0, 6.0, 2.0, 7.0], None)):
        closest = functools.partial(closest_to_box, np.array(box), match="mask")
        assert closest_with_points(point, background, masks, closest) == index


def test_a_threshold_of_cosines_must_be_exceeded():
    """Halves and quarters are exact in float32; what was not compared has -inf."""
    cosines = np.array([0.25, 0.5, -np.inf, 0.5], np.float32)
    assert most_similar(cosines, None, 0.25, None).tolist() == [1, 3]
    assert most_similar(cosines, None, None, None).tolist() == [1, 3, 0]
    assert most_similar(cosines, None, None, np.array([0.25, 0.25, 0.25, 0.75], np.float32)).tolist() == [1]
    labels, best = best_texts(np.stack([cosines, cosines - 1]), 0.25)
    assert labels.tolist() == [2, 0, 2, 0]
    assert best.tolist() == [0.25, 0.5, -1, 0.5]


def test_of_equal_boxes_the_first_answers():
    dense = np.zeros(SHAPE, bool)
    dense[2:5, 2:5] = True
    found = segmentation([dense, dense, dense], [0.9, 0.8, 0.7])
    for match in ("mask", "box"):
        assert found.box_prompt((2, 2, 5, 5), match=match).scores.tolist() == [np.float32(0.9)]


def test_of_equal_ious_the_first_row_answers_though_it_is_looked_at_last():
    """Row 1 might reach 16 of 20 pixels, so it is rendered first; both come to 1/2."""
    first = np.zeros(SHAPE, bool)
    first[:2, :4] = True  # 8 of the prompt's 16 pixels
    second = np.zeros(SHAPE, bool)
    second[:3, :4] = second[4, :8] = True  # 12 of 16 and 8 elsewhere: 12 / (16 + 20 - 12)
    assert segmentation([first, second], [0.9, 0.8]).box_prompt((0, 0, 4, 4)).areas.tolist() == [8]


def test_the_two_matches_differ_where_they_should():
    """A ring fills its box's outline only: by pixels it fits badly, by its own bounding box exactly."""
    ring = np.ones(SHAPE, bool)
    ring[1:-1, 1:-1] = False  # 63 - 35 = 28 of 63 pixels
    block = np.zeros(SHAPE, bool)
    block[:, :6] = True  # 42 of 63 pixels
    found = segmentation([ring, block], [0.9, 0.8])
    whole = (0, 0, WIDTH, HEIGHT)
    assert found.box_prompt(whole, match="mask").areas.tolist() == [42]
    assert found.box_prompt(whole, match="box").areas.tolist() == [28]


def test_balanced_is_score_per_area_to_the_power_of_two_thirds():
    """Areas 8 and 64: 8 ** (2/3) = 4, 64 ** (2/3) = 16, so the large one needs four times the score."""
    small, large = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    small[0:2, 0:4] = True
    large[0:8, 0:8] = True
    for score, area in ((0.79, 8), (0.81, 64)):
        masks = [Mask.from_dense(small), Mask.from_dense(large)]
        found = Segmentation.from_masks(masks, [0.2, score])
        assert found.point_prompt((1, 1)).areas.tolist() == [area]
        assert found.point_prompt((1, 1), pick="balanced").areas.tolist() == [area]


def test_alternatives_among_objects_are_the_three_most_balanced():
    """Areas 8, 27, 64, 125; scores 0.4, 0.89, 0.8, 0.5: score / area^(2/3) is 0.1, 0.099, 0.05 and 0.02."""
    masks = []
    for rows, columns in ((2, 4), (3, 9), (8, 8), (5, 25)):
        dense = np.zeros((30, 30), bool)
        dense[:rows, :columns] = True
        masks.append(Mask.from_dense(dense))
    found = Segmentation.from_masks(masks, [0.4, 0.89, 0.8, 0.5])
    answer = found.point_prompt([[(1, 1)], [(20, 1)]], pick="alternatives")
    assert answer.areas.tolist() == [8, 27, 64, 125]
    assert answer.prompt_index.tolist() == [0, 0, 0, 1]


def test_alternatives_among_objects_are_not_alike():
    """Rows of 10 pixels: 8 and 10 rows have an IoU of 0.8, 7 and 10 one of 0.7, which is not above it."""
    masks = []
    for rows in (8, 10, 7, 4, 2):
        dense = np.zeros((10, 10), bool)
        dense[:rows] = True
        masks.append(Mask.from_dense(dense))
    found = Segmentation.from_masks(masks, [0.9, 0.9, 0.1, 0.1, 0.02])  # claims 0.048, 0.042, 0.006, 0.009, 0.003
    assert found.point_prompt((1, 1), pick="alternatives").areas.tolist() == [80, 40, 20]
    assert found[[1, 2]].point_prompt((1, 1), pick="alternatives").areas.tolist() == [100, 70]


def test_prompts_go_by_the_masks_and_not_by_a_detectors_boxes():
    """The mask is 10 x 10 pixels, the detector's box the 2 x 2 in its corner: what lies outside of it counts too."""
    dense = np.zeros((20, 20), bool)
    dense[5:15, 5:15] = True
    found = Segmentation.from_masks([Mask.from_dense(dense)], boxes=[[5, 5, 7, 7]])
    for pick in ("balanced", "merge", "all", "smallest", "largest", "best"):
        assert len(found.point_prompt((13, 13), pick=pick)) == 1, pick
    assert found.point_prompt([(6, 6), (13, 13)], [1, 0]).areas.tolist() == []
    for match in ("candidate", "mask", "box"):
        assert len(found.box_prompt((10, 10, 15, 15), match=match)) == 1, match
    other = Segmentation.from_masks([Mask.from_dense(dense[::-1, ::-1])] * 2, boxes=[[0, 0, 1, 1], [5, 5, 15, 15]])
    assert other.box_prompt((5, 5, 15, 15), match="mask").boxes.tolist() == [[0, 0, 1, 1]], (
        "both fit; the first is kept"
    )


def test_bounds_hold_the_pixels_of_masks_that_are_not_rendered(pending_found):
    found = pending_found(count=20)
    low, high = found.masks.bounds[:, :2], found.masks.bounds[:, 2:]
    assert (low <= found.mask_boxes[:, :2]).all()
    assert (high >= found.mask_boxes[:, 2:]).all()


@pytest.mark.parametrize("true", [True, np.True_, [True, 3], [[1, 2], [True, 3]], np.ones(2, bool), [np.ones(2, bool)]])
def test_true_is_no_coordinate(true):
    """JSON has it, and NumPy reads [true, 3] as [1, 3]."""
    with pytest.raises(PromptError, match="points must be numbers"):
        check_points(true, None)
    with pytest.raises(PromptError, match="boxes must be numbers"):
        check_boxes(true)
