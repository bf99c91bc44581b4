"""YOLO's label files: shares of the photo, one ring per object, and the data.yaml."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.yolo import folders_of_data
from fastsam_onnx.formats.yolo_names import names_of_data
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


def filled(line, size):
    """The pixels whose centres are inside the ring of a label: an odd number of edges lies to their left."""
    ring = np.array(line.split()[1:], float).reshape(-1, 2) * np.array(size)
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    inside = np.zeros(x.shape, bool)
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crossed = (y1 > y) != (y2 > y)
        inside ^= crossed & (x > x1 + (y - y1) * (x2 - x1) / (y2 - y1 if y1 != y2 else 1))
    return inside


def test_folders_and_names_are_lists():
    """One folder was a list of its letters, each a folder; names by index were an error about something else."""
    with pytest.raises(OptionError, match="folders must be a list of texts, got 'photos'"):
        formats.yolo_data("photos", ["cat"])
    with pytest.raises(OptionError, match=r"names must be a list of texts, got \{0: 'cat'\}"):
        formats.yolo_data(["photos"], {0: "cat"})


def test_a_rectangle_is_four_corners_in_shares_of_the_photo():
    """Of 48 x 36: 24 / 48 = 0.5, 40 / 48 = 0.833333, 20 / 36 = 0.555556, 30 / 36 = 0.833333."""
    dense = np.zeros((36, 48), bool)
    dense[20:30, 24:40] = True
    found = Segmentation.from_masks([Mask.from_dense(dense), Mask.empty((48, 36))])
    right, low, high = "0.833333", "0.833333", "0.555556"
    assert formats.to_yolo(found) == f"0 0.500000 {high} {right} {high} {right} {low} 0.500000 {low}\n"


def test_shares_tell_the_pixels_of_very_wide_photos_apart():
    """With six digits the corners 1234567 / 2000000 = 0.6172835 and 1234568 / 2000000 = 0.617284 were one."""
    mask = Mask(np.ones((4, 1), bool), 1_234_567, 0, (2_000_000, 4))
    line = formats.to_yolo(Segmentation.from_masks([mask]), tolerance=0)
    assert set(line.split()[1::2]) == {"0.61728350", "0.61728400"}
    x = np.array(line.split()[1::2], float) * 2_000_000
    assert set(np.rint(x).tolist()) == {1_234_567, 1_234_568}


def test_holes_and_islands_are_in_the_one_ring(sample):
    lines = formats.to_yolo(sample, tolerance=0).splitlines()
    assert len(lines) == len(sample)
    for line, mask in zip(lines, sample.masks, strict=True):
        np.testing.assert_array_equal(filled(line, sample.image_size), mask.dense())


def test_shares_are_from_0_to_1_and_nothing_is_an_empty_file():
    whole = Segmentation.from_masks([Mask.from_dense(np.ones((7, 5), bool))])
    values = [float(value) for value in formats.to_yolo(whole).split()[1:]]
    assert (min(values), max(values)) == (0, 1)
    assert formats.encode(Segmentation.from_masks([], image_size=(5, 7)), "yolo") == b""


def test_the_tolerance_is_checked(sample):
    with pytest.raises(OptionError, match="tolerance"):
        formats.to_yolo(sample, tolerance=-1)


def test_data_yaml_is_yaml():
    yaml = pytest.importorskip("yaml")
    read = yaml.safe_load(formats.yolo_data(["../images", 'a "b": c'], ["object", "yes"]))
    assert read == {
        "train": ["../images", 'a "b": c'],
        "val": ["../images", 'a "b": c'],
        "names": {0: "object", 1: "yes"},
    }


@pytest.mark.parametrize("name", ["a\0b", "\x7f\x85\u2028\\", "čaj 茶", "\U0001f600 \U00010348"], ids=ascii)
def test_data_yaml_holds_any_name(name):
    """JSON's two escapes of a character beyond 16 bits are two characters in YAML, or an error."""
    yaml = pytest.importorskip("yaml")
    text = formats.yolo_data([name], [name])
    for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        read = yaml.load(text.encode(), loader)
        assert (read["train"], read["names"]) == ([name], {0: name})
    assert (folders_of_data(text), names_of_data(text)) == ([name], {0: name})


