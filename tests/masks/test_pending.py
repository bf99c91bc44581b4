"""Masks made for the crop alone are those of the full frame (design decision 6)."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.full_frame import full_frame_logits, full_frame_masks

from fastsam_onnx.images.load import load_image
from fastsam_onnx.masks.detections import detect
from fastsam_onnx.masks.pending import BAND_PIXELS, pending_masks, prototypes_at
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.network import Network

# Photos of every shape: square, wide, tall, odd, a pixel thin, smaller and larger than the network's input.
IMAGE_SIZES = [
    (64, 64), (128, 128), (640, 480), (480, 640), (427, 640), (640, 427), (500, 333), (101, 57), (57, 101), (33, 57),
    (300, 100), (100, 300), (401, 97), (97, 401), (257, 31), (31, 257), (1000, 9), (9, 1000), (700, 1), (1, 700),
    (3, 2), (1, 1), (5, 7), (720, 405), (255, 256), (256, 255),
]  # fmt: skip


def random_case(seed, image_size, stride=32, count=12, channels=8):
    rng = np.random.default_rng(seed)
    letterbox = Letterbox.fit(image_size, (128, 128), stride=stride)
    width, height = letterbox.input_size
    # Rougher than a network's: the sign may change between any two cells.
    prototypes = rng.standard_normal((channels, height // 4, width // 4)).astype(np.float32)
    coefficients = rng.standard_normal((count, channels)).astype(np.float32)
    corners = rng.random((count, 2, 2)) * image_size
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)
    boxes[0] = (0, 0, *image_size)
    boxes[1] = np.rint(boxes[1])
    return boxes, coefficients, prototypes, letterbox


def boundary_distance_at_most_one(ours, theirs):
    """Whether every pixel in which two masks differ touches the boundary of theirs, diagonals included."""
    square = np.ones((3, 3), np.uint8)
    grown = cv2.dilate(theirs.astype(np.uint8), square)
    shrunk = cv2.erode(theirs.astype(np.uint8), square)
    return not ((ours != theirs) & ~((grown == 1) & (shrunk == 0))).any()


@pytest.mark.parametrize("stride", [None, 32], ids=["square", "minimal"])
def test_crops_are_the_full_frame_on_every_aspect_ratio(stride):
    pixels = differing = 0
    for seed, image_size in enumerate(IMAGE_SIZES):
        boxes, coefficients, prototypes, letterbox = random_case(seed, image_size, stride)
        expected = full_frame_masks(boxes, coefficients, prototypes, letterbox)
        for row, theirs in zip(pending_masks(boxes, coefficients, prototypes, letterbox), expected, strict=True):
            ours = row.render().dense()
            assert ours.shape == theirs.shape
            assert boundary_distance_at_most_one(ours, theirs), image_size
            pixels += ours.size
            differing += int((ours != theirs).sum())
    assert pixels > 2_000_000
    assert differing <= pixels / 10_000, f"{differing} of {pixels} pixels differ"


def test_crops_are_the_full_frame_on_real_photos(shared):
    """A network's own prototypes, smooth and large, on photos of several sizes."""
    photos = sorted((shared / "data" / "coco_val" / "images").glob("*.jpg"))[:6]
    pixels = differing = masks = 0
    with Network.open(shared / "models" / "yolov8n-seg.onnx", threads=1) as network:
        for photo in photos:
            image = load_image(photo)
            letterbox = Letterbox.fit((image.shape[1], image.shape[0]), (640, 640), stride=32)
            [(candidates, prototypes, _)] = network.run(letterbox.tensor(image))
            class_count = len(candidates) - 4 - len(prototypes)
            found = detect(candidates, letterbox, class_count=class_count, conf=0.25, iou=0.7, max_det=20)
            expected = full_frame_masks(found.boxes_xyxy, found.coefficients, prototypes, letterbox)
            rows = pending_masks(found.boxes_xyxy, found.coefficients, prototypes, letterbox)
            for row, theirs in zip(rows, expected, strict=True):
                ours = row.render().dense()
                assert boundary_distance_at_most_one(ours, theirs), photo.name
                pixels, differing, masks = pixels + ours.size, differing + int((ours != theirs).sum()), masks + 1
    assert masks > len(photos)
    assert differing <= pixels / 10_000, f"{differing} of {pixels} pixels differ"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 160), st.integers(1, 160), st.sampled_from([None, 32]))
