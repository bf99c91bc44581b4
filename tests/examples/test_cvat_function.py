"""The AI function for CVAT: the Python API's masks in its words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from support.tiny_onnx import tiny

pytest.importorskip("cvat_sdk", reason="needs cvat-sdk")

from cvat_sdk.masks import decode_mask

from fastsam_onnx import FastSAM

EXAMPLES = Path(__file__).parents[2] / "examples"
BOX = ((170.0, 12.0), (415.0, 305.0))


@pytest.fixture(scope="module")
def example(load_example):
    return load_example("cvat_function")


@pytest.fixture(scope="module")
def photo():
    return Image.open(EXAMPLES / "coffee.jpg")


def asked(positive=(), negative=(), box=None):
    return SimpleNamespace(pos_points=positive, neg_points=negative, bounding_box=box)


def dense(shape):
    return decode_mask(shape.points, image_width=600, image_height=400)


def test_prompts_mean_what_they_mean_in_python(example, photo):
    function = example.create()
    seen, found = function.preprocess_image(None, photo), FastSAM()(photo)
    for prompts, expected in (
        (asked([(300.0, 150.0)]), found.point_prompt([300, 150])),
        (asked([(300.0, 150.0)], [(230.0, 340.0)]), found.point_prompt([[300, 150], [230, 340]], [1, 0])),
        (asked(box=BOX), found.box_prompt([170, 12, 415, 305])),
        (asked([], [(200.0, 290.0)], BOX), found.box_prompt([170, 12, 415, 305], [[200, 290]], [0])),
        (asked([(450.0, 300.0)], [], BOX), found.box_prompt([170, 12, 450, 305], [[450, 300]])),
    ):
        [shape] = function.detect(None, seen, prompts)
        assert shape.type == "mask"
        assert np.array_equal(dense(shape), expected[0].mask.dense())


@pytest.mark.parametrize("prompts", [asked(), asked([], [(3.0, 3.0)]), asked([(900.0, 3.0)])])
def test_what_means_nothing_is_answered_with_nothing(example, photo, prompts):
    function = example.create()
    assert function.detect(None, function.preprocess_image(None, photo), prompts) == []


def test_objects_as_masks_and_as_polygons(example, photo):
    found, function = FastSAM()(photo), example.create("detector")
    assert [(label.name, label.id) for label in function.spec.labels] == [("object", 0)]
    shapes = function.detect(SimpleNamespace(conf_threshold=None, conv_mask_to_poly=False), photo)
    assert all(np.array_equal(dense(one), mask.dense()) for one, mask in zip(shapes, found.masks, strict=True))
    assert {one.label_id for one in shapes} == {0}
    shapes = function.detect(SimpleNamespace(conf_threshold=0.3, conv_mask_to_poly=True), photo)
    filled = np.zeros((400, 600), np.uint8)
    for one in shapes:
        cv2.fillPoly(filled, [np.round(np.reshape(one.points, (-1, 2))).astype(np.int32)], 1)
    expected = found[found.scores > 0.3].union()
    assert len(shapes) > 0
    assert (
        filled.astype(bool) != expected.dense()
    ).mean() < 0.02  # an outline may stray by a pixel, and is filled, too


def test_classes_are_labels(example, tmp_path):
    path = tmp_path / "classes.onnx"
    path.write_bytes(tiny(2, metadata={"names": "{0: 'cup', 1: 'spoon'}"}))
    function = example.create("detector", str(path))
    assert [(label.name, label.id) for label in function.spec.labels] == [("cup", 0), ("spoon", 1)]


def test_another_kind_is_refused(example):
    with pytest.raises(ValueError, match="interactor or detector"):
        example.create("tracker")
