"""COCO's run lengths, compressed and not; what is malformed is refused."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from support.damage import damaged

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


def test_a_photo_is_no_larger_than_its_boxes_can_say():
    """The last pixel of a photo of 2^24 columns is exact in float32; beyond, a neighbour would be taken for it."""
    side = 2**24
    mask = Mask.from_rle({"size": [1, side], "counts": [side - 1, 1]})
    assert (mask.left, mask.area, mask.box.tolist()) == (side - 1, 1, [side - 1, 0, side, 1])
    assert mask.polygons()[0].exterior[:, 0].max() == side
    with pytest.raises(OptionError, match="from 0 to 16777216, got 16777218"):
        Mask.from_rle({"size": [1, side + 2], "counts": [side + 1, 1]})
    with pytest.raises(OptionError, match="a side of image_size must be an integer from 0 to 16777216"):
        Mask(np.ones((1, 1), bool), side + 1, 0, (side + 2, 1))


def test_an_object_is_no_larger_than_allowed():
    """Two pixels in opposite corners span every column: some 20 characters that would take 400 MB."""
    side = 20_000
    rle = {"size": [side, side], "counts": [0, 1, side * side - 2, 1]}
    with pytest.raises(OptionError, match="20000 columns of 20000 pixels, more than the pixel limit of 178956970"):
        Mask.from_rle(rle)
    small = {"size": [4, 3], "counts": [0, 1, 10, 1]}
    with pytest.raises(OptionError, match="pixel limit of 11"):
        Mask.from_rle(small, pixel_limit=11)
    for enough in (12, None):
        assert Mask.from_rle(small, pixel_limit=enough).box.tolist() == [0, 0, 3, 4]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [2, 2]}, "counts"),
        ({"counts": [4]}, "size"),
        ([[1, 1, 3, 1, 3, 3]], "got list; polygons become one by pycocotools.mask.frPyObjects"),
        ("e3", "str"),
        (None, "NoneType"),
        ({"size": [2], "counts": [4]}, "height, width"),
        ({"size": "22", "counts": [4]}, "height, width"),
        ({"size": 4, "counts": [4]}, "height, width"),
        ({"size": [2, 2.0], "counts": [4]}, "2.0"),
        ({"size": [-2, -2], "counts": [4]}, "-2"),
        ({"size": [2**40, 2**40], "counts": [2**80]}, "1099511627776"),
        ({"size": [2, 2], "counts": [3]}, "covers 3 pixels.*4"),
        ({"size": [2, 2], "counts": [5, -1]}, "runs must be lengths of at least 0, got -1"),
        ({"size": [2, 2], "counts": [5, -2, 1]}, "got -2"),
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
        ("\u00e9", "not COCO's run lengths"),
        ("1\ud800", "not COCO's run lengths"),
        ("d3", "covers 116 pixels"),
        ("f3", "covers 118 pixels"),
        ("e3O0", "at least 0, got -1"),
        ("`" * 12 + "1", "more than 60 bits"),
    ],
)
def test_a_broken_rle_is_an_error(counts, message):
    with pytest.raises(OptionError, match=message):
        Mask.from_rle({"size": [9, 13], "counts": counts})


def test_a_character_that_is_not_ascii_is_none_of_coco_s():
    """As a question mark, which is 15 in COCO's alphabet, it would be a whole mask of 15 pixels."""
    assert Mask.from_rle({"size": [3, 5], "counts": "?"}).image_size == (5, 3)
    for counts in ("\u00e9", "\u00e9".encode("latin-1"), bytearray("\u00e9".encode())):
        with pytest.raises(OptionError, match="not COCO's run lengths"):
            Mask.from_rle({"size": [3, 5], "counts": counts})


def test_the_bytes_of_counts_may_lie_in_a_bytearray():
    assert Mask.from_rle({"size": [3, 5], "counts": bytearray(b"0?")}).area == 15


def test_runs_whose_sum_overflows_are_an_error():
    """128 runs of 2**57 are 2**64, which 64 bits take for 0."""
    runs = np.array([2**57] * 128 + [117], np.int64)
    assert runs.sum() == 117
    with pytest.raises(OptionError, match="size 13x9"):
        Mask.from_rle({"size": [9, 13], "counts": pack_counts(runs)})


def decoded(counts):
    """COCO's text as run lengths, a character at a time; None for what is not one."""
    runs, at = [], 0
    while at < len(counts):
        value, place, more = 0, 0, True
        while more:
            if at == len(counts) or not 48 <= counts[at] < 112 or place > 11:
                return None
            code = counts[at] - 48
            value |= (code & 31) << (5 * place)
            more, place, at = bool(code & 32), place + 1, at + 1
        if code & 16:
            value -= 1 << (5 * place)
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs


def painted(runs, height, width):
    """The mask of run lengths; None if they do not cover it."""
    if not runs or min(runs) < 0 or sum(runs) != height * width:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def test_damage_to_run_lengths_is_refused_or_means_what_it_says():
    dense = np.kron(np.random.default_rng(5).random((9, 12)) < 0.4, np.ones((5, 7), bool))
    good = Mask.from_dense(dense).rle()["counts"].encode()
    assert np.array_equal(painted(decoded(good), *dense.shape), dense)
    draw = random.Random(3)
    outcomes = Counter()
    for number in range(1000):
        if number % 2:
            counts = damaged(good, draw, 20)
            runs = decoded(counts)
        else:
            runs = list(decoded(good))
            at = draw.randrange(len(runs))
            runs[at : at + draw.randrange(3)] = [draw.choice([0, -1, 7, 2**40, 2**62, runs[at]])] * draw.randrange(3)
            counts = runs
        expected = painted(runs, *dense.shape) if runs and max(map(abs, runs)) < 2**40 else None
        try:
            mask = Mask.from_rle({"size": list(dense.shape), "counts": counts})
        except OptionError:
            outcomes["refused" if expected is None else "refused though right"] += 1
        else:
            outcomes["right" if expected is not None and np.array_equal(mask.dense(), expected) else "silent"] += 1
    assert set(outcomes) == {"right", "refused"}, outcomes
    assert min(outcomes.values()) >= 10, outcomes
