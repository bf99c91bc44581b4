"""What is shown of the detections: objects that share a box with a better one, at half their score."""

from __future__ import annotations

import numpy as np
import pytest
from support.tiny_onnx import known

from fastsam_onnx import FastSAM

PHOTO = np.zeros((64, 64, 3), np.uint8)
IOU = 0.7


def halves(second, coefficients=(0.0, 5.0)):
    """A network that finds what fills the left half of a box of 56 x 40 pixels, and the right half of another."""
    prototypes = np.full((2, 16, 16), -1.0)
    prototypes[0, 4:12, 2:7] = prototypes[1, 4:12, 9:14] = 1
    boxes = [[32, 32, 56, 40], second]
    return known(boxes, [0.9, 0.8], [[5.0, 0.0], coefficients], prototypes, metadata={"refine": "True"})


@pytest.mark.parametrize(
    ("second", "scores"),
    [
        ([32, 32, 56, 26], [0.9, 0.8]),  # IoU 26 / 40 = 0.65
        ([32, 32, 56, 32], [0.9, 0.4]),  # IoU 0.8
        ([32, 32, 56, 38], [0.9]),  # IoU 0.95
    ],
)
def test_an_object_in_the_box_of_a_better_one_counts_half(second, scores):
    with FastSAM(halves(second), conf=0.3, iou=IOU) as model:
        found = model(PHOTO)
    assert found.scores.tolist() == pytest.approx(scores)
    assert [mask.box[0] for mask in found.masks] == [8, 36][: len(scores)], "columns of 4 pixels from 2 and from 9 on"


def test_half_of_its_score_must_be_above_the_threshold():
    for conf, count in ((0.39, 2), (0.41, 1)):
        with FastSAM(halves([32, 32, 56, 32]), conf=conf, iou=IOU) as model:
            assert len(model(PHOTO)) == count


def test_one_mask_in_two_boxes_is_one_object():
    with FastSAM(halves([32, 32, 56, 32], (5.0, 0.0)), conf=0.1, iou=IOU) as model:
        assert model(PHOTO).scores.tolist() == pytest.approx([0.9])


def test_masks_as_boxes_cut_them_are_told_apart_by_boxes_alone():
    """As the official code does."""
    with FastSAM(halves([32, 32, 56, 32]), conf=0.1, iou=IOU) as model:
        assert len(model(PHOTO, refine=False)) == 1


def test_the_best_come_first_and_no_more_than_asked_for():
    """Three boxes: the second counts 0.4 for its box, so that the third comes before it."""
    prototypes = np.full((3, 16, 16), -1.0)
    for plane, columns in enumerate((slice(1, 4), slice(6, 9), slice(12, 15))):
        prototypes[plane, 4:12, columns] = 1
    boxes = [[20, 32, 36, 40], [20, 32, 36, 32], [54, 32, 16, 40]]
    network = known(boxes, [0.9, 0.8, 0.6], 5 * np.eye(3), prototypes, metadata={"refine": "True"})
    with FastSAM(network, conf=0.1, iou=IOU) as model:
        assert model(PHOTO).scores.tolist() == pytest.approx([0.9, 0.6, 0.4])
        assert model(PHOTO, max_det=2).scores.tolist() == pytest.approx([0.9, 0.6])


def test_an_object_has_the_best_score_of_all_that_show_it():
    """The second box is a rival of the first, so that it counts 0.4; the third, of 0.7, has the second one's mask."""
    prototypes = np.full((2, 16, 16), -1.0)
    prototypes[0, 4:12, 2:7] = prototypes[1, 4:12, 9:14] = 1
    boxes = [[32, 32, 56, 40], [32, 32, 56, 32], [46, 32, 28, 32]]
    network = known(
        boxes, [0.9, 0.8, 0.7], [[5.0, 0.0], [0.0, 5.0], [0.0, 5.0]], prototypes, metadata={"refine": "True"}
    )
    with FastSAM(network, iou=IOU) as model:
        for conf in (0.3, 0.5):  # with the second, and without
            found = model(PHOTO, conf=conf)
            assert [mask.box[0] for mask in found.masks] == [8, 36]
            assert found.scores.tolist() == pytest.approx([0.9, 0.7])
