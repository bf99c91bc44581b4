"""tools/evaluate: recall as pycocotools counts it, overlaps, prompts' points and boundaries by hand."""

import sys
from collections import defaultdict

import cv2
import numpy as np
import pytest

from fastsam_onnx import Mask, Segmentation
from tools.evaluate.__main__ import parse_options
from tools.evaluate.answers import PROMPTS, prompt_ious
from tools.evaluate.models import Found, Model, contrast
from tools.evaluate.outlines import Boundaries, Straightness, partition_edges
from tools.evaluate.overlay import Overlay, box_iou
from tools.evaluate.prompts import SKETCHES, any_point, interior_point, lasso, moved, scribble, shifted, stroke
from tools.evaluate.recall import AREA_RANGES, MAX_DETECTIONS, Recall, match_ranks
from tools.evaluate.tally import Tally, add_photo
from tools.evaluate.truth import Photo, Truth, read_set
from tools.evaluate.verdicts import Verdicts, count_doubles


def rectangle(x1, y1, x2, y2, size=(100, 80)):
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def random_masks(rng, count, size, around=()):
    """Ellipses; some of them near the given masks, so that every IoU occurs."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    masks = []
    while len(masks) < count:
        if around and rng.random() < 0.8:
            x1, y1, x2, y2 = around[rng.integers(len(around))].box * rng.uniform(0.93, 1.07, 4)
        else:
            (x1, x2), (y1, y2) = np.sort(rng.uniform(0, width, 2)), np.sort(rng.uniform(0, height, 2))
        radii = max(x2 - x1, 4) / 2, max(y2 - y1, 4) / 2
        mask = Mask.from_dense(((x - (x1 + x2) / 2) / radii[0]) ** 2 + ((y - (y1 + y2) / 2) / radii[1]) ** 2 < 1)
        if mask.area:
            masks.append(mask)
    return masks


def test_average_recall_is_that_of_pycocotools_by_mask_and_by_box():
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(5)
    recall = {"segm": Recall(), "bbox": Recall()}
    annotations, results, images = [], [], []
    for image_id in range(1, 9):
        size = (int(rng.integers(120, 260)), int(rng.integers(120, 260)))
        images.append({"id": image_id, "width": size[0], "height": size[1]})
        truths = random_masks(rng, int(rng.integers(1, 12)), size)
        found = random_masks(rng, int(rng.integers(0, 140)), size, truths)
        crowd = rng.random(len(truths)) < 0.15
        scores = np.sort(rng.random(len(found)).astype(np.float32))[::-1]
        for mask, is_crowd in zip(truths, crowd, strict=True):
            annotations.append(annotation(mask, image_id, len(annotations) + 1, iscrowd=int(is_crowd)))
        for mask, score in zip(found, scores, strict=True):
            results.append({**annotation(mask, image_id, len(results) + 1), "score": float(score)})
        overlay = Overlay(truths, size)
        recall["segm"].add(overlay.iou(found, crowd), overlay.areas, crowd)
        boxes = [np.array([mask.box for mask in masks]).reshape(-1, 4) for masks in (found, truths)]
        recall["bbox"].add(box_iou(*boxes, crowd), overlay.areas, crowd)
    for kind, ours in recall.items():
        theirs = pycocotools_recall((coco, cocoeval), images, annotations, results, kind)
        for name in AREA_RANGES:
            for column, limit in enumerate(MAX_DETECTIONS):
                expected = theirs[name][column]
                got = ours.average(name, limit)
                assert (got is None and expected == -1) or got == pytest.approx(100 * expected), (kind, name, limit)
    assert 5 < recall["segm"].average(limit=10) < recall["segm"].average(limit=100) < 95


def annotation(mask, image_id, number, **more):
    x1, y1, x2, y2 = (float(edge) for edge in mask.box)
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1 + number % 3,  # class-agnostic: must not matter
        "segmentation": mask.rle(),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": mask.area,
        "iscrowd": 0,
        **more,
    }


def pycocotools_recall(modules, images, annotations, results, kind):
    coco, cocoeval = modules
    categories = [{"id": number} for number in (1, 2, 3)]
    truth, found = coco.COCO(), coco.COCO()
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    found.dataset = {"images": images, "annotations": results, "categories": categories}
    truth.createIndex()
    found.createIndex()
    evaluation = cocoeval.COCOeval(truth, found, kind)
    evaluation.params.useCats = 0
    evaluation.params.maxDets = [10, 100, 1000]
    evaluation.evaluate()
    evaluation.accumulate()
    recall = evaluation.eval["recall"][:, 0]  # (thresholds, area ranges, limits)
    return {name: recall[:, row].mean(axis=0) for row, name in enumerate(evaluation.params.areaRngLbl)}


def test_each_truth_is_found_once_and_the_better_score_chooses_first():
    # One truth, two objects of IoU 0.8 and 1.0: the first takes it up to 0.8 (7 thresholds), the second beyond (3).
    ranks = match_ranks(np.array([[0.8], [1.0]]), np.zeros(1, bool), np.zeros(1, bool))
    assert ranks[:, 0].tolist() == [0] * 7 + [1] * 3


def test_an_object_prefers_a_truth_that_counts_to_an_ignored_one_of_higher_iou():
    ranks = match_ranks(np.array([[0.6, 0.9]]), np.array([False, True]), np.zeros(2, bool))
    assert ranks[:, 0].tolist() == [0] * 3 + [1] * 7  # 0.50, 0.55, 0.60; above that the ignored one takes it
    assert ranks[:, 1].tolist() == [1] * 3 + [0] * 6 + [1]


def test_recall_by_hand():
    # 20x40 truths; one object shifted by 2 columns: 18*40 / (22*40) = 0.818, found at 7 of 10 thresholds; one missed.
    recall = Recall()
    truths = [rectangle(10, 10, 30, 50), rectangle(60, 10, 80, 50)]
    overlay = Overlay(truths, (100, 80))
    crowd = np.zeros(2, bool)
    recall.add(overlay.iou([rectangle(12, 10, 32, 50)], crowd), overlay.areas, crowd)
    assert recall.average() == pytest.approx(35)
    assert recall.average("small") == pytest.approx(35)  # 800 px is below 32^2
    assert recall.average("large") is None


def test_recall_takes_as_many_objects_as_it_is_told():
    """The truth's mask comes second."""
    recall = Recall(limits=(1, 2, 3))
    recall.add(np.array([[0.0], [1.0]]), np.array([800.0]), np.zeros(1, bool))
    assert [recall.average(limit=limit) for limit in (1, 2, 3)] == [0, 100, 100]


