"""YOLO's label files: boxes and outlines in shares, and the files that name the classes."""

from __future__ import annotations

import logging

import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels import read_labels
from fastsam_onnx.results import rules

NAMED = {"classes.txt": "cat\ntraffic light\n"}


def boxes_of(folder, photo="a.jpg"):
    found = read_labels(folder).of(photo)
    return [
        (found.names[label], [round(value, 6) for value in box])
        for label, box in zip(found.labels.tolist(), found.boxes_xyxy.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("line", "box"),
    [
        ("1 0.5 0.4 0.2 0.1", [0.4, 0.35, 0.6, 0.45]),
        ("1 0.5 0.4 0.2 0.1 0.93", [0.4, 0.35, 0.6, 0.45]),
        ("1.0\t5e-1  .4 0.2 0.1 ", [0.4, 0.35, 0.6, 0.45]),
        ("1 0.1 0.2 0.5 0.6 0.3 0.9", [0.1, 0.2, 0.5, 0.9]),
        ("1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6", [0.1, 0.2, 0.5, 0.6]),
        ("1 0.9 0.5 0.4 1", [0.7, 0, 1, 1]),
        ("1 1.005 0.5 0.2 0.2", [0.905, 0.4, 1, 0.6]),
    ],
    ids=["box", "confidence", "spelling", "outline", "corners", "beyond", "rounded"],
)
def test_a_line_is_a_box(write, line, box):
    folder = write({**NAMED, "a.txt": f"\n{line}\n\n0 0.5 0.5 1 1\n"})
    assert boxes_of(folder) == [("traffic light", box), ("cat", [0, 0, 1, 1])]


def test_files_of_windows_with_a_byte_order_mark_are_read(write):
    folder = write(
        {"a.txt": b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n1 0.5 0.5 1 1\r\n", "classes.txt": b"\xef\xbb\xbfcat\r\ndog\r\n"}
    )
    assert [name for name, _ in boxes_of(folder)] == ["cat", "dog"]


@pytest.mark.parametrize(("decimals", "size"), [(6, (640, 427)), (6, (6000, 4000)), (5, (1333, 800))])
def test_whole_pixels_stay_whole_behind_rounded_shares(write, decimals, size):
    """Sides that missed their pixel by a thousandth had one more, or one less: other masks than those of the boxes."""
    width, height = size
    boxes = [(x, x // 2, x + 7 + x // 3, x // 2 + 9) for x in range(0, width * 2 // 3, 37)]
    lines = [
        (0, (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        for x1, y1, x2, y2 in boxes
    ]
    text = "".join(f"{line[0]} {' '.join(f'{value:.{decimals}f}' for value in line[1:])}\n" for line in lines)
    found = read_labels(write({**NAMED, "a.txt": text})).of("a.jpg").in_photo(size)
    assert rules.cut_to_photo(found, size).tolist() == [list(map(float, box)) for box in boxes]


def test_an_empty_file_is_a_photo_without_objects(write):
    labels = read_labels(write({**NAMED, "a.txt": "0 0.5 0.5 1 1\n", "b.txt": "\n"}))
    assert (len(labels), len(labels.of("b.jpg")), "b.jpg" in labels, "c.jpg" in labels) == (2, 0, True, False)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0 320 240 100 80", r"share of the photo's width or height, from 0 to 1, got 320; divide"),
        ("0 0.5 0.5 -0.2 0.1", "from 0 to 1, got -0.2"),
        ("0 0.5 0.5 1e999 0.1", "from 0 to 1, got inf"),
        ("0 0.5 0.5 nan 0.1", "numbers with spaces between, got 'nan'"),
        ("0,0.5,0.5,1,1 7", "numbers with spaces between, got '0,0.5"),
        ("cat 0.5 0.5 0.1 0.1", "numbers with spaces between, got 'cat'"),
        ("-1 0.5 0.5 0.1 0.1", "index of its class, an integer from 0 to 99999, got '-1'"),
        ("0.5 0.5 0.5 0.1 0.1", "index of its class"),
        ("1e9 0.5 0.5 0.1 0.1", "index of its class"),
        ("0 0.5 0.5 0.1", "got 4; keypoints are not read"),
        ("0 0.5 0.5 0.1 0.1 0.2 0.2 2", "got 8; keypoints are not read"),
        ("2 0.5 0.5 0.1 0.1", "class 2 has no name, and the highest that has one is 1; add"),
    ],
)
def test_another_line_is_refused_with_its_number(write, line, told):
    folder = write({**NAMED, "set/a.txt": f"0 0.5 0.5 1 1\n\n{line}\n"})
    with pytest.raises(PromptError, match=rf"a\.txt, line 3: .*{told}"):
        read_labels(folder)


def test_boxes_without_area_are_told_once(write, caplog):
    folder = write({**NAMED, "a.txt": "0 0.5 0.5 0 0.1\n0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0\n", "b.txt": "0 1 1 0 0\n"})
    with caplog.at_level(logging.WARNING):
        assert len(read_labels(folder).of("a.jpg")) == 1
    [told] = [record.getMessage() for record in caplog.records]
    assert told == f"boxes without area inside their photo are left out: 3; the first is {folder / 'a.txt'}, line 1"


@pytest.mark.parametrize(
    ("files", "labels"),
    [
        ({"labels/data.yaml": "names: ['cat', \"dog\"]\n"}, "labels"),
        ({"labels/data.yaml": "names:\n  0: cat\n  1: dog\n"}, "labels"),
        ({"data.yaml": "train: images\nnames: {0: cat, 1: dog}\nnc: 2\n"}, "labels"),
        ({"data.yaml": "names: [cat, dog]\n"}, "."),
        ({"labels/deep/er/classes.txt": "cat\ndog\n"}, "labels"),
        ({"obj.names": "cat\ndog\n"}, "labels/deep/er"),
        ({"labels/data.yaml": "train: x\n", "classes.txt": "cat\ndog\n"}, "labels"),
        ({"labels/classes.txt": "cat\ndog\n", "data.yaml": "names: [no, none]\n"}, "labels"),
    ],
)
def test_the_nearest_file_that_names_the_classes_does(write, files, labels):
    folder = write({**files, "labels/deep/er/a.txt": "1 0.5 0.5 1 1\n0 0.5 0.5 1 1\n"})
    assert [name for name, _ in boxes_of(folder / labels)] == ["dog", "cat"]
    read = read_labels(folder / labels)
    assert len(read.files) == 2
    assert folder / "labels/deep/er/a.txt" in read.files


def test_files_that_lie_beside_labels_are_none(write):
    """Roboflow's, Darknet's, labelImg's and Label Studio's; train.txt may be a photo's, too."""
    beside = {
        "README.roboflow.txt": "An export of seven words and more\n",
        "README.dataset.txt": "# cats\n",
        "predefined_classes.txt": "dog\n",
        "val.txt": "images/a.jpg\nimages/b.jpg\n",
        "notes.json": {"categories": []},
        ".hidden.txt": "x\n",
        "__MACOSX/._a.txt": b"\0\5\x16\7",
    }
    labels = read_labels(write({**NAMED, **beside, "a.txt": "0 0.5 0.5 1 1\n", "train.txt": "0 0.5 0.5 1 1\n"}))
    assert [name for name, _ in labels.photos] == ["a", "train"]


def test_another_text_among_labels_is_refused(write):
    """It may be labels that something damaged."""
    folder = write({**NAMED, "a.txt": "0 0.5 0.5 1 1\n", "b.txt": "hello\n"})
    with pytest.raises(PromptError, match=r"b\.txt is no label file of YOLO, as others"):
        read_labels(folder)


def test_without_names_classes_are_called_by_their_indices(write, caplog):
    with caplog.at_level(logging.WARNING):
        labels = read_labels(write({"a.txt": "7 0.5 0.5 1 1\n3 0.5 0.5 1 1\n"}))
    assert labels.names == {3: "3", 7: "7"}
    [told] = [record.getMessage() for record in caplog.records]
    assert "nothing names the classes" in told


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"data.yaml": "names: [cat]\nkpt_shape: [17, 3]\n"}, r"data\.yaml has kpt_shape: its labels are keypoints"),
        ({"data.yaml": "names: *cats\n"}, r"data\.yaml: how it names classes is not understood; write a line"),
        ({"data.yaml": b"names: [\xe9]\n"}, r"data\.yaml must be text in UTF-8"),
        ({"x/classes.txt": "cat\n", "y/classes.txt": "dog\n"}, "name the classes differently"),
        ({"x/a.txt": b"\xff\xfe0\0"}, r"a\.txt must be text in UTF-8"),
    ],
)
def test_what_names_no_boxes_or_classes_is_refused(write, files, told):
    folder = write({"x/a.txt": "0 0.5 0.5 1 1\n", "y/b.txt": "0 0.5 0.5 1 1\n", **files})
    with pytest.raises(PromptError, match=told):
        read_labels(folder)


def test_our_own_outlines_are_read(sample, tmp_path):
    """The box around each outline, to the six decimals of the file; of 48 x 36 pixels."""
    formats.save(sample, tmp_path / "photo.txt")
    (tmp_path / "data.yaml").write_text(formats.yolo_data(["."], ["object"]))
    read = read_labels(tmp_path).of("photo.jpg").in_photo(sample.image_size)
    assert abs(read - [mask.box for mask in sample.masks]).max() < 0.5
