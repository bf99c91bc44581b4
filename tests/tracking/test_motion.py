"""How an object moved, by its pixels, and that its answer in a later frame is what was asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fastsam_onnx import FastSAM, Mask, Prompts
from fastsam_onnx.images.load import load_image
from fastsam_onnx.tracking import following
from fastsam_onnx.tracking.motion import LONGEST_SIDE, motion_of, reduced

COFFEE = Path(__file__).parents[2] / "examples" / "coffee.jpg"
SAUCER = (80, 70, 485, 385)


@pytest.fixture(scope="module")
def photo():
    return load_image(COFFEE)


def shown_by(photo, matrix):
    """The photo through a camera that moved."""
    height, width = photo.shape[:2]
    moved = cv2.warpAffine(photo, np.float64(matrix), (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(moved)


def cup(size=(600, 400)):
    dense = np.zeros(size[::-1], np.uint8)
    scale = size[0] / 600
    cv2.ellipse(dense, tuple(round(side * scale) for side in (292, 155)), (round(115 * scale),) * 2, 0, 0, 360, 1, -1)
    return Mask.from_dense(dense)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 13], [0, 1, -7]],
        [[1.05, 0, -14], [0, 1.05, -8]],
        [[np.cos(0.1), -np.sin(0.1), 20], [np.sin(0.1), np.cos(0.1), -25]],
    ],
    ids=["shift", "growth", "turn"],
)
@pytest.mark.parametrize("scale", [1, 3], ids=["as it is", "larger than frames are looked at"])
def test_a_camera_that_moves_moves_the_object(photo, matrix, scale):
    matrix = np.float64(matrix)
    before = photo if scale == 1 else cv2.resize(photo, None, fx=scale, fy=scale)
    matrix[:, 2] *= scale
    after = shown_by(before, matrix)
    mask = cup(before.shape[1::-1])
    motion = motion_of(mask, reduced(before), reduced(after))
    np.testing.assert_allclose(motion.matrix[:, :2], matrix[:, :2], atol=0.01)
    np.testing.assert_allclose(motion.matrix[:, 2], matrix[:, 2], atol=1.5 * scale)
    width, height = mask.image_size
    truth = cv2.warpAffine(mask.dense().view(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST)
    assert motion.moved(mask).iou(Mask.from_dense(truth)) > 0.98


@pytest.mark.parametrize("shape", [(1, 4000, 3), (4000, 1, 3), (3, 4000, 3)])
def test_a_frame_of_any_shape_is_made_smaller(shape):
    """A side of none, which OpenCV refuses, ended a stream."""
    assert 1 in reduced(np.zeros(shape, np.uint8)).shape


def test_only_the_object_counts(photo):
    """It moves to the right, all else to the left."""
    inside = cup().dense()
    after = shown_by(photo, [[1, 0, -9], [0, 1, 0]])
    there = np.roll(inside, 12, axis=1)
    after[there] = np.roll(photo, 12, axis=1)[there]
    motion = motion_of(cup(), reduced(photo), reduced(after))
    np.testing.assert_allclose(motion.matrix, [[1, 0, 12], [0, 1, 0]], atol=0.6)


@pytest.mark.parametrize("kind", ["plain", "another picture", "no pixels", "twice as large"])
def test_where_pixels_do_not_tell_there_is_no_motion(photo, kind):
    mask, before, after = cup(), photo, photo
    if kind == "plain":
        before = after = np.full_like(photo, 90)
    elif kind == "another picture":
        after = np.random.default_rng(1).integers(0, 256, photo.shape, np.uint8)
    elif kind == "no pixels":
        mask = Mask.empty((600, 400))
    else:
        after = shown_by(photo, [[2, 0, -292], [0, 2, -155]])
    assert motion_of(mask, reduced(before), reduced(after)) is None


def test_frames_are_looked_at_in_grey_and_small(photo):
    assert reduced(photo).shape == (400, 600)
    assert reduced(np.zeros((500, 2000, 3), np.uint8)).shape == (160, LONGEST_SIDE)
    assert reduced(np.zeros((3, 5, 3), np.uint8)).shape == (3, 5)


@pytest.mark.parametrize("scale", [1, 3])
def test_what_hides_a_part_of_it_looks_otherwise(photo, scale):
    before = photo if scale == 1 else cv2.resize(photo, None, fx=scale, fy=scale)
    after = shown_by(before, [[1, 0, 13 * scale], [0, 1, -7 * scale]])
    after[:, 300 * scale : 340 * scale] = (10, 200, 30)
    motion = motion_of(cup(before.shape[1::-1]), reduced(before), reduced(after))
    left, bar = np.zeros((2, *before.shape[:2]), bool)
    left[100 * scale : 200 * scale, 220 * scale : 298 * scale] = True
    bar[100 * scale : 200 * scale, 302 * scale : 338 * scale] = True
    assert motion.likeness(Mask.from_dense(left)) > 0.95
    assert motion.likeness(Mask.from_dense(bar)) < 0.3
    assert motion.likeness(Mask.from_dense(left | bar)) == pytest.approx(78 / 114, abs=0.1)
    assert motion.likeness(Mask.empty(before.shape[1::-1])) == 1.0


def test_the_answer_stays_what_was_asked_for_while_the_camera_moves(photo, monkeypatch):
    """A saucer of which the network finds parts, otherwise in every frame."""
    model = FastSAM()
    matrices = [np.float64([[1, 0, 2 * step], [0, 1, 0.5 * step]]) for step in range(6)]
    frames = [shown_by(photo, matrix) for matrix in matrices]
    asked = Prompts(boxes=[SAUCER])
    [saucer] = model(frames[0]).box_prompt(SAUCER)
    width, height = saucer.mask.image_size
    truths = [
        Mask.from_dense(cv2.warpAffine(saucer.mask.dense().view(np.uint8), matrix, (width, height)))
        for matrix in matrices
    ]

    def overlaps():
        results = list(model.stream(frames, track=True, prompts=asked))
        for found in results:
            assert found.track_ids.tolist() == results[0].track_ids.tolist()
            assert found.masks[0].bounds[0] <= found.boxes[0][0] + 1
        return [found.masks[0].iou(truth) for found, truth in zip(results, truths, strict=True)]

    assert min(overlaps()) > 0.9
    monkeypatch.setattr(following, "_as_answered", lambda found, mask, shown, motion: None)
    assert min(overlaps()) < 0.7, "what is found of it"


@pytest.mark.parametrize("bar_is", ["nowhere", "in this frame", "in the frame before"])
def test_what_hides_a_part_or_does_no_longer_is_heeded(photo, bar_is):
    """Half of it is found where nothing hides the other half: that is drawn. Else what is found is the answer."""
    model = FastSAM()
    [saucer] = model(photo).box_prompt(SAUCER)
    barred = photo.copy()
    barred[:, 90:230] = (20, 190, 40)
    half = saucer.mask.difference(Mask(np.ones((400, 140), bool), 90, 0, (600, 400)))
    before, after = (barred if bar_is == when else photo for when in ("in the frame before", "in this frame"))
    shown, mask = (half, saucer.mask) if bar_is == "in the frame before" else (saucer.mask, half)
    motion = motion_of(half, reduced(before), reduced(after))
    answer = following._as_answered(model(after), mask, shown, motion)
    if bar_is == "nowhere":
        assert answer.mask.iou(saucer.mask) > 0.95
    else:
        assert answer is None


def test_what_is_followed_is_drawn_anew():
    """What is found in streams with numbers is not, for all that nobody sees would be."""
    model = FastSAM()
    cat = load_image(COFFEE.with_name("chelsea.jpg"))
    frames = [cat, shown_by(cat, [[1, 0, 3], [0, 1, 0]])]
    _, found = model.stream(frames, track=True, prompts=Prompts(points=[(225, 150)]))
    answer = model(frames[1], redraw=False)
    assert all(found.masks[0].iou(mask) < 0.995 for mask in answer.masks)
    assert found.predicted_iou[0] > 0.5, "it is told how good it is, as of every drawn mask"
    assert np.isnan(answer.predicted_iou).all()
