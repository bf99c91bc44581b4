"""A mask is the same set of pixels in every form it takes."""

from __future__ import annotations

import hashlib
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastsam_onnx.errors import FastSAMError, OptionError
from fastsam_onnx.masks.mask import Mask, union
from fastsam_onnx.masks.packed import PackedMask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.masks.smoothing import LARGE_RADIUS, closed_and_opened

DENSE = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), fill=st.nothing())


@st.composite
def masks_of_one_photo(draw: st.DrawFn, count: int = 2) -> list[Mask]:
    """Masks of one photo, in tight and in loose crops, some empty."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10))
    made = []
    for _ in range(count):
        dense = draw(hnp.arrays(bool, shape, fill=st.nothing()))
        height, width = shape
        x1, y1 = draw(st.integers(0, width)), draw(st.integers(0, height))
        x2, y2 = draw(st.integers(x1, width)), draw(st.integers(y1, height))
        loose = Mask(dense[y1:y2, x1:x2], x1, y1, (width, height))
        made.append(draw(st.sampled_from([loose, loose.tight()])))
    return made


def square(x1, y1, x2, y2, size=(20, 20)):
    dense = np.zeros((size[1], size[0]), bool)
    dense[y1:y2, x1:x2] = True
    return dense


def test_what_a_decoder_expects_of_a_mask_is_known_of_that_mask_alone():
    """A mask that was made of it is another one."""
    mask = Mask(np.ones((4, 4), bool), 2, 2, (20, 20), 0.75)
    for same in (mask.tight(), mask.render(), pickle.loads(pickle.dumps(mask)), PackedMask.of(mask).render()):
        assert same.predicted_iou == 0.75
    others = mask.union(mask), mask.difference(mask), mask.inverse(), mask.smooth(), mask.grown(1), mask.moved(1, 1)
    for other in (*others, *mask.components(), Mask.from_dense(mask.dense()), union([mask, mask])):
        assert other.predicted_iou is None
    for wrong in (1.01, -0.1, float("nan"), "much"):
        with pytest.raises(OptionError, match="predicted_iou must be"):
            Mask(np.ones((4, 4), bool), 2, 2, (20, 20), wrong)


# ---------------------------------------------------------------- dense, box, area


@settings(deadline=None)
@given(DENSE)
def test_dense_there_and_back(dense):
    mask = Mask.from_dense(dense)
    np.testing.assert_array_equal(mask.dense(), dense)
    assert mask.area == dense.sum()
    assert mask.image_size == (dense.shape[1], dense.shape[0])
    rows, columns = np.nonzero(dense)
    if rows.size:
        expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert mask.box.tolist() == expected
        assert mask.crop.shape == (expected[3] - expected[1], expected[2] - expected[0]), "the crop is tight"
        np.testing.assert_array_equal(dense[mask.slices], mask.crop)
    else:
        assert mask.box.tolist() == [0, 0, 0, 0]
        assert mask.crop.size == 0
    assert mask.box.dtype == np.float32
    assert mask.render() is mask


@settings(deadline=None)
@given(masks_of_one_photo(1))
def test_contains_is_the_pixel(masks):
    [mask] = masks
    width, height = mask.image_size
    dense = mask.dense()
    np.testing.assert_array_equal([[mask.contains(x + 0.99, y) for x in range(width)] for y in range(height)], dense)
    for x, y in ((-0.01, 0), (0, -0.01), (width, 0), (0, height)):
        assert not mask.contains(x, y)


@settings(deadline=None)
@given(masks_of_one_photo(1))
def test_a_loose_crop_and_a_tight_one_are_the_same_mask(masks):
    [mask] = masks
    tight = mask.tight()
    np.testing.assert_array_equal(tight.dense(), mask.dense())
    assert tight.area == mask.area
    assert tight.box.tolist() == mask.box.tolist()
    assert tight.rle() == mask.rle()
    assert [p.exterior.tolist() for p in tight.polygons()] == [p.exterior.tolist() for p in mask.polygons()]
    assert tight.crop.shape == (tight.box[3] - tight.box[1], tight.box[2] - tight.box[0])


@settings(deadline=None)
@given(masks_of_one_photo(2))
def test_masks_are_equal_if_their_pixels_are(masks):
    one, other = masks
    assert (one == other) == np.array_equal(one.dense(), other.dense())
    assert one == one.tight()
    assert hash(one) == hash(one.tight())
    assert one.polygons() == one.tight().polygons()
    assert (one.polygons() == other.polygons()) == (one == other)
    assert {*one.polygons()} == {*one.tight().polygons()}


def test_masks_of_photos_of_two_sizes_differ():
    assert Mask.empty((3, 4)) != Mask.empty((4, 3))
    assert Mask.empty((3, 4)) != 0


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_from_dense_takes_any_numbers(dtype):
    dense = np.array([[0, 1], [1, 0]], dtype) * (255 if dtype == np.uint8 else 1)
    assert Mask.from_dense(dense).dense().tolist() == [[False, True], [True, False]]
    assert Mask.from_dense(dense.tolist()).area == 2


@pytest.mark.parametrize(
    ("dense", "found"),
    [
        (np.array([[0, 1], [2, 0]]), "several from 0 to 2"),  # a label map
        (np.array([[7, 1], [1, 1]], np.uint8), "several from 1 to 7"),
        (np.array([[0, -1], [2, 0]]), "several from -1 to 2"),
        (np.array([[0, 12], [255, 0]], np.uint8), "several from 0 to 255"),  # soft edges
        (np.array([[0, 0.7], [1, 0]]), "several from 0 to 1; compare first"),
        (np.array([[0, 0.7], [0.2, 0]], np.float32), "floats must hold 0 and 1, got values from 0 to 0.7"),
        (np.array([[0, 1], [255, 0]], np.float32), "several from 0 to 255"),
    ],
)
def test_from_dense_refuses_what_means_more_than_one_object(dense, found):
    with pytest.raises(OptionError, match=found):
        Mask.from_dense(dense)


@pytest.mark.parametrize("value", [-1, 3, 255])
def test_from_dense_takes_any_one_integer(value):
    assert Mask.from_dense(np.array([[0, value]])).dense().tolist() == [[False, True]]
    assert Mask.from_dense(np.array([[value, value]])).area == 2


def test_a_mask_keeps_its_pixels_when_the_callers_array_changes():
    dense = np.ones((4, 6), bool)
    mask = Mask.from_dense(dense)
    dense[:] = False
    assert mask.area == 24


@pytest.mark.parametrize("value", [255, 2])
def test_other_bytes_that_are_called_bool_are_true(value):
    """A picture's 255 and labels, viewed as bool: the RLE was another object's, or a ValueError."""
    labels = np.kron(np.array([[0, 1, value], [value, 0, 1]], np.uint8), np.ones((5, 7), np.uint8))
    expected = Mask(labels != 0, 0, 0, (21, 10))
    for crop in (labels.view(bool), np.asfortranarray(labels).view(bool)):
        for mask in (Mask(crop, 0, 0, (21, 10)), Mask.from_dense(crop)):
            assert mask.crop.tobytes() == expected.crop.tobytes()
            assert mask.rle() == expected.rle()
    assert labels.max() == value  # the caller's array stays


def test_the_crop_is_read_only_and_the_callers_array_is_not():
    crop = np.ones((2, 3), bool)
    mask = Mask(crop, 1, 1, (9, 9))
    with pytest.raises(ValueError, match="read-only"):
        mask.crop[0, 0] = False
    crop[0, 0] = True
    for again in (pickle.loads(pickle.dumps(mask)), mask.tight(), Mask.from_rle(mask.rle())):
        np.testing.assert_array_equal(again.dense(), mask.dense())
        assert (again.left, again.top, again.image_size) == (1, 1, (9, 9))
        assert not again.crop.flags.writeable


def test_dense_is_the_callers_own():
    mask = Mask.from_dense(np.ones((2, 2), bool))
    mask.dense()[:] = False
    assert mask.area == 4


def test_the_empty_mask_answers_everything():
    mask = Mask.empty((7, 5))
    assert mask.area == 0
    assert mask.box.tolist() == [0, 0, 0, 0]
    assert mask.dense().shape == (5, 7)
    assert mask.components() == []
    assert mask.polygons() == []
    assert mask.smooth().area == 0
    assert mask.tight().area == 0
    assert mask.rle() == {"size": [5, 7], "counts": "S1"}
    assert mask.iou(mask) == 0.0
    assert not mask.contains(0, 0)
    assert mask.union(mask).area == 0
    assert mask.difference(mask).area == 0
    assert repr(mask) == "Mask(0 pixels, box (0, 0, 0, 0) of 7x5)"


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_mask_of_a_photo_without_pixels_answers_everything(size):
    """COCO's run lengths have such sizes."""
    mask = Mask.empty(size)
    assert Mask.from_rle(mask.rle()).image_size == size
    assert Mask.from_dense(mask.dense()).image_size == size
    assert mask.smooth().area == mask.smooth(min_area=0, radius=2).area == 0
    assert (mask.components(), mask.polygons(), mask.inner_point, mask._repr_png_()) == ([], [], None, None)


