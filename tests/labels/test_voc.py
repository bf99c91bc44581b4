"""Pascal VOC's files as labels."""

from __future__ import annotations

import pytest

from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels import read_labels

BOX = "<bndbox><xmin>11</xmin><ymin>21</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
SIZE = "<size><width>640</width><height>480</height><depth>3</depth></size>"


def annotation(*objects, size=SIZE):
    listed = "".join(f"<object>{one}</object>" for one in objects)
    return f"<annotation><filename>other.jpg</filename>{size}{listed}</annotation>"


def test_pixels_are_counted_from_1_and_the_last_one_is_in_the_box(write):
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    files = {
        "Annotations/a.xml": annotation(
            f"<name> dog\n</name>{part}<difficult>1</difficult>{BOX}", f"<name>cat</name>{BOX}"
        ),
        "Annotations/b.xml": annotation(f"<name>bird</name>{BOX.replace('30', '30.5')}", size=SIZE.replace("640", "0")),
        "Annotations/c.xml": annotation(size=""),
    }
    labels = read_labels(write(files))
    assert labels.names == {0: "bird", 1: "cat", 2: "dog"}
    one = labels.of("JPEGImages/a.jpg")
    assert (one.boxes_xyxy.tolist(), one.labels.tolist(), one.size) == ([[10, 20, 30, 40]] * 2, [2, 1], (640, 480))
    other = labels.of("JPEGImages/b.jpg")
    assert (other.boxes_xyxy.tolist(), other.size) == ([[10, 20, 30.5, 40]], None)
    assert len(labels.of("JPEGImages/c.jpg")) == 0


def test_encodings_are_those_that_the_file_declares(write):
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>{annotation(f"<name>café</name>{BOX}")}'
    assert read_labels(write({"a.xml": text.encode("latin-1")})).names == {0: "café"}
    marked = annotation(f"<name>茶</name>{BOX}").encode("utf-8-sig")
    assert read_labels(write({"a.xml": marked})).names == {0: "茶"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (annotation("<name>dog</name>"), r"object 0 must have bndbox/xmin, a number of pixels"),
        (annotation(f"<name>dog</name>{BOX}", BOX), "object 1 must have a name"),
        (
            annotation(f"<name>dog</name>{BOX.replace('21', 'top')}"),
            "object 0: bndbox/ymin must be a number .*got 'top'",
        ),
        (annotation(f"<name>dog</name>{BOX.replace('21', '1e999')}"), "object 0: bndbox/ymin must be a number"),
        (annotation(size=SIZE.replace("640", "-1")), "size/width must be a number"),
        ("<annotation><object>", "as XML: no element found"),
        ("", "as XML"),
        ('<?xml version="1.0" encoding="no-such"?><annotation/>', "as XML: unknown encoding"),
        ("<annotation>\0</annotation>", "as XML"),
    ],
)
def test_what_is_malformed_is_refused(write, content, told):
    with pytest.raises(PromptError, match=rf"a\.xml.*{told}"):
        read_labels(write({"a.xml": content}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(write, encoding):
    """Entities in it could stand for gigabytes, or for files."""
    bomb = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]>' + annotation(f"<name>&c;</name>{BOX}")
    with pytest.raises(PromptError, match=r"a\.xml as XML: it has a document type declaration, which is refused"):
        read_labels(write({"a.xml": bomb.encode(encoding)}))
