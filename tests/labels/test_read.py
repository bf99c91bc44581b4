"""Which kind of labels there are; whatever is in the files, only our own exceptions come out."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.labels import LabelledBoxes, read_labels

YOLO = "0 0.5 0.5 1 1\n"
LABELME = {"shapes": [{"label": "cat", "shape_type": "rectangle", "points": [[1, 2], [3, 4]]}]}
BNDBOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
VOC = f"<annotation><object><name>cat</name>{BNDBOX}</object></annotation>"
COCO = {"images": [], "annotations": [], "categories": []}
OURS = {"format": "fastsam-onnx", "version": 1, "objects": []}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"a.txt": YOLO, "b.json": LABELME},
            r"of one kind, got YOLO \(.*a\.txt\) and labelme \(.*b\.json\); name a folder",
        ),
        ({"a.xml": VOC, "b.json": LABELME}, r"got labelme \(.*\) and Pascal VOC"),
        ({"a.txt": YOLO, "b.json": COCO}, r"b\.json is a COCO file, of many photos: name it itself"),
        ({"a.jpg": b"", "more/b.png": b""}, "there are none in .*: it has no such files"),
        ({"a.json": OURS}, r"a\.json is our own JSON, which has masks already: `fastsam-onnx convert`"),
        ({"a.json": {"more": 7}}, r"there are none in .*: it has .*a\.json"),
        ({"a.json": LABELME, "b.json": OURS}, r"b\.json is no label file of labelme"),
        ({"a.xml": VOC, "b.xml": "<rss/>"}, r"b\.xml is no label file of Pascal VOC"),
    ],
)
def test_a_folder_has_labels_of_one_kind(write, files, told):
    with pytest.raises(PromptError, match=told):
        read_labels(write(files))


@pytest.mark.parametrize("files", [{"b.json": OURS, "c.xml": "<rss/>"}, {"b.json": {}, "notes.json": [1]}])
def test_what_lies_beside_labels_of_another_kind_is_passed_over(write, files):
    assert len(read_labels(write({"a.txt": YOLO, "classes.txt": "cat\n", **files}))) == 1


def test_a_label_file_alone_is_refused_with_its_folder(write):
    folder = write({"a.txt": YOLO, "b.xml": VOC, "c.jpg": b"\xff\xd8"})
    for name in ("a.txt", "b.xml", "c.jpg"):
        with pytest.raises(PromptError, match=rf"labels must be a folder of .*, got .*{name}; of label files name the"):
            read_labels(folder / name)


def test_what_is_not_there_or_no_path_is_refused(tmp_path):
    with pytest.raises(PromptError, match=r"cannot read the labels .*none: there is no such file"):
        read_labels(tmp_path / "none")
    with pytest.raises(OptionError, match="path must be the path"):
        read_labels(None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX system")
def test_what_is_no_file_is_not_waited_for(write):
    folder = write({"a.txt": YOLO, "classes.txt": "cat\n"})
    os.mkfifo(folder / "b.txt")
    assert len(read_labels(folder)) == 1


def test_links_to_folders_are_told(write, caplog):
    folder = write({"labels/a.txt": YOLO, "labels/classes.txt": "cat\n", "other/b.txt": YOLO})
    try:
        (folder / "labels" / "link").symlink_to(folder / "other")
    except OSError:
        pytest.skip("this system makes no links")
    assert len(read_labels(folder / "labels")) == 1
    assert "link is a link to a folder and is not searched for labels" in caplog.text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def of_keys(*keys):
    """Objects with some of these keys, with values that fit and others."""
    fitting = st.integers(0, 3) | st.lists(st.floats(0, 9), min_size=4, max_size=6) | st.sampled_from(["a.jpg", "mask"])
    return st.dictionaries(st.sampled_from(keys), fitting | json_values, max_size=len(keys))


coco = st.fixed_dictionaries(
    {
        "images": st.lists(of_keys("id", "file_name", "width", "height"), max_size=3) | json_values,
        "annotations": st.lists(of_keys("image_id", "category_id", "bbox", "segmentation", "iscrowd"), max_size=3),
        "categories": st.lists(of_keys("id", "name"), max_size=3) | json_values,
    }
)
points = st.lists(st.lists(st.floats(-9, 99), min_size=2, max_size=2), max_size=4)
shapes = st.lists(of_keys("label", "points", "shape_type", "group_id"), max_size=3)
labelme = st.fixed_dictionaries({"shapes": shapes | json_values, "imageWidth": json_values, "imageHeight": json_values})
numbers = st.floats(-1, 2) | st.floats() | st.integers() | st.integers(0, 3)
yolo = st.lists(st.lists(numbers, max_size=9), max_size=4).map(
    lambda lines: "\n".join(" ".join(map(str, line)) for line in lines)
)
tags = st.sampled_from(["annotation", "object", "name", "bndbox", "xmin", "ymin", "xmax", "ymax", "size", "width"])
xml = st.recursive(
    st.sampled_from(["", "cat", "7", "-1", "1e999", "&lt;", "&no;", "<!DOCTYPE a>"]),
    lambda inner: st.tuples(tags, st.lists(inner, max_size=5)).map(
        lambda each: f"<{each[0]}>{''.join(each[1])}</{each[0]}>"
    ),
    max_leaves=20,
)


def read_all(path, photo):
    """Read the labels of a path, and those of a photo among them, if they are no fault of a kind that is told."""
    with suppress(PromptError):
        found = read_labels(path).of(photo)
        assert isinstance(found, LabelledBoxes)
        found.in_photo((64, 48))


@given(document=coco | json_values)
def test_no_coco_file_raises_anything_else(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_text(json.dumps(document), "utf-8")
    read_all(path, "a.jpg")


@given(document=labelme | json_values, data=st.text(max_size=30) | yolo, names=st.text(max_size=20))
def test_no_file_of_a_folder_raises_anything_else(tmp_path_factory, document, data, names):
    for name, content in (("a.json", json.dumps(document)), ("a.txt", data), ("data.yaml", f"names:{names}")):
        folder = tmp_path_factory.mktemp("folder")
        (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
        (folder / "b.txt").write_text(YOLO if name == "data.yaml" else "")
        read_all(folder, "a.jpg")


@given(
    content=xml.map(lambda text: f"<annotation>{text}</annotation>".encode())
    | xml.map(str.encode)
    | st.binary(max_size=60)
)
def test_no_xml_raises_anything_else(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("voc")
    (folder / "a.xml").write_bytes(content)
    read_all(folder, "a.jpg")


@given(content=st.binary(max_size=60), suffix=st.sampled_from([".txt", ".json", ".xml"]))
def test_no_bytes_raise_anything_else(tmp_path_factory, content, suffix):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / f"a{suffix}").write_bytes(content)
    read_all(folder, "a.jpg")
