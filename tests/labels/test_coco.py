"""COCO's instances file as labels."""

from __future__ import annotations

import copy
import logging

import pytest

from fastsam_onnx.errors import PromptError
from fastsam_onnx.formats import CocoDataset
from fastsam_onnx.labels import read_labels

DOCUMENT = {
    "images": [
        {"id": 9, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 4, "file_name": "more\\b.jpg", "width": None, "height": 0},
        {"id": 5, "file_name": "c.jpg"},
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "category_id": 18, "bbox": [10, 20, 30, 40.5], "iscrowd": 0},
        {"id": 2, "image_id": 9, "category_id": 1, "bbox": [600, 400, 100, 100]},
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": {"counts": "x"}},
        {"id": 4, "image_id": 4, "category_id": 18, "segmentation": [[1, 2, 5, 2, 5, 8], [7, 3, 9, 3, 9, 4]]},
    ],
    "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "cat", "supercategory": "animal"}],
}


@pytest.fixture
def read(write):
    """The labels of a file after changes of DOCUMENT: (list, index, key, value)."""

    def read_changed(*changes):
        document = copy.deepcopy(DOCUMENT)
        for name, index, key, value in changes:
            document[name][index][key] = value
        return read_labels(write({"instances.json": document}) / "instances.json")

    return read_changed


def test_boxes_classes_and_ids(read, caplog):
    with caplog.at_level(logging.WARNING):
        labels = read()
    assert (labels.names, labels.category_ids, len(labels)) == ({0: "cat", 1: "dog"}, (1, 18), 3)
    one = labels.of("photos/a.jpg")
    assert one.boxes_xyxy.tolist() == [[10, 20, 40, 60.5], [600, 400, 640, 480]]  # cut to the photo
    assert (one.labels.tolist(), one.size, one.image_id) == ([1, 0], (640, 480), 9)
    other = labels.of("photos/more/b.jpg")
    assert (other.boxes_xyxy.tolist(), other.size) == ([[1, 2, 9, 8]], None)
    assert ("c.jpg" in labels, len(labels.of("c.jpg"))) == (True, 0)
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("crowds are left out: 1; the first is ")
    assert told.endswith("instances.json: annotation 2")


def test_a_bbox_of_zeros_hides_no_outlines(read):
    """Such an object was left out as a box without area."""
    zeros, outline = ("annotations", 3, "bbox", [0, 0, 0, 0]), ("annotations", 3, "segmentation", [[1, 1, 5, 1, 5, 5]])
    [_, (_, boxes), _] = read(zeros, outline).photos
    assert boxes.boxes_xyxy.tolist() == [[1, 1, 5, 5]]
    [_, (_, boxes), _] = read(zeros, ("annotations", 3, "segmentation", None)).photos
    assert not len(boxes.boxes_xyxy)


def test_of_two_categories_of_one_name_the_used_one_counts(read):
    """Roboflow writes the data set's name as a category 0 without objects, often that of the only class."""
    assert read(
        ("categories", 0, "name", "cat"), ("annotations", 0, "category_id", 1), ("annotations", 3, "category_id", 1)
    ).names == {0: "cat"}
    with pytest.raises(PromptError, match="categories 1 and 18 have one name, 'cat'"):
        read(("categories", 0, "name", "cat"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("images", 0, "id", 4.5), "image 0: id must be an integer from 0 to .*, got 4.5"),
        (("images", 0, "id", 4), "image 1: every photo must have an id of its own, got 4 again"),
        (("images", 0, "file_name", None), "image 0: file_name must be a text, got None"),
        (("images", 0, "width", "640"), "image 0: width must be a number from 0"),
        (("images", 0, "width", 640.5), "image 0: width must be a number of pixels, got 640.5"),
        (("annotations", 1, "image_id", 7), "annotation 1: image_id must be one of images, got 7"),
        (("annotations", 1, "image_id", None), "annotation 1: image_id must be an integer from 0 to .*, got None"),
        (("annotations", 1, "category_id", 2), "annotation 1: category_id must be one of categories, got 2"),
        (("annotations", 1, "category_id", [1]), r"annotation 1: category_id must be one of categories, got \[1\]"),
        (
            ("annotations", 1, "bbox", [1, 2, 3]),
            r"annotation 1: bbox must be \[x, y, width, height\] .* got \[1, 2, 3\]",
        ),
        (("annotations", 1, "bbox", [1, 2, -3, 4]), "annotation 1: bbox must be"),
        (("annotations", 1, "bbox", [1, 2, float("nan"), 4]), "annotation 1: bbox must be a number|a number of .*bbox"),
        (("annotations", 1, "bbox", [1, 2, 10**400, 4]), "a number of .*annotation 1: bbox must be a number"),
        (("annotations", 1, "bbox", "1 2 3 4"), "annotation 1: bbox must be a list, got '1 2 3 4'"),
        (("annotations", 1, "bbox", None), "annotation 1 must have a bbox, or a segmentation of polygons"),
        (("annotations", 3, "segmentation", [[1, 2, 3]]), r"annotation 3: an outline must be \[x, y, x, y"),
        (("categories", 0, "id", 1), "category 1: every category must have an id of its own, got 1 again"),
        (("categories", 0, "id", -1), "category 0: id must be an integer"),
        (("categories", 0, "name", 7), "category 0: name must be a text, got 7"),
    ],
)
def test_what_is_malformed_is_refused_with_its_index(read, change, told):
    with pytest.raises(PromptError, match=told):
        read(change)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({**DOCUMENT, "categories": None}, "categories must be a list, got None"),
        ({**DOCUMENT, "images": {}}, "images must be a list"),
        ({**DOCUMENT, "annotations": [7]}, "annotation 0 must be an object, got 7"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4]}], "has no images and annotations"),
        ({"format": "fastsam-onnx", "objects": []}, "is our own JSON, which has masks already: `fastsam-onnx convert`"),
        ({"shapes": []}, "is labelme's, of one photo: name its folder"),
        ("[" * 100_000, "must be JSON"),
        ('{"images": [], "images": []}', "'images' is there twice"),
        ("", "must be JSON"),
    ],
)
def test_another_document_is_refused(write, document, told):
    with pytest.raises(PromptError, match=told):
        read_labels(write({"instances.json": document}) / "instances.json")


def test_our_own_data_set_is_read(sample, tmp_path):
    with CocoDataset(tmp_path / "instances.json") as dataset:
        dataset.add(sample)
    labels = read_labels(tmp_path / "instances.json")
    assert (labels.names, labels.category_ids) == ({0: "object"}, (1,))
    assert labels.of("photo.jpg").boxes_xyxy.tolist() == [mask.box.tolist() for mask in sample.masks]