def test_repr_tells():
    assert repr(Mask.from_dense(square(3, 2, 9, 5))) == "Mask(18 pixels, box (3, 2, 9, 5) of 20x20)"


@pytest.mark.parametrize(
    ("crop", "left", "top", "found"),
    [
        (np.zeros((2, 2), np.uint8), 0, 0, "uint8"),
        (np.zeros(4, bool), 0, 0, r"\(4,\)"),
        (np.zeros((2, 2), bool), 3, 0, "x 3..5"),
        (np.zeros((2, 2), bool), 0, 3, "y 3..5"),
        (np.zeros((2, 2), bool), -1, 0, "x -1..1"),
        (np.zeros((2, 2), bool), 0, -1, "y -1..1"),
    ],
)
def test_a_crop_that_does_not_fit_is_an_error(crop, left, top, found):
    with pytest.raises(OptionError, match=found):
        Mask(crop, left, top, (4, 4))


@pytest.mark.parametrize("dense", [[1, 0], np.zeros((2, 2, 2)), 1])
def test_a_dense_mask_has_two_axes(dense):
    with pytest.raises(OptionError, match=r"\(H, W\)"):
        Mask.from_dense(dense)


@pytest.mark.parametrize(
    ("dense", "found"),
    [
        ([["0", "0"]], "<U1"),
        ([[b"1"]], r"\|S1"),
        ([[None, 1]], "object"),
        ([[1 + 2j]], "complex128"),
        ([[float("nan"), 1]], "finite"),
        ([[np.inf]], "finite"),
        (np.zeros((2, 2), "datetime64[s]"), "datetime64"),
        ([[1, 2], [3]], r"\(H, W\)"),
    ],
)
def test_a_dense_mask_is_of_numbers(dense, found):
    with pytest.raises(OptionError, match=found):
        Mask.from_dense(dense)