@pytest.mark.parametrize(
    "block",
    [
        "\n  0: cat\n  1: dog\n",
        "\n- cat\n- dog\n",
        "  # two\n  0: 'cat'  # mine\n\n # more\n  1: dog # yours\n",
        '\n    1: "dog"\n    0: "cat"',
        "\n  0: it''s\n",
        f"\n  0: a{' ' * 100_000}b  # {'# ' * 100_000}\n  1: c\n",
        "\n  - 'it''s'\n  - \"#1\"\n",
        "\n  0: a#b\n  12: c d\n",
        "\n# mine\n  0: cat\n\n# and\n  1: dog\n",
        '\n  0: "caf\\xE9"\n  1: "\\u8336 \\U0001F375"\n  2: "a\\"b\\\\c\\/d\\te\\_f"\n',
        " ['cat', \"dog d\", it is, 't, s', \"x\\ty\"]\n",
        " [ cat,dog , ]  # two\n",
        "\n  ['cat', # one\n   # more\n   dog\n  ]\n",
        " [\n'cat',\n'it''s'\n]\n",
        " {0: cat, 7: 'a: b',\n  2: \"c, d\"}\n",
        " []\n",
    ],
)
def test_names_of_data_yaml_are_those_that_yaml_has(block):
    """Also behind them: other keys with lines that look like names."""
    yaml = pytest.importorskip("yaml")
    text = f"classnames:\n  0: no\ntrain: [a]\nnames:{block}\nnc: 2\nflip:\n  3: no\n"
    names = yaml.safe_load(text)["names"]
    assert names_of_data(text) == (dict(enumerate(names)) if isinstance(names, list) else names)


def test_a_remark_begins_after_any_white_space():
    """YAML 1.2, 6.6; PyYAML refuses a tab there."""
    assert names_of_data("names:\n  0: cat\t# mine\n  1: a dog \t\n") == {0: "cat", 1: "a dog"}


@pytest.mark.parametrize(
    "block",
    [
        *(
            " [cat, dog\n",
            " [cat, , dog]\n",
            " [cat dog] more\n",
            " [cat, [dog]]\n",
            " [cat: dog]\n",
            " ['cat' dog]\n",
            " [&a cat, *a]\n",
            " {cat: 0}\n",
            " {0: cat, dog}\n",
            "[cat]\n",
            "\n  -1: cat\n  0: dog\n",
            "\n  ? 0\n  : cat\n",
            f"\n  {'9' * 5000}: cat\n",
            "\n",
            "\n  0:\n",
            "\n  0: cat\n  0: dog\n",
            " {0: cat, 0: dog}\n",
        ),
        *(" >\n  0: cat\n", '\n  0: "\\q"\n', '\n  0: "\\U00110000"\n'),
    ],
)
def test_names_in_another_spelling_are_not_guessed(block):
    assert names_of_data(f"names:{block}nc: 2\n") is None
    assert names_of_data("nc: 2\n") == {}


def test_a_line_that_is_no_list_of_folders_is_not_ours():
    for line in ("train: {", "train: 7", "train: " + "[" * 100_000):
        assert folders_of_data(f"{line}\nval: []\nnames:\n") is None


def test_what_somebody_changed_is_not_ours():
    ours = formats.yolo_data(["a"], ["cat", "dog"])
    assert folders_of_data(ours) == ["a"]
    for changed in (
        f"{ours}nc: 2\n",
        ours.replace("names:", "names: # mine"),
        ours.replace("names:\n", "names: [cat]\n"),
        ours.partition("  0")[0],
        'train: ["a"]\n',
    ):
        assert folders_of_data(changed) is None


def test_supervision_reads_folder_and_classes(sample, tmp_path):
    supervision = pytest.importorskip("supervision")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "photo.png"), sample.image)
    formats.save(sample, tmp_path / "labels" / "photo.txt")
    (tmp_path / "labels" / "data.yaml").write_text(formats.yolo_data(["../images"], ["object"]))
    read = supervision.DetectionDataset.from_yolo(
        str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "labels" / "data.yaml"), force_masks=True
    )
    [detections] = read.annotations.values()
    assert read.classes == ["object"]
    assert len(detections) == len(sample)
