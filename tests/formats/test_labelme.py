"""Labelme: shapes that hold the same pixels."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import fill_rings, random_instances, read_json

from fastsam_onnx import formats


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_labelme_shapes_hold_the_same_pixels(seed):
    found = random_instances(seed)
    shapes = read_json(formats.encode(found, "labelme", tolerance=0.0))["shapes"]
    shown = iter(shapes)
    for index, mask in enumerate(found.masks):
        polygons = mask.polygons()
        if any(polygon.holes for polygon in polygons):
            pixels = _labelme_pixels(next(shown), found.image_size)
        else:
            own = [next(shown) for _ in polygons]
            assert {shape["group_id"] for shape in own} <= ({index} if len(own) > 1 else {None})
            pixels = fill_rings([shape["points"] for shape in own], found.image_size)
        np.testing.assert_array_equal(pixels, mask.dense())
    assert next(shown, None) is None


def _labelme_pixels(shape: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """As labelme itself does: both corners are pixels of the mask."""
    assert shape["shape_type"] == "mask"
    (x1, y1), (x2, y2) = shape["points"]
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), cv2.IMREAD_UNCHANGED)
    pixels = np.zeros((size[1], size[0]), bool)
    pixels[y1 : y2 + 1, x1 : x2 + 1] = crop.astype(bool)
    return pixels


def test_labelme_names_the_photo_and_the_label(sample):
    assert formats.to_labelme(sample)["imagePath"] == "photo.jpg"
    document = formats.to_labelme(sample, label="cell", image_path="../photos/1.jpg")
    assert document["imagePath"] == "../photos/1.jpg"
    assert {shape["label"] for shape in document["shapes"]} == {"cell"}
