"""tools/compare.py: pairing and summary, without ultralytics."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from fastsam_onnx import Mask

MILLISECONDS = {"preprocess": 1.0, "network": 2.0, "postprocess": 3.0}


@pytest.fixture(scope="module")
def compare(load_tool):
    return load_tool("compare")


def objects(compare, boxes, scores=None, milliseconds=MILLISECONDS):
    """Objects whose masks fill their boxes."""
    masks = [Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, (100, 80)) for x1, y1, x2, y2 in boxes]
    scores = np.linspace(0.9, 0.5, len(boxes)) if scores is None else scores
    return compare.Objects(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        masks,
        np.zeros(len(boxes), np.int64),
        milliseconds,
    )


def test_the_most_alike_are_paired_whatever_their_order(compare):
    theirs = objects(compare, [(0, 0, 20, 20), (50, 50, 70, 70)])
    ours = objects(compare, [(50, 50, 70, 70), (0, 0, 20, 10), (0, 0, 20, 20)])
    pairs = compare.match(theirs, ours)
    assert sorted((pair.theirs, pair.ours) for pair in pairs) == [(0, 2), (1, 0)]
    assert all(pair.mask_iou == 1 and pair.box_difference == 0 for pair in pairs)


def test_a_pair_tells_how_far_apart_the_answers_are(compare):
    # 20x20 boxes, 2 columns apart: 18*20 / (22*20) = 0.818.
    [pair] = compare.match(objects(compare, [(0, 0, 20, 20)], [0.5]), objects(compare, [(2, 0, 22, 20)], [0.75]))
    assert pair.mask_iou == pytest.approx(18 / 22)
    assert pair.box_difference == 2
    assert pair.score_difference == 0.25


def test_what_lies_apart_stays_without_a_partner(compare):
    theirs, ours = objects(compare, [(0, 0, 20, 20)]), objects(compare, [(50, 50, 70, 70)])
    comparison = compare.Comparison("a.jpg", 100, 80, theirs, ours, compare.match(theirs, ours))
    assert comparison.pairs == []
    assert [tool for tool, _, _ in comparison.alone()] == ["ultralytics", "ours"]
    nothing = objects(compare, [])
    assert compare.match(nothing, ours) == compare.match(theirs, nothing) == []


def test_the_summary_counts_photos_and_lists_low_pairs(compare):
    one, shifted, two = [(0, 0, 20, 20)], [(2, 0, 22, 20)], [(0, 0, 20, 20), (50, 50, 70, 70)]
    comparisons = []
    for name, theirs, ours in (("same.jpg", two, two), ("shifted.jpg", one, shifted), ("more.jpg", one, two)):
        first, second = objects(compare, theirs), objects(compare, ours)
        comparisons.append(compare.Comparison(name, 100, 80, first, second, compare.match(first, second)))
    summary = compare.summarise(comparisons)
    assert (summary["photos"], summary["photos_with_equal_counts"], summary["pairs"]) == (3, 2, 4)
    assert summary["mean_mask_iou"] == pytest.approx((3 + 18 / 22) / 4)
    assert summary["pairs_below_0.95"] == 1
    options = argparse.Namespace(
        model=Path("m.onnx"), conf=0.25, iou=0.7, imgsz=640, max_det=300, border_snap=False, repeats=1
    )
    report = compare.markdown(comparisons, options)
    assert "- shifted.jpg: IoU 0.8182, areas 400 and 400 px" in report
    assert "- more.jpg: only ours, score 0.500000, box 50.0, 50.0, 70.0, 70.0" in report
    assert "| same.jpg | 100x80 | 2 | 2 | 2 | 1.00000 |" in report


def test_times_are_the_least_of_each_phase(compare):
    slow = objects(compare, [], milliseconds={"preprocess": 1.0, "network": 9.0, "postprocess": 3.0})
    fast = objects(compare, [], milliseconds={"preprocess": 2.0, "network": 5.0, "postprocess": 4.0})
    assert compare.fastest([slow, fast]).milliseconds == {
        "preprocess": 1.0,
        "network": 5.0,
        "postprocess": 3.0,
    }