def test_crops_are_the_full_frame_but_for_rounding(seed, width, height, stride):
    boxes, coefficients, prototypes, letterbox = random_case(seed, (width, height), stride, count=4)
    logits = full_frame_logits(coefficients, prototypes, letterbox)
    expected = full_frame_masks(boxes, coefficients, prototypes, letterbox)
    for row, theirs, values in zip(
        pending_masks(boxes, coefficients, prototypes, letterbox), expected, logits, strict=True
    ):
        differing = row.render().dense() != theirs
        assert (np.abs(values[differing]) < 1e-4).all(), "only where the logit is all but 0"


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.integers(1, 25))
def test_a_point_sees_the_pixel_that_the_mask_shows(seed, width, height):
    boxes, coefficients, prototypes, letterbox = random_case(seed, (width, height), count=3)
    for row in pending_masks(boxes, coefficients, prototypes, letterbox):
        dense = row.render().dense()
        hits = [[row.contains(x + 0.5, y) for x in range(width)] for y in range(height)]
        np.testing.assert_array_equal(hits, dense)
        assert row.is_empty() == (not dense.any())
        for x, y in ((-0.001, 0), (0, -0.001), (width, 0), (0, height), (1e300, 0), (0, -1e300)):
            assert not row.contains(x, y)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-9, 70), min_size=4, max_size=4))
def test_a_part_is_counted_as_the_whole_mask_shows_it(seed, corners):
    rectangle = (*np.minimum(corners[:2], corners[2:]).tolist(), *np.maximum(corners[:2], corners[2:]).tolist())
    x1, y1, x2, y2 = np.maximum(rectangle, 0)
    for row in pending_masks(*random_case(seed, (57, 33), count=4)):
        mask = row.render()
        assert row.area == mask.area
        np.testing.assert_array_equal(row.box, mask.box)
        inside = int(mask.dense()[y1:y2, x1:x2].sum())
        assert row.area_inside(*rectangle) == mask.area_inside(*rectangle) == inside


def test_a_mask_of_more_pixels_than_a_band_is_one_piece():
    letterbox = Letterbox.fit((700, 500), (128, 128))
    prototypes = np.random.default_rng(0).standard_normal((1, 32, 32)).astype(np.float32)
    boxes, coefficients = np.array([[0, 0, 700, 500]], np.float32), np.ones((1, 1), np.float32)
    [row] = pending_masks(boxes, coefficients, prototypes, letterbox)
    assert row.render().crop.size > 3 * BAND_PIXELS
    [expected] = full_frame_masks(boxes, coefficients, prototypes, letterbox)
    assert boundary_distance_at_most_one(row.render().dense(), expected)
    assert (row.render().dense() != expected).mean() < 1e-4


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60), st.floats(-3, 0.5))
def test_emptiness_is_never_guessed_wrong(seed, width, height, bias):
    """A logit grid with one small summit, which lies between two pixels or outside the box: the hard case."""
    rng = np.random.default_rng(seed)
    boxes, coefficients, prototypes, letterbox = random_case(seed, (width, height), count=3, channels=1)
    prototypes = np.full_like(prototypes, bias)
    prototypes[0, rng.integers(prototypes.shape[1]), rng.integers(prototypes.shape[2])] = 1
    for row in pending_masks(boxes, np.abs(coefficients), prototypes, letterbox):
        assert row.is_empty() == (row.render().area == 0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_masks_lie_inside_their_boxes(seed, width, height):
    boxes, coefficients, prototypes, letterbox = random_case(seed, (width, height), count=4)
    for box, row in zip(boxes, pending_masks(boxes, coefficients, prototypes, letterbox), strict=True):
        mask = row.render()
        if mask.area:
            x1, y1, x2, y2 = mask.box
            assert box[0] <= x1
            assert box[1] <= y1
            assert x2 - 1 < box[2], "the last column's index is below x2"
            assert y2 - 1 < box[3]


@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 9], [5, 5, 9, 5], [64, 0, 64, 64], [0, 64, 64, 64], [3.2, 3, 3.8, 9], [0, 0, 0, 0]],
    ids=str,
)
def test_a_box_that_holds_no_pixel_has_an_empty_mask(box):
    letterbox = Letterbox.fit((64, 64), (64, 64))
    prototypes, coefficients = np.ones((1, 16, 16), np.float32), np.ones((1, 1), np.float32)
    [row] = pending_masks(np.array([box], np.float32), coefficients, prototypes, letterbox)
    assert row.is_empty()
    assert row.render().area == 0
    assert not row.contains(5, 5)
    assert row.render().dense().shape == (64, 64)


def test_no_detections_no_masks():
    letterbox = Letterbox.fit((64, 64), (64, 64))
    assert pending_masks(np.zeros((0, 4)), np.zeros((0, 8)), np.zeros((8, 16, 16), np.float32), letterbox) == []


def test_a_pending_mask_keeps_no_more_than_its_part_of_the_grid():
    boxes, coefficients, prototypes, letterbox = random_case(3, (640, 480))
    before = prototypes.copy()
    for row in pending_masks(boxes, coefficients, prototypes, letterbox):
        row.render()
        assert not np.shares_memory(row.logits, prototypes)
        cells = (row.columns[1] - row.columns[0]) * 128 / 640 / 4 + 3, (row.rows[1] - row.rows[0]) * 128 / 640 / 4 + 3
        assert row.logits.shape[1] <= cells[0]
        assert row.logits.shape[0] <= cells[1]
    np.testing.assert_array_equal(prototypes, before)