def test_overlay_counts_intersections_of_masks_that_overlap_one_another():
    rng = np.random.default_rng(1)
    size = (90, 70)
    truths, found = random_masks(rng, 9, size), random_masks(rng, 20, size)
    expected = [[mask.intersection_area(truth) for truth in truths] for mask in found]
    assert Overlay(truths, size).intersections(found).tolist() == expected


def test_overlap_with_a_crowd_is_the_share_of_the_object():
    overlay = Overlay([rectangle(0, 0, 50, 50)], (100, 80))
    assert overlay.iou([rectangle(40, 40, 60, 50)], np.array([True])).tolist() == [[0.5]]


def test_of_pixels_that_lie_as_deep_the_first_is_the_interior_point(monkeypatch):
    """OpenCV's distances differ in their last digit between runs; 6 x 4 pixels have eight that are 2 deep."""
    transform, rng = cv2.distanceTransform, np.random.default_rng(0)

    def noisy(*given):
        depths = transform(*given)
        return depths * (1 + rng.normal(0, 1e-7, depths.shape)).astype(np.float32)

    monkeypatch.setattr(cv2, "distanceTransform", noisy)
    assert {interior_point(rectangle(10, 20, 16, 24)) for _ in range(20)} == {(11.5, 21.5)}


def test_interior_point_lies_deepest_and_in_the_pixels_middle():
    assert interior_point(rectangle(10, 20, 15, 25)) == (12.5, 22.5)
    ring = np.ones((21, 31), bool)
    ring[5:16, 5:21] = False  # a frame that is widest on the right: 10 columns from 21
    x, y = interior_point(Mask(ring, 3, 4, (100, 80)))
    assert 24 <= x - 3 < 28
    assert 0 <= y - 4 < 21


def test_prompts_are_scored_against_the_truth_they_ask_for():
    truths = [rectangle(10, 10, 30, 30), rectangle(60, 10, 80, 30), rectangle(10, 60, 20, 70)]
    whole = rectangle(0, 0, 100, 80)
    found = Segmentation.from_masks([whole, truths[0]], [0.9, 0.8])
    boxes = np.array([truth.box for truth in truths])
    answers = prompt_ious(found, truths, boxes, Overlay(truths, (100, 80)))
    # The first truth is there as it is; the others get the whole photo, 400 and 100 of 8000 pixels.
    for name in ("box, mask", "box, box", "point, smallest", "point, all"):
        assert answers[name] == pytest.approx([1, 0.05, 0.0125]), name
    for name in ("point, merge", "point, largest", "point, best"):
        assert answers[name] == pytest.approx([0.05, 0.05, 0.0125]), name


