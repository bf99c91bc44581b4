"""The records of Segment Anything's automatic mask generator."""

from __future__ import annotations

import numpy as np
import pytest
from support.samples import HEIGHT, WIDTH

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


def test_sam_records_have_sams_keys_and_all_three_kinds_of_masks(sample):
    keys = {"segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"}
    dense, runs, rle = (
        formats.to_sam(sample, output_mode=mode) for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    )
    for one, two, three, mask in zip(dense, runs, rle, sample.masks, strict=True):
        assert set(one) == set(two) == set(three) == keys
        np.testing.assert_array_equal(one["segmentation"], mask.dense())
        assert two["segmentation"]["size"] == three["segmentation"]["size"] == [HEIGHT, WIDTH]
        assert one["crop_box"] == [0, 0, WIDTH, HEIGHT]
        values = np.arange(len(two["segmentation"]["counts"])) % 2 == 1
        pixels = np.repeat(values, two["segmentation"]["counts"]).reshape(WIDTH, HEIGHT).T
        np.testing.assert_array_equal(pixels, mask.dense())
        np.testing.assert_array_equal(Mask.from_rle(three["segmentation"]).dense(), mask.dense())
        x, y, width, height = one["bbox"]
        np.testing.assert_array_equal([x, y, x + width, y + height], mask.box)
        (point,) = one["point_coords"]
        assert mask.contains(*point)


def test_the_predicted_iou_is_that_of_the_decoder_or_else_the_score():
    drawn, other = np.eye(20, dtype=bool), np.ones((20, 20), bool)
    masks = [Mask(drawn, 0, 0, (20, 20), 0.8125), Mask.from_dense(other)]
    records = formats.to_sam(Segmentation.from_masks(masks, [0.5, 0.25]))
    assert [record["predicted_iou"] for record in records] == [0.8125, 0.25]
    assert [record["stability_score"] for record in records] == [0.5, 0.25]


def test_sams_point_lies_deepest_in_the_object():
    dense = np.zeros((20, 20), bool)
    dense[4:15, 3:14] = True  # 11 x 11: its middle pixel is (8, 9)
    found = Segmentation.from_masks([Mask.from_dense(dense)])
    assert formats.to_sam(found)[0]["point_coords"] == [[8.5, 9.5]]


def test_sam_refuses_other_kinds_of_masks(sample):
    with pytest.raises(OptionError, match="polygons"):
        formats.to_sam(sample, output_mode="polygons")  # type: ignore[arg-type]