def test_every_error_is_a_fastsam_error_and_a_value_error():
    assert issubclass(OptionError, FastSAMError)
    assert issubclass(OptionError, ValueError)


# ---------------------------------------------------------------- sets


@settings(deadline=None)
@given(masks_of_one_photo(3))
def test_set_operations_are_those_of_the_pixels(masks):
    a, b, _ = masks
    x, y, z = (mask.dense() for mask in masks)
    np.testing.assert_array_equal(a.union(b).dense(), x | y)
    np.testing.assert_array_equal(union(masks).dense(), x | y | z)
    np.testing.assert_array_equal(a.difference(b).dense(), x & ~y)
    assert a.intersection_area(b) == (x & y).sum()
    either = (x | y).sum()
    assert a.iou(b) == pytest.approx((x & y).sum() / either if either else 0.0)
    np.testing.assert_array_equal(Masks(masks, a.image_size).dense(), [x, y, z])
    np.testing.assert_array_equal([mask.dense() for mask in masks], [x, y, z], "the operands must not change")


@pytest.mark.parametrize("area", [0, 1, 63, 64])
def test_the_inverse_is_the_rest_of_the_photo(area):
    dense = np.zeros(64, bool)
    dense[:area] = True
    mask = Mask.from_dense(dense.reshape(8, 8))
    rest = mask.inverse()
    np.testing.assert_array_equal(rest.dense(), ~mask.dense())
    assert rest.area == 64 - area
    assert rest.inverse() == mask


def test_set_operations_need_one_photo():
    a, b = Mask.from_dense(np.ones((3, 4))), Mask.from_dense(np.ones((4, 3)))
    for operation in (a.union, a.difference, a.iou, a.intersection_area):
        with pytest.raises(OptionError, match=r"\(4, 3\) and \(3, 4\)"):
            operation(b)
    with pytest.raises(OptionError, match="no masks"):
        union([])


# ---------------------------------------------------------------- RLE