def test_straight_is_the_share_of_the_outline_on_the_masks_own_box():
    def share(mask):
        straightness = Straightness()
        straightness.add(mask)
        return straightness.share()

    assert share(rectangle(10, 10, 30, 20)) == 1
    assert share(rectangle(0, 0, 100, 80)) is None, "the photo's frame does not count"
    corner = np.zeros((20, 10), bool)  # the crop need not be tight
    corner[5:10, 2:4] = True  # 5 high at 2 wide,
    corner[8:10, 4:8] = True  # 2 high at 4 wide: an L
    # Sides on its box (6 x 5): left 5, bottom 6, right 2, top 2 of 15 + 7 more: the inner corner's 3 + 4.
    assert share(Mask(corner, 30, 30, (100, 80))) == pytest.approx(15 / 22)
    assert share(Mask(np.zeros((3, 3), bool), 0, 0, (100, 80))) is None


@pytest.mark.parametrize(("diameter", "straight"), [(20, 24 / 80), (100, 56 / 400)])
def test_a_round_mask_is_the_straighter_the_smaller_it_is(diameter, straight):
    """Its outline has four pixel sides for each pixel of its diameter; `extent` is the length of its first row."""
    middle = (diameter - 1) / 2
    offsets = np.arange(diameter) - middle
    disc = offsets[:, None] ** 2 + offsets**2 <= (diameter / 2) ** 2
    extent = 2 * np.count_nonzero(offsets[offsets > 0] ** 2 + middle**2 <= (diameter / 2) ** 2)
    straightness = Straightness()
    straightness.add(Mask(disc, 10, 10, (200, 200)))
    assert (straightness.straight, straightness.sides) == (4 * extent, 4 * diameter)
    assert straightness.share() == straight


def test_cut_is_what_is_straight_on_annotated_ground_away_from_every_outline():
    """A mask of x 40 to 70 in a truth of x 10 to 90 and the same 40 rows, whose first and last are near its outline.

    So 38 pixels on the left and on the right are cut. A truth that begins at x 41 explains the left side. The tolerance
    is 0.0075 of the diagonal of 128, 0.96 pixels.
    """
    found, whole = rectangle(40, 20, 70, 60), rectangle(10, 20, 90, 60)
    for truths, cut in (([whole], 76), ([whole, rectangle(41, 20, 90, 60)], 38), ([rectangle(0, 0, 5, 5)], 0)):
        straightness = Straightness()
        straightness.add(found, Overlay(truths, (100, 80)).far_from_outlines(np.zeros(len(truths), bool)))
        assert (straightness.cut, straightness.share_of_cuts()) == (cut, cut / 140)


def test_sketches_are_rough_masks():
    """An L of 40 by 40 without its upper right quarter; its area is 1200, a tenth of the root of that is 3."""
    corner = rectangle(20, 20, 60, 60).difference(rectangle(40, 20, 60, 40))
    hull = lasso(corner)
    assert corner.intersection_area(hull) == corner.area
    assert hull.area == pytest.approx(1400, rel=0.03), "and half of the quarter"
    x1, y1, x2, y2 = shifted(corner).bounds
    assert (x1, y1, x2, y2) == (20, 20, 66, 66)
    part = scribble(corner)
    assert corner.intersection_area(part) == part.area
    assert 0 < part.area < corner.area / 2
    assert stroke(rectangle(10, 20, 50, 44)).bounds == (20, 31, 40, 32), "0.04 of the size is 1.2 pixels"


def test_a_sketch_of_what_fills_the_photo_is_in_the_photo():
    for sketch in SKETCHES.values():
        for mask in (rectangle(0, 0, 100, 80), rectangle(99, 79, 100, 80)):
            assert sketch(mask).area, sketch


def test_no_answer_counts_zero():
    truths = [rectangle(10, 10, 30, 30), rectangle(60, 10, 80, 30)]
    boxes = np.array([truth.box for truth in truths])
    overlay = Overlay(truths, (100, 80))
    nothing = prompt_ious(Segmentation.from_masks([], image_size=(100, 80)), truths, boxes, overlay)
    one = prompt_ious(Segmentation.from_masks(truths[1:]), truths, boxes, overlay)
    assert all(values.tolist() == [0, 0] for values in nothing.values())
    assert all(values.tolist() == [0, 1] for values in one.values())


def test_perfect_boundaries_score_one_and_a_wrong_half_lowers_precision():
    labels = np.zeros((80, 100), np.uint16)
    labels[:, 50:] = 1
    edges = [partition_edges(labels)]
    right, wrong = [rectangle(0, 0, 50, 80)], [rectangle(0, 0, 50, 80), rectangle(0, 0, 20, 80)]
    perfect, half = Boundaries(), Boundaries()
    perfect.add(right, np.array([0.9]), edges)
    half.add(wrong, np.array([0.5, 0.5]), edges)
    assert edges[0].sum() == 80  # one column of pixels
    assert perfect.summary() == {"F": 1.0, "R50": 1.0}
    # Half of the drawn pixels are right: precision 1/2, recall 1, F = 2/3.
    assert half.summary() == pytest.approx({"F": 2 / 3, "R50": 1.0})


