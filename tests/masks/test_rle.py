"""COCO's run lengths, compressed and not; what is malformed is refused."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.rle import pack_counts


@pytest.mark.parametrize(
    "counts",
    [[1, 2, 3], (1, 2, 3), np.array([1, 2, 3]), np.array([1, 2, 3], np.uint8), [1, 2, 3, 0], [1, 1, 0, 1, 3]],
    ids=str,
)
def test_uncompressed_counts_run_down_the_columns(counts):
    """Background at (row 0, column 0); then (1, 0) and (0, 1) are set; then (1, 1), (0, 2), (1, 2) are not."""
    mask = Mask.from_rle({"size": [2, 3], "counts": counts})
    assert mask.dense().tolist() == [[False, True, False], [True, False, False]]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
def test_the_three_forms_of_counts_say_the_same(random_found):
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    for mask in random_found().masks:
        width, height = mask.image_size
        listed = {"size": [height, width], "counts": mask.run_lengths().tolist()}
        theirs = coco.frPyObjects(listed, height, width)
        for rle in (listed, theirs, mask.rle()):
            np.testing.assert_array_equal(np.asarray(Mask.from_rle(rle)), coco.decode(theirs))


@pytest.mark.parametrize(("size", "counts"), [([0, 0], [0]), ([0, 7], []), ([2, 2], [4]), ([2, 2], [2, 0, 2])], ids=str)
def test_masks_without_pixels(size, counts):
    mask = Mask.from_rle({"size": size, "counts": counts})
    assert (mask.area, mask.image_size) == (0, (size[1], size[0]))


def test_the_photo_may_be_far_larger_than_the_object():
    """Ten pixels of a photo of 10^12, which would not fit in memory: only their columns are made."""
    side = 1_000_000
    mask = Mask.from_rle({"size": [side, side], "counts": [5 * side + 3, 10, side * side - 5 * side - 13]})
    assert mask.box.tolist() == [5, 3, 6, 13]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 2]}, "counts"),
        ({"counts": [4]}, "size"),
        ([2, 2], "list"),
        ("e3", "str"),
        (None, "NoneType"),
        ({"size": [2], "counts": [4]}, "height, width"),
        ({"size": "22", "counts": [4]}, "height, width"),
        ({"size": 4, "counts": [4]}, "height, width"),
        ({"size": [2, 2.0], "counts": [4]}, "2.0"),
        ({"size": [-2, -2], "counts": [4]}, "-2"),
        ({"size": [2**40, 2**40], "counts": [2**80]}, "1099511627776"),
        ({"size": [2, 2], "counts": [3]}, "covers 3 pixels.*4"),
        ({"size": [2, 2], "counts": [5, -1]}, "covers 4 pixels"),
        ({"size": [2, 2], "counts": [2.0, 2.0]}, "float64"),
        ({"size": [2, 2], "counts": [True]}, "bool"),
        ({"size": [2, 2], "counts": ["4"]}, "<U1"),
        ({"size": [2, 2], "counts": [[4]]}, r"\(1, 1\)"),
        ({"size": [2, 2], "counts": [[4], [1, 2]]}, "list of integers"),
        ({"size": [2, 2], "counts": [2**70]}, "object"),
        ({"size": [2, 2], "counts": 4}, r"\(\)"),
        ({"size": [2, 2], "counts": None}, "object"),
    ],
    ids=str,
)
def test_what_is_not_an_rle_is_refused(rle, message):
    with pytest.raises(OptionError, match=message):
        Mask.from_rle(rle)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("", "not COCO's run lengths"),
        ("e", "not COCO's run lengths"),  # says that more characters follow
        ("\x00", "not COCO's run lengths"),
        ("\u00e9", "covers"),
        ("d3", "covers 116 pixels"),
        ("f3", "covers 118 pixels"),
        ("e3O0", "covers"),  # a run of -1
        ("`" * 12 + "1", "more than 60 bits"),
    ],
)
def test_a_broken_rle_is_an_error(counts, message):
    with pytest.raises(OptionError, match=message):
        Mask.from_rle({"size": [9, 13], "counts": counts})


def test_runs_whose_sum_overflows_are_an_error():
    """128 runs of 2**57 are 2**64, which 64 bits take for 0."""
    runs = np.array([2**57] * 128 + [117], np.int64)
    assert runs.sum() == 117
    with pytest.raises(OptionError, match="size 13x9"):
        Mask.from_rle({"size": [9, 13], "counts": pack_counts(runs)})