def test_a_pending_mask_travels_between_processes():
    rows = pending_masks(*random_case(5, (57, 33)))
    for row, again in zip(rows, pickle.loads(pickle.dumps(rows)), strict=True):
        np.testing.assert_array_equal(again.render().dense(), row.render().dense())


@pytest.mark.parametrize("image_size", [(90, 47), (500, 400), (9, 30), (1, 3), (31, 32)])
def test_tight_loses_no_pixel(image_size):
    """Photos finer and coarser than the grid; fields from smooth to noise."""
    rng = np.random.default_rng(image_size[0])
    letterbox = Letterbox.fit(image_size, (128, 128))
    for blur in (1, 3, 9):
        prototypes = np.stack([cv2.blur(rng.normal(size=(32, 32)), (blur, blur)) for _ in range(3)]).astype(np.float32)
        corners = np.sort(rng.uniform(0, 1, (20, 2, 2)), axis=1) * image_size
        boxes = corners.reshape(20, 4).astype(np.float32)
        weights = rng.normal(size=(20, 3)).astype(np.float32)
        for mask in pending_masks(boxes, weights, prototypes, letterbox):
            tight = mask.tight()
            assert tight.render().rle() == mask.render().rle()
            assert mask.columns[0] <= tight.columns[0] <= tight.columns[1] <= mask.columns[1]
            assert mask.rows[0] <= tight.rows[0] <= tight.rows[1] <= mask.rows[1]


def test_tight_leaves_out_what_cannot_be_set():
    """Set is x below 16 + 2 = 18 on a grid of 4 px, where the logits of cells 3 and 4, x 14 and 18, are 1 and 0."""
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    prototypes = np.broadcast_to(np.float32(4) - np.arange(16, dtype=np.float32), (1, 16, 16)).copy()
    boxes, weights = np.array([(8, 12, 40, 24)], np.float32), np.ones((1, 1), np.float32)
    [mask] = pending_masks(boxes, weights, prototypes, letterbox)
    tight = mask.tight()
    assert (tight.columns, tight.rows) == ((8, 18), (12, 24))
    assert tight.logits.shape == (5, 4), "rows 2 to 6 and columns 1 to 4 of cells: what these pixels need"


def test_a_tight_mask_keeps_nothing_of_the_larger_one_in_memory():
    boxes, weights = np.array([(8, 12, 40, 24)], np.float32), np.ones((1, 1), np.float32)
    [mask] = pending_masks(boxes, weights, np.ones((1, 16, 16), np.float32), Letterbox.fit((64, 64), (64, 64)))
    assert mask.tight().logits.base is None


def test_a_mask_without_a_pixel_is_tight_around_nothing():
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    boxes, weights = np.array([(8, 8, 40, 40)], np.float32), np.full((1, 1), -1, np.float32)
    [mask] = pending_masks(boxes, weights, np.ones((1, 16, 16), np.float32), letterbox)
    tight = mask.tight()
    assert tight.render().area == 0
    assert tight.columns[0] == tight.columns[1]


def test_cells_are_those_nearest_to_pixels_of_the_box():
    """A photo of 64 x 64 on a grid of 16 x 16: pixels 8 to 23 stand at cells 1.625 to 5.375."""
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    boxes, weights = np.array([(8, 12, 24, 24)], np.float32), np.ones((1, 1), np.float32)
    [mask] = pending_masks(boxes, weights, np.ones((1, 16, 16), np.float32), letterbox)
    cells, corner = mask.cells()
    assert corner == (2, 3)
    assert cells.shape == (3, 4)
    assert cells.all()


@pytest.mark.parametrize("box", [(63.5, 8, 64, 24), (8, 63.5, 24, 64), (0, 8, 0, 24)])
def test_a_box_without_the_corner_of_a_pixel_has_none_and_no_cell(box):
    """At the photo's end the pixel after it does not exist."""
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    ones = np.ones((1, 16, 16), np.float32)
    [mask] = pending_masks(np.array([box], np.float32), np.ones((1, 1), np.float32), ones, letterbox)
    assert mask.is_empty()
    assert mask.render().area == mask.tight().render().area == mask.cells()[0].size == 0


def test_prototypes_at_points_are_those_of_their_pixels():
    rng = np.random.default_rng(4)
    letterbox = Letterbox.fit((90, 47), (128, 128))
    prototypes = rng.normal(size=(3, 32, 32)).astype(np.float32)
    weights = rng.normal(size=(1, 3)).astype(np.float32)
    [mask] = pending_masks(np.array([(0, 0, 90, 47)], np.float32), weights, prototypes, letterbox)
    points = rng.uniform((0, 0), (90, 47), (200, 2))
    at_points = weights @ prototypes_at(points, prototypes, letterbox)
    assert [mask.contains(x, y) for x, y in points] == (at_points[0] > 0).tolist()