def test_a_stronger_right_outline_is_told_from_a_weaker_wrong_one():
    labels = np.zeros((80, 100), np.uint16)
    labels[:, 50:] = 1
    boundaries = Boundaries()
    masks = [rectangle(0, 0, 50, 80), rectangle(0, 0, 20, 80)]
    boundaries.add(masks, np.array([0.9, 0.2]), [partition_edges(labels)])
    assert boundaries.summary() == {"F": 1.0, "R50": 1.0}


def test_contrast_is_the_distance_from_the_surroundings():
    lab = np.zeros((80, 100, 3), np.float32)
    lab[20:40, 20:40, 0] = 60
    assert contrast(lab, rectangle(20, 20, 40, 40)) == pytest.approx(0.6)
    assert contrast(lab, rectangle(0, 0, 100, 80)) == 0.0


def test_verdicts_ignore_what_lies_where_nothing_is_annotated():
    truths = [rectangle(10, 10, 30, 30), rectangle(60, 10, 80, 30)]
    found = [
        rectangle(10, 10, 30, 29),  # right
        rectangle(10, 10, 30, 28),  # its double: wrong
        rectangle(12, 12, 18, 18),  # a part: wrong
        rectangle(60, 50, 80, 70),  # nobody knows
    ]
    no_crowd = np.zeros(2, bool)
    overlay = Overlay(truths, (100, 80))
    verdicts = Verdicts()
    verdicts.add(overlay.iou(found, no_crowd), overlay.annotated_share(found, no_crowd))
    assert (verdicts.right, verdicts.wrong, verdicts.missed) == (1, 2, 1)
    assert verdicts.f1() == pytest.approx(2 / (2 + 2 + 1))
    assert Verdicts().f1() is None


def test_a_crowd_is_not_annotated():
    overlay = Overlay([rectangle(0, 0, 40, 40), rectangle(0, 0, 20, 40)], (100, 80))
    share = overlay.annotated_share([rectangle(0, 0, 40, 10), Mask.empty((100, 80))], np.array([True, False]))
    assert share.tolist() == [0.5, 0]


def test_doubles_are_masks_like_a_better_one():
    masks = [rectangle(0, 0, 40, 40), rectangle(0, 0, 40, 30), rectangle(0, 0, 40, 27), rectangle(50, 0, 90, 40)]
    assert count_doubles(masks) == 2, "0.75 of the first; 27 of 30 of the second"
    assert count_doubles([masks[0], masks[2]]) == 0, "27 of 40"
    assert count_doubles([]) == 0


def test_moved_boxes_keep_their_corners_in_order():
    boxes = np.array([(10, 20, 110, 60), (5, 5, 5.001, 90)] * 200, np.float64)
    beside = moved(boxes, np.random.default_rng(0))
    assert (beside[:, 2:] >= beside[:, :2]).all()
    assert (beside[::2] - boxes[::2]).std(axis=0) == pytest.approx([5, 2, 5, 2], rel=0.2)


def test_any_point_lies_in_the_mask():
    mask = rectangle(10, 20, 12, 22)
    rng = np.random.default_rng(0)
    drawn = {any_point(mask, rng) for _ in range(60)}
    assert drawn == {(x + 0.5, y + 0.5) for x in (10, 11) for y in (20, 21)}


def test_without_prompts_all_else_is_the_same():
    there = rectangle(10, 10, 50, 40)
    found = Segmentation.from_masks([there], [0.9])
    model = Model(lambda rgb: Found(found, found, 1.0), "stand-in", {})
    picture = cv2.imencode(".png", np.zeros((80, 100, 3), np.uint8))[1].tobytes()
    truths = [there, rectangle(60, 10, 90, 40)]
    truth = Truth(truths, np.array([mask.box for mask in truths]), np.zeros(2, bool))
    figures = []
    for prompts in (True, False):
        tallies = defaultdict(Tally)
        add_photo(Photo(picture, {"row": [truth]}), model, tallies, prompts=prompts)
        figures.append(tallies["row"].figures())
    answered = {name for name in PROMPTS if figures[0][name] is not None}
    assert answered >= {"box, candidate", "point, candidate"}
    assert figures[1] == figures[0] | dict.fromkeys(PROMPTS)
    assert figures[1]["AR@100"] == 50


def test_options_of_a_network_are_refused_with_a_baseline(monkeypatch, capsys):
    """They were taken without a word, and did nothing."""
    monkeypatch.setattr(sys, "argv", ["evaluate", "--data", ".", "--baseline", "felzenszwalb", "--iou", "0.5"])
    with pytest.raises(SystemExit):
        parse_options()
    assert "a --baseline has none" in capsys.readouterr().err


def test_a_missing_set_is_named(tmp_path):
    with pytest.raises(SystemExit, match="has no folder coco_val"):
        read_set(tmp_path / "coco_val")
