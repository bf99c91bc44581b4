"""Labelme: shapes that hold the same pixels."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import ascii_json, fill_rings, random_instances

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_labelme_shapes_hold_the_same_pixels(seed):
    found = random_instances(seed)
    shapes = ascii_json(formats.encode(found, "labelme", tolerance=0.0, image_path="a.png"))["shapes"]
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


def test_a_mask_of_labelme_has_the_first_and_the_last_pixel_of_its_picture(sample):
    """The ring reaches from column 4 to 19 and from row 3 to 16: 16 x 14 pixels."""
    [ring] = formats.to_labelme(sample[[0]])["shapes"]
    assert ring["points"] == [[4, 3], [19, 16]]
    np.testing.assert_array_equal(_labelme_pixels(ring, sample.image_size), sample.masks[0].dense())


def test_labelme_names_the_photo_and_the_label(sample):
    assert formats.to_labelme(sample)["imagePath"] == "photo.jpg"
    document = formats.to_labelme(sample, label="cell", image_path="../photos/1.jpg")
    assert document["imagePath"] == "../photos/1.jpg"
    assert {shape["label"] for shape in document["shapes"]} == {"cell"}


def test_a_photo_without_a_name_is_in_the_file(sample):
    """Labelme opens a file by `imageData`, else by the path, and refuses one that leads nowhere."""
    document = formats.to_labelme(replace(sample, source=None))
    photo = cv2.imdecode(np.frombuffer(base64.b64decode(document["imageData"]), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(photo[..., ::-1], sample.image)
    assert document["imagePath"]
    assert formats.to_labelme(sample)["imageData"] is None
    assert formats.to_labelme(replace(sample, source=None), image_path="a.png")["imageData"] is None
    with pytest.raises(OptionError, match="neither the photo nor its name; give it one of them, or image_path="):
        formats.to_labelme(replace(sample, source=None, image=None))


def test_outlines_alone_where_a_program_knows_no_masks(sample):
    kinds = {shape["shape_type"] for shape in formats.to_labelme(sample)["shapes"]}
    assert kinds == {"polygon", "mask"}
    shapes = formats.to_labelme(sample, polygons_only=True, tolerance=0)["shapes"]
    assert {shape["shape_type"] for shape in shapes} == {"polygon"}
    rings = [polygon.exterior.tolist() for island in sample.to_polygons() for polygon in island]
    assert [shape["points"] for shape in shapes] == rings
    assert [shape["group_id"] for shape in shapes[:2]] == [0, 0], "the ring and the island in its hole"
