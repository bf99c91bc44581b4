"""Labelme's files as labels: the box around each object."""

from __future__ import annotations

import logging

import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels import read_labels


def shape(kind, points, label="dog", **others):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **others}


def document(*shapes, size=(640, 480)):
    return {
        "version": "5.5.0",
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageWidth": size[0],
        "imageHeight": size[1],
    }


@pytest.mark.parametrize(
    ("given", "box"),
    [
        (shape("rectangle", [[50, 60], [10, 20]]), [10, 20, 50, 60]),
        (shape("rectangle", [[10, 20], [50, 20], [50, 60], [10, 60]]), [10, 20, 50, 60]),
        (shape("polygon", [[10, 20], [50, 30], [30.5, 70]]), [10, 20, 50, 70]),
        (shape("circle", [[100, 100], [103, 104]]), [95, 95, 105, 105]),
        (shape("mask", [[10, 20], [29, 39]], mask="..."), [10, 20, 30, 40]),
        (shape("rotation", [[30, 10], [50, 30], [30, 50], [10, 30]]), [10, 10, 50, 50]),
        ({"label": "dog", "points": [[10, 20], [50, 30], [700, 70]]}, [10, 20, 640, 70]),
    ],
)
def test_the_box_around_a_shape(write, given, box):
    labels = read_labels(write({"a.json": document(given)}))
    found = labels.of("photos/a.jpg")
    assert (found.boxes_xyxy.tolist(), found.size, labels.category_ids) == ([box], (640, 480), None)


def test_names_are_sorted_over_all_photos(write):
    box = [[1, 2], [3, 4]]
    labels = read_labels(
        write(
            {
                "a.json": document(shape("rectangle", box, "dog"), shape("rectangle", box, "cat")),
                "more/b.labelme.json": document(shape("rectangle", box, "bird"), size=(None, None)),
                "labels.txt": "dog\ncat\n",
            }
        )
    )
    assert labels.names == {0: "bird", 1: "cat", 2: "dog"}
    assert labels.of("a.jpg").labels.tolist() == [2, 1]
    assert (labels.of("more/b.jpg").labels.tolist(), labels.of("more/b.jpg").size) == ([0], None)


def test_shapes_of_one_group_and_label_are_one_object(write):
    shapes = [
        shape("polygon", [[10, 10], [20, 10], [20, 20]], group_id=1),
        shape("polygon", [[60, 50], [90, 50], [90, 90]], group_id=1),
        shape("polygon", [[60, 50], [70, 50], [70, 60]], "cat", group_id=1),
        shape("polygon", [[60, 50], [65, 50], [65, 55]]),
    ]
    found = read_labels(write({"a.json": document(*shapes)})).of("a.jpg")
    assert found.boxes_xyxy.tolist() == [[10, 10, 90, 90], [60, 50, 70, 60], [60, 50, 65, 55]]


def test_points_and_lines_are_left_out(write, caplog):
    shapes = [shape("point", [[1, 2]]), shape("linestrip", [[1, 2], [3, 4]]), shape("line", [[1, 2], [3, 4]])]
    with caplog.at_level(logging.WARNING):
        labels = read_labels(write({"a.json": document(*shapes)}))
    assert (len(labels.of("a.jpg")), "a.jpg" in labels) == (0, True)
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("points and lines are left out: 3; the first is ")
    assert told.endswith("a.json: shape 0")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (shape("polygon", [[1, 2], [3, 4]]), "shape 1: a polygon must have 3 points or more, got 2"),
        (shape("circle", [[1, 2], [3, 4], [5, 6]]), "shape 1: a circle must have 2 points"),
        (shape("ellipse", [[1, 2], [3, 4]]), "shape 1: a ellipse must have 3 points"),
        (shape("rectangle", [[1, 2, 3], [3, 4]]), r"shape 1: a point must be \[x, y\], got \[1, 2, 3\]"),
        (shape("rectangle", [[1, None], [3, 4]]), "a number of .*shape 1: a point must be a number"),
        (shape("rectangle", None), "shape 1: points must be a list"),
        (shape("rectangle", [[1, 2], [3, 4]], ""), "shape 1: label must be a text"),
        (shape("rectangle", [[1, 2], [3, 4]], group_id=[1]), "shape 1: group_id must be an integer"),
        (shape(7, [[1, 2], [3, 4]]), "shape 1: shape_type must be a text, got 7"),
        ("rectangle", "shape 1 must be an object, got 'rectangle'"),
    ],
)
def test_a_malformed_shape_is_refused_with_its_index(write, given, told):
    with pytest.raises(PromptError, match=rf"a\.json: .*{told}|{told}"):
        read_labels(write({"a.json": document(shape("rectangle", [[1, 2], [3, 4]]), given)}))


def test_our_own_file_is_read(sample, tmp_path):
    """The ring with an island in its hole is a mask there, two pixels that meet at a corner are two polygons."""
    formats.save(sample, tmp_path / "photo.labelme.json", tolerance=0)
    found = read_labels(tmp_path).of("photo.jpg")
    assert found.boxes_xyxy.tolist() == [mask.box.tolist() for mask in sample.masks]
