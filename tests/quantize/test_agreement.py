"""The agreement of two networks: each mask has one partner, the one that is most like it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import Mask, Segmentation
from fastsam_onnx.quantize.agreement import measure_agreement


def found(*heights: int, left: int = 0) -> Segmentation:
    """Rectangles of 10 columns and so many rows, from the upper edge on."""
    masks = []
    for height in heights:
        dense = np.zeros((20, 40), bool)
        dense[:height, left : left + 10] = True
        masks.append(Mask.from_dense(dense))
    return Segmentation.from_masks(masks, image_size=(40, 20))


@pytest.mark.parametrize("others", [(9, 8), (8, 9)])
def test_each_mask_has_one_partner_the_best_first(others):
    kept = measure_agreement([(found(10), found(*others))])
    assert (kept.photos, kept.expected, kept.found, kept.added) == (1, 1, 2, 1)
    assert (kept.mean_iou, kept.recall) == (pytest.approx(0.9), 1)
    kept = measure_agreement([(found(*others), found(10))])
    assert (kept.expected, kept.found, kept.added) == (2, 1, 0)
    assert (kept.mean_iou, kept.recall) == (pytest.approx(0.9), 0.5)


def test_a_pair_counts_from_0_5_and_is_found_again_from_0_8():
    """5, 7 and 8 of 10 rows are in common; 4 are no pair."""
    pairs = [(found(10), found(rows)) for rows in (4, 5, 7, 8)]
    kept = measure_agreement(pairs)
    assert (kept.photos, kept.mean_iou, kept.recall) == (4, pytest.approx((0.5 + 0.7 + 0.8) / 3), 0.25)


def test_an_object_of_another_class_is_not_found_again():
    """Masks alone counted: networks that called every cat a dog and every dog a cat agreed in full."""
    first = replace(found(10, 6), labels=np.array([0, 1]), names={0: "cat", 1: "dog"})
    kept = measure_agreement([(first, first)])
    assert (kept.mean_iou, kept.recall) == (1, 1)
    assert "2 masks in 1 photos found again (IoU at least 0.8, of the same class), 0 added" in str(kept)
    assert measure_agreement([(first, replace(first, labels=np.array([0, 0])))]).recall == 0.5
    swapped = measure_agreement([(first, replace(first, labels=np.array([1, 0])))])
    assert (swapped.mean_iou, swapped.recall, swapped.found) == (pytest.approx(0.6), 0, 2)
    alone = measure_agreement([(first, found(10, 6))])  # one of the two does not tell
    assert (alone.recall, alone.has_classes, "class" in str(alone)) == (1, False, False)


def test_nothing_agrees_with_nothing():
    for first, second in ((found(), found(10)), (found(10), found()), (found(10), found(10, left=20))):
        kept = measure_agreement([(first, second)])
        assert (kept.mean_iou, kept.recall) == (0, 0)


def test_masks_in_one_box_agree_by_their_pixels():
    """Both lie in the same 10 x 10, a triangle each; boxes do not tell that they share a line alone."""
    lower = np.zeros((20, 40), bool)
    lower[:10, :10] = np.tri(10, dtype=bool)
    upper = np.zeros((20, 40), bool)
    upper[:10, :10] = np.tri(10, dtype=bool).T
    first, second = (Segmentation.from_masks([Mask.from_dense(dense)]) for dense in (lower, upper))
    assert measure_agreement([(first, second)]).mean_iou == 0
    assert measure_agreement([(first, first)]).mean_iou == 1
