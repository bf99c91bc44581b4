"""Classes and names in every format that has a place for them; without classes nothing is written."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from support.samples import make_sample

from fastsam_onnx import formats
from fastsam_onnx.draw import overlay
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.categories import MOST_LISTED, category_names, listed_categories
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation

NAMES = {0: "cup", 2: "Tom & <Jerry>"}


@pytest.fixture
def classed():
    plain = make_sample()
    return Segmentation.from_masks(
        list(plain.masks), plain.scores, plain.boxes, image=plain.image, source="a.jpg", labels=[0, 2, 7, 0, 2],
        names=NAMES,
    )  # fmt: skip


def test_json(classed, sample):
    objects = formats.to_dict(classed)["objects"]
    assert [(one["label"], one["name"]) for one in objects[:3]] == [(0, "cup"), (2, "Tom & <Jerry>"), (7, "7")]
    json.dumps(objects)
    assert not {"label", "name"} & set(formats.to_dict(sample)["objects"][0])


def test_coco_has_the_index_of_the_file(classed, sample):
    assert [one["category_id"] for one in formats.to_coco(classed)] == [0, 2, 7, 0, 2]
    for category_id in (0, 3):
        assert {one["category_id"] for one in formats.to_coco(classed, category_id=category_id)} == {category_id}
    assert {one["category_id"] for one in formats.to_coco(sample)} == {1}


def test_coco_with_an_id_for_each_class(classed, sample):
    ids = [1, 2, 3, 4, 5, 6, 7, 90]  # of class 7, as COCO numbers the last of 80
    for given in (ids, tuple(ids), np.array(ids)):
        assert [one["category_id"] for one in formats.to_coco(classed, category_id=given)] == [1, 3, 90, 1, 3]
    assert formats.to_coco(classed[:0], category_id=[]) == []
    assert {one["category_id"] for one in formats.to_coco(sample, category_id=[18])} == {18}
    with pytest.raises(OptionError, match=r"category_id.*got 7 for class 7"):
        formats.to_coco(classed, category_id=ids[:7])
    with pytest.raises(OptionError, match=r"category_id must be an integer.*got 'a'"):
        formats.to_coco(classed, category_id=["a"] * 8)


def test_a_coco_data_set_has_them_as_categories(classed, tmp_path):
    with formats.CocoDataset(tmp_path / "a.json") as dataset:
        dataset.add(classed)
    document = json.loads((tmp_path / "a.json").read_text())
    names = {one["id"]: one["name"] for one in document["categories"]}
    assert [names[one["category_id"]] for one in document["annotations"]] == category_names(classed)
    assert listed_categories(NAMES) == ["cup", "1", "Tom & <Jerry>"]
    assert listed_categories(None) == ["object"]


def test_a_list_of_classes_does_not_fill_the_memory():
    """A small file that names the class 2**53 filled it."""
    assert len(listed_categories({MOST_LISTED - 1: "last"})) == MOST_LISTED
    with pytest.raises(OptionError, match="at most 99999, got 100000"):
        listed_categories({MOST_LISTED: "cup"})


def test_yolo_labels_begin_with_the_index(classed, sample):
    assert [line.split()[0] for line in formats.to_yolo(classed).splitlines()] == list("02702")
    assert {line.split()[0] for line in formats.to_yolo(sample).splitlines()} == {"0"}


def test_labelme(classed, sample):
    assert {shape["label"] for shape in formats.to_labelme(classed)["shapes"]} == {"cup", "Tom & <Jerry>", "7"}
    assert {shape["label"] for shape in formats.to_labelme(classed, label="thing")["shapes"]} == {"thing"}
    assert {shape["label"] for shape in formats.to_labelme(sample)["shapes"]} == {"object"}


def test_geojson(classed, sample):
    properties = formats.to_geojson(classed)["features"][1]["properties"]
    assert (properties["label"], properties["name"]) == (2, "Tom & <Jerry>")
    assert "name" not in formats.to_geojson(sample)["features"][1]["properties"]


def test_svg_titles(classed):
    titles = [each.text for each in ElementTree.fromstring(formats.to_svg(classed)).iter() if "title" in each.tag]
    assert "object 1, Tom & <Jerry>, score 0.9" in titles


@pytest.mark.parametrize(
    ("name", "in_xml"),
    [
        ("a\0b", "a\ufffdb"),
        ("a\x1bb", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("a\uffffb", "a\ufffdb"),
        ("\t\x7f\x85\ud7ff\ue000", "\t\x7f\x85\ud7ff\ue000"),
        ("\U0001f600", "\U0001f600"),
    ],
    ids=ascii,
)
def test_every_format_takes_any_name(name, in_xml, tmp_path):
    found = named((40, 30), [(2, 2, 20, 20)], name)
    for form in ("json", "labelme", "geojson"):
        options = {"image_path": name} if form == "labelme" else {}
        assert name in strings(json.loads(formats.encode(found, form, **options)))
    with formats.CocoDataset(tmp_path / "a.json") as dataset:
        dataset.add(found, name)
    assert name in strings(json.loads((tmp_path / "a.json").read_text()))
    found.save(tmp_path / "a.svg")
    [title] = [each.text for each in ElementTree.parse(tmp_path / "a.svg").iter() if "title" in each.tag]
    assert title == f"object 0, {in_xml}, score 1.0"
    assert overlay(found).shape == (30, 40, 3)


def strings(document):
    """Everything at the ends of a document of JSON."""
    if not isinstance(document, dict | list):
        return [document]
    values = document.values() if isinstance(document, dict) else document
    return [text for each in values for text in strings(each)]


def test_supervision(classed):
    pytest.importorskip("supervision", reason="supervision is not installed")
    detections = formats.to_supervision(classed)
    assert detections.class_id.tolist() == [0, 2, 7, 0, 2]
    assert detections.data["class_name"].tolist() == ["cup", "Tom & <Jerry>", "7", "cup", "Tom & <Jerry>"]
    assert len(formats.to_supervision(classed[:0])) == 0


def named(size, boxes, name="cup"):
    masks = [Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size) for x1, y1, x2, y2 in boxes]
    photo = np.full((size[1], size[0], 3), 128, np.uint8)
    return Segmentation.from_masks(masks, image=photo, labels=[0] * len(masks), names={0: name})


def written(found, **options):
    """Where the overlay differs from the one without names: x1, y1, x2, y2, or None."""
    ys, xs = np.nonzero((overlay(found, **options) != overlay(found, names=False, **options)).any(axis=2))
    return (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if xs.size else None


@pytest.mark.parametrize("side", [100, 640, 3000])
def test_a_name_stands_above_its_object_in_a_size_to_read(side):
    box = (side // 4, side // 2, side // 2, 3 * side // 4)
    x1, y1, x2, y2 = written(named((side, side), [box]))
    assert (x1, y2) == (box[0], box[1])
    assert max(8, side // 62) <= y2 - y1 <= max(20, side // 25)
    assert x2 - x1 > y2 - y1


def test_names_do_not_cover_each_other_and_stay_in_the_photo():
    found = named((200, 100), [(0, 0, 190, 95)] * 40)
    alone = overlay(found[:1])
    together = overlay(found)
    x1, y1, x2, y2 = written(found[:1])
    assert (x1, y1) == (0, 0)
    np.testing.assert_array_equal(together[y1:y2, x1:x2], alone[y1:y2, x1:x2])
    assert written(named((30, 9), [(2, 2, 8, 8)], "a name that is longer than the photo")) is not None
    assert overlay(named((30, 30), [(2, 2, 8, 8)], "čaj 茶")).shape == (30, 30, 3)


def test_without_classes_nothing_is_written(sample):
    np.testing.assert_array_equal(overlay(sample), overlay(sample, names=False))
    with pytest.raises(OptionError, match="names must be True or False"):
        overlay(sample, names="cup")
    assert re.search("names", " ".join(formats.FORMATS["overlay"].options))