def pattern(name):
    mask = np.zeros((9, 13), bool)
    if name == "one pixel":
        mask[3, 4] = True
    if name == "first and last pixel":
        mask[0, 0] = mask[-1, -1] = True
    if name == "full":
        mask[:] = True
    if name == "ring":
        mask[2:7, 3:10] = True
        mask[4:5, 5:8] = False
    if name == "whole columns":
        mask[:, 2:5] = mask[:, 7] = True
    if name == "chessboard":
        mask[::2, ::2] = mask[1::2, 1::2] = True
    if name == "tall":
        mask = np.zeros((70000, 2), bool)
        mask[5:69990, 0] = mask[40000:, 1] = True
    if name == "long runs":
        mask = np.zeros((480, 640), bool)
        mask[100:300, 200:500] = mask[:, 639] = True
        mask[150:160, 250:400] = False
    return mask


# pycocotools 2.0.11: pycocotools.mask.encode(numpy.asfortranarray(pattern(name).astype(numpy.uint8)))["counts"]
GOLDEN_COUNTS = {
    "empty": "e3",
    "one pixel": "W11]2",
    "first and last pixel": "01c30",
    "full": "0e3",
    "ring": "m05400MM030M030M03300i0",
    "whole columns": "b0k0b0^Ok0",
    "chessboard": "011" + 115 * "0",
    "tall": "5Q[T2ZRW1_nhN",
}


@pytest.mark.parametrize("name", GOLDEN_COUNTS)
def test_rle_is_pycocotools(name):
    dense = pattern(name)
    mask = Mask.from_dense(dense)
    assert mask.rle() == {"size": list(dense.shape), "counts": GOLDEN_COUNTS[name]}
    np.testing.assert_array_equal(Mask.from_rle(mask.rle()).dense(), dense)
    as_bytes = {"size": list(dense.shape), "counts": GOLDEN_COUNTS[name].encode()}  # as pycocotools itself hands it out
    np.testing.assert_array_equal(Mask.from_rle(as_bytes).dense(), dense)


def test_a_long_rle_is_pycocotools():
    counts = Mask.from_dense(pattern("long runs")).rle()["counts"]
    assert (len(counts), counts[:12]) == (1512, "Tkm2X6h80000")
    assert hashlib.sha256(counts.encode()).hexdigest() == (
        "8e4c7bca16d9a6fb4e183dbf16329c56088156bf64a0d81d939f96c18356d989"
    )


def plain_run_lengths(dense):
    runs, value = [0], False
    for pixel in dense.T.reshape(-1):
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@settings(deadline=None)
@given(masks_of_one_photo(1))
def test_run_lengths_and_rle_there_and_back(masks):
    [mask] = masks
    assert mask.run_lengths().tolist() == plain_run_lengths(mask.dense())
    np.testing.assert_array_equal(Mask.from_rle(mask.rle()).dense(), mask.dense())


# ---------------------------------------------------------------- components


@settings(deadline=None)
@given(DENSE)
def test_components_are_the_islands_largest_first(dense):
    parts = Mask.from_dense(dense).components()
    count, labels = cv2.connectedComponents(dense.view(np.uint8), connectivity=8)
    assert len(parts) == count - 1
    assert [part.area for part in parts] == sorted((part.area for part in parts), reverse=True)
    assert sum(part.area for part in parts) == dense.sum()
    for part in parts:
        inside = labels[part.dense()]
        assert (inside == inside[0]).all()
        assert (labels == inside[0]).sum() == part.area
        assert part.crop.shape == part.tight().crop.shape


# ---------------------------------------------------------------- smooth


@pytest.mark.parametrize("size", [7, 8, 9])
def test_smooth_does_not_shift_or_lose_squares(size):
    """The official better_quality deletes the 7x7 square and shifts the 8x8 (DR-02); a disc only rounds corners."""
    expected = square(5, 5, 5 + size, 5 + size)
    smoothed = Mask.from_dense(expected).smooth(min_area=0)
    for corner in ((5, 5), (5, 4 + size), (4 + size, 5), (4 + size, 4 + size)):
        expected[corner] = False
    np.testing.assert_array_equal(smoothed.dense(), expected)


@pytest.mark.parametrize("radius", [0, 1, 2, 3])
@pytest.mark.parametrize("turns", range(4))
def test_strips_at_the_border_do_not_widen(radius, turns):
    """The official code turns 5 columns into 6 (DR-02)."""
    dense = np.rot90(square(0, 0, 7, 20), turns)
    np.testing.assert_array_equal(Mask.from_dense(dense).smooth(radius=radius).dense(), dense)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_the_world_beside_a_strip_is_no_hole(radius):
    """Above and below a strip across a narrow photo lies background, of which the crop shows fewer than 64 pixels."""
    dense = square(0, 40, 10, 60, (10, 100))
    np.testing.assert_array_equal(Mask.from_dense(dense).smooth(64, radius).dense(), dense)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_what_is_near_the_border_does_not_reach_it(radius):
    """Beyond the photo nothing is known, so that nothing closes a gap to it: the mask stays in its box."""
    dense = square(1, 1, 12, 12)
    dense[15:19, 8:19] = True
    smoothed = Mask.from_dense(dense).smooth(0, radius).dense()
    assert not smoothed[[0, -1]].any()
    assert not smoothed[:, [0, -1]].any()


def test_a_full_photo_stays_full():
    full = np.ones((30, 40), bool)
    for radius in (0, 1, 2, 5):
        np.testing.assert_array_equal(Mask.from_dense(full).smooth(radius=radius).dense(), full)


def test_smooth_drops_islands_and_fills_holes_below_the_area():
    dense = square(2, 2, 16, 16)
    dense[5:7, 5:7] = False  # 4 px: a hole
    dense[9:12, 9:12] = False  # 9 px
    dense[18:20, 18:20] = True  # 4 px: an island
    kept = Mask.from_dense(dense).smooth(min_area=5, radius=0).dense()
    expected = dense.copy()
    expected[5:7, 5:7], expected[18:20, 18:20] = True, False
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(Mask.from_dense(dense).smooth(min_area=4, radius=0).dense(), dense)
    np.testing.assert_array_equal(Mask.from_dense(dense).smooth(min_area=0, radius=0).dense(), dense)


def test_a_bay_at_any_side_of_the_photo_is_no_hole():
    """Two pixels deep and one wide."""
    dense = np.ones((12, 12), bool)
    dense[:2, 5] = dense[-2:, 5] = dense[5, :2] = dense[5, -2:] = False
    np.testing.assert_array_equal(Mask.from_dense(dense).smooth(min_area=5, radius=0).dense(), dense)


@settings(deadline=None, max_examples=200)
@given(masks_of_one_photo(1), st.integers(0, 12), st.integers(0, 3))
def test_smoothing_a_crop_is_smoothing_the_photo(masks, min_area, radius):
    """Smoothed in its crop or in a crop of the whole photo, a mask comes out the same and inside its own box.

    Of blocks of pixels: of single ones little would be left.
    """
    [small] = masks
    width, height = small.image_size
    mask = Mask(np.kron(small.crop, np.ones((3, 3), bool)), 3 * small.left, 3 * small.top, (3 * width, 3 * height))
    before = mask.dense()
    whole = Mask(mask.dense(), 0, 0, mask.image_size)
    smoothed = mask.tight().smooth(min_area, radius)
    np.testing.assert_array_equal(smoothed.dense(), whole.smooth(min_area, radius).dense())
    np.testing.assert_array_equal(mask.dense(), before)
    if smoothed.area:
        assert (smoothed.box[:2] >= mask.box[:2]).all()
        assert (smoothed.box[2:] <= mask.box[2:]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_area": -1}, "min_area.*-1"),
        ({"min_area": "a"}, "min_area.*'a'"),
        ({"min_area": True}, "min_area.*True"),
        ({"min_area": 0.5}, r"min_area.*0\.5"),
        ({"radius": -1}, "radius.*-1"),
        ({"radius": None}, "radius.*None"),
        ({"radius": 1001}, "radius.*1000.*1001"),
    ],
)
def test_smooth_takes_integers_of_at_least_0(options, message):
    with pytest.raises(OptionError, match=message):
        Mask.from_dense(square(1, 1, 5, 5)).smooth(**options)


def smoothed_by_opencv(dense, radius):
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = cv2.morphologyEx(np.pad(dense, radius).view(np.uint8), cv2.MORPH_CLOSE, disc)
    closed = np.ascontiguousarray(padded[radius:-radius, radius:-radius])
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc).astype(bool)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    radius=st.integers(1, 2 * LARGE_RADIUS),
)
def test_discs_of_every_radius_smooth_as_opencvs(seed, shape, radius):
    """Large ones are row by row, because OpenCV looks at every pixel of the disc for every pixel of the mask."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape)
    soft = cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(2, 12)))
    for dense in (noise > rng.uniform(-2, 2), soft > np.median(soft), np.ones(shape, bool)):
        np.testing.assert_array_equal(closed_and_opened(dense, radius), smoothed_by_opencv(dense, radius))


def test_smooth_takes_numpys_integers():
    mask = Mask.from_dense(square(1, 1, 5, 5))
    assert mask.smooth(np.int64(2), np.uint8(0)).rle() == mask.rle()


# ---------------------------------------------------------------- arrays


@pytest.mark.parametrize("photo", ["whole", "crop", "empty"])
def test_as_an_array_a_mask_is_its_dense_pixels(photo):
    dense = {"whole": np.ones((4, 6), bool), "crop": square(1, 1, 4, 3), "empty": np.zeros((4, 6), bool)}[photo]
    mask = Mask.from_dense(dense)
    for array in (np.asarray(mask), np.array(mask), np.array(mask, copy=True), mask.__array__()):
        assert array.dtype == bool
        np.testing.assert_array_equal(array, dense)
        assert array.flags.writeable
    assert np.asarray(mask, np.uint8).dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(mask, np.float32), dense.astype(np.float32))
    np.testing.assert_array_equal(np.stack([mask, mask]), [dense, dense])
    assert np.count_nonzero(mask) == mask.area


def test_an_array_of_a_mask_cannot_share_its_memory():
    mask = Mask.from_dense(np.ones((4, 6), bool))
    with pytest.raises(ValueError, match="copy"):
        mask.__array__(copy=False)
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="copy"):
            np.array(mask, copy=False)
    np.asarray(mask)[:] = False
    assert mask.area == 24


@pytest.mark.parametrize("crop", [[[True]], np.ones((2, 2)), np.ones(3, bool), None], ids=str)
def test_a_crop_is_a_bool_array(crop):
    with pytest.raises(OptionError, match="bool"):
        Mask(crop, 0, 0, (9, 9))


@pytest.mark.parametrize("dense", ["cat", [[1], [1, 2]], 3, np.zeros((2, 2, 2))], ids=str)
def test_a_dense_mask_is_a_plane_of_numbers(dense):
    with pytest.raises(OptionError, match=r"\(H, W\)"):
        Mask.from_dense(dense)


@pytest.mark.parametrize("tolerance", ["a", float("nan"), float("inf"), -1, None, True, [1]], ids=str)
def test_a_tolerance_is_a_number_of_pixels(tolerance):
    with pytest.raises(OptionError, match="tolerance"):
        Mask.from_dense(square(1, 1, 5, 5)).polygons(tolerance)


def test_a_tolerance_beyond_the_photo_is_one_of_its_size():
    """OpenCV raised an error of its own at 1e30."""
    disc = Mask.from_dense(np.hypot(*np.mgrid[-20:20, -20:20]) < 15)
    assert disc.polygons(1e30) == disc.polygons(1e6)


@pytest.mark.parametrize("point", [(float("nan"), 1), (1, float("inf")), ("a", 1), (None, 1)], ids=str)
def test_a_point_is_two_finite_numbers(point):
    with pytest.raises(OptionError, match="must be a number"):
        Mask.from_dense(square(1, 1, 5, 5)).contains(*point)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"left": "a"}, "left"),
        ({"left": -1}, "-1"),
        ({"top": 1.0}, "top"),
        ({"left": 8}, "outside the 9x9"),
        ({"image_size": None}, "image_size"),
        ({"image_size": 9}, "image_size"),
        ({"image_size": (9,)}, "image_size"),
        ({"image_size": (9, "a")}, "image_size"),
        ({"image_size": [[9], [9, 9]]}, "image_size"),
    ],
)
def test_where_a_crop_lies_is_checked(arguments, message):
    with pytest.raises(OptionError, match=message):
        Mask(**{"crop": np.ones((2, 2), bool), "left": 0, "top": 0, "image_size": (9, 9), **arguments})


def test_numpys_integers_say_where_a_crop_lies():
    mask = Mask(np.ones((2, 2), bool), np.int64(1), np.uint8(2), np.array([9, 9]))
    assert (mask.left, mask.top, mask.image_size) == (1, 2, (9, 9))
    assert type(mask.left) is int


@pytest.mark.parametrize("other", [None, 3, "mask", np.ones((8, 8), bool)], ids=str)
def test_masks_are_joined_and_compared_with_masks(other):
    mask = Mask.from_dense(square(1, 1, 5, 5))
    for name in ("iou", "union", "difference", "intersection_area"):
        with pytest.raises(OptionError, match=type(other).__name__):
            getattr(mask, name)(other)


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(1, 5))
def test_samples_are_the_pixels_where_rows_and_columns_cross(seed, step):
    rng = np.random.default_rng(seed)
    dense = np.zeros((17, 23), bool)
    dense[3:15, 5:20] = rng.random((12, 15)) < 0.5
    columns, rows = (np.flatnonzero(rng.random(side) < 1 / step) for side in (23, 17))
    assert np.array_equal(Mask.from_dense(dense).sample(columns, rows), dense[np.ix_(rows, columns)])


@given(x=st.integers(-30, 30), y=st.integers(-30, 30))
def test_a_moved_mask_is_cut_at_the_photo(x, y):
    dense = np.zeros((17, 23), bool)
    dense[3:15, 5:20] = np.arange(180).reshape(12, 15) % 7 < 3
    expected = np.zeros((17 + 80, 23 + 80), bool)
    expected[40 + y : 57 + y, 40 + x : 63 + x] = dense
    moved = Mask.from_dense(dense).moved(x, y)
    assert np.array_equal(moved.dense(), expected[40:57, 40:63])
    assert moved.image_size == (23, 17)


@pytest.mark.parametrize("radius", [1, 2, 7])
def test_a_grown_mask_has_what_lies_within_the_radius(radius):
    """By the distances of all pixels to all pixels of the mask; at the photo's border it ends."""
    dense = np.random.default_rng(radius).random((20, 30)) > 0.97
    dense[0, 5] = dense[19, 29] = True
    rows, columns = np.nonzero(dense)
    far = np.hypot(
        *(places[..., None] - own for places, own in zip(np.indices(dense.shape), (rows, columns), strict=True))
    )
    mask = Mask.from_dense(dense)
    np.testing.assert_array_equal(mask.grown(radius).dense(), far.min(axis=-1) <= radius)
    loose = Mask(dense[:, 4:], 4, 0, (30, 20))
    assert loose.grown(radius) == Mask.from_dense(dense & (np.arange(30) >= 4)).grown(radius)


def test_nothing_grows_to_nothing_and_by_nothing_to_itself():
    mask = Mask.from_dense(np.eye(5, dtype=bool))
    assert mask.grown(0) == mask
    assert mask.grown(1000).area == 25
    assert Mask.empty((5, 5)).grown(3) == Mask.empty((5, 5))
    for radius in (-1, 1001, 1.5, True):
        with pytest.raises(OptionError, match="radius must be an integer from 0 to 1000"):
            mask.grown(radius)


def test_the_inner_point_lies_deepest():
    """Of an L the corner is thickest: 4 x 4 pixels."""
    dense = np.zeros((20, 30), bool)
    dense[3:15, 5:7] = True
    dense[11:15, 5:9] = True
    x, y = Mask.from_dense(dense).inner_point
    assert (5 < x < 9, 11 < y < 15) == (True, True)
    assert (x % 1, y % 1) == (0.5, 0.5)
    assert Mask.empty((30, 20)).inner_point is None


@pytest.mark.parametrize("corner", [(0, 0), (7, 30)])
def test_a_packed_mask_answers_as_its_pixels_do(corner):
    """9 x 21 pixels, no multiple of 8, in a photo of 64 x 40."""
    crop = np.random.default_rng(0).random((9, 21)) < 0.5
    mask = Mask(crop, *corner, (64, 40))
    packed, dense = PackedMask.of(mask), mask.dense()
    assert packed.render() == mask
    y, x = np.nonzero(dense)
    assert packed.area == len(x)
    assert packed.box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert packed.image_size == (64, 40)
    left, top = corner
    assert packed.area_inside(left + 2, top + 1, left + 12, top + 5) == crop[1:5, 2:12].sum() > 0
    assert [packed.contains(column + 0.5, top + 4.5) for column in range(64)] == dense[top + 4].tolist()
    columns, rows = np.arange(0, 64, 3), np.arange(0, 40, 5)
    np.testing.assert_array_equal(packed.sample(columns, rows), dense[::5, ::3])


def test_a_packed_mask_may_be_empty():
    assert PackedMask.of(Mask.empty((6, 5))).render() == Mask.empty((6, 5))
