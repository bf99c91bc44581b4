"""Where a video cuts to another scene: what is seen as a cut, what is not, and that nothing goes on behind one."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastsam_onnx import FastSAM, Mask, Prompts, Segmentation
from fastsam_onnx.images.load import load_image
from fastsam_onnx.tracking import Tracker
from fastsam_onnx.tracking.following import Follower
from fastsam_onnx.tracking.scenes import Scenes

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = (320, 240)  # width, height
SCENES = {name: cv2.resize(load_image(EXAMPLES / f"{name}.jpg"), SIZE) for name in ("coffee", "astronaut", "chelsea")}


def seen_from(photo, shift=(0.0, 0.0), angle=0.0, scale=1.0):
    """A part of the photo, 1.3 times as large; the camera moved by shares of the frame, turned and came closer."""
    width, height = SIZE
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.3 * scale)
    matrix[:, 2] += np.multiply(shift, SIZE)
    return cv2.warpAffine(photo, matrix, SIZE, borderMode=cv2.BORDER_REFLECT)


def cuts(*frames):
    scenes = Scenes()
    return [scenes.begin_with(frame) for frame in frames]


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(SCENES, 2)))
def test_another_photo_is_another_scene(one, other):
    assert cuts(SCENES[one], SCENES[one], SCENES[other], SCENES[other]) == [False, False, True, False]


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_the_same_however_it_is_seen(name):
    photo = SCENES[name]
    first = seen_from(photo)
    for camera in ({"shift": (0.15, -0.1)}, {"angle": 5}, {"scale": 1.15}, {"shift": (-0.1, 0.1), "angle": -4}):
        assert cuts(first, seen_from(photo, **camera)) == [False, False], camera
    darker, brighter = cv2.convertScaleAbs(first, alpha=0.4), cv2.convertScaleAbs(first, alpha=1.0, beta=60)
    assert cuts(first, darker, brighter, cv2.blur(first, (15, 1)), first[..., ::-1]) == [False] * 5


def test_what_passes_before_the_camera_is_no_cut():
    """A bus of a third of the frame, six frames long."""
    frames = []
    for left in range(-80, 321, 80):
        frame = SCENES["coffee"].copy()
        frame[:, max(0, left) : left + 100] = SCENES["chelsea"][:, : len(range(max(0, left), min(320, left + 100)))]
        frames.append(frame)
    assert cuts(*frames) == [False] * 6


def test_frames_of_one_colour_are_of_the_scene_before_them():
    """A flash, a fade to black: what follows is compared with what was seen last."""
    coffee, cat, black = SCENES["coffee"], SCENES["chelsea"], np.zeros((*SIZE[::-1], 3), np.uint8)
    assert cuts(coffee, black + 255, coffee, black, black, coffee) == [False] * 6
    assert cuts(coffee, black, black, cat) == [False, False, False, True]
    assert cuts(black, coffee) == [False, False]


def test_a_frame_that_is_not_known_is_no_cut():
    assert cuts(SCENES["coffee"], None, SCENES["coffee"], None, SCENES["chelsea"]) == [False, False, False, False, True]


def test_what_shows_too_little_is_no_cut():
    """A star in the night, then another one: there is nothing to tell scenes apart by."""
    one, other = np.zeros((2, *SIZE[::-1], 3), np.uint8)
    one[100:140, 100:140] = other[20:60, 250:290] = 255
    assert cuts(one, other) == [False, False]


@pytest.mark.parametrize("size", [(3, 3), (1, 500), (2000, 4), (64, 64)])
def test_frames_of_any_size_can_be_compared(size):
    rng = np.random.default_rng(0)
    assert len(cuts(*rng.integers(0, 255, (3, *size, 3), np.uint8))) == 3


def found_in(photo, *corners):
    """Squares of 40 pixels, found in a photo."""
    masks = [Mask(np.ones((40, 40), bool), x, y, SIZE) for x, y in corners]
    return Segmentation.from_masks(masks, image=photo, source="clip.mp4")


def test_behind_a_cut_all_numbers_are_new():
    tracker = Tracker()
    places = (20, 30), (200, 150)
    seen = [tracker.update(found_in(photo, *places)) for photo in [SCENES["coffee"]] * 2 + [SCENES["chelsea"]] * 2]
    assert [found.track_ids.tolist() for found in seen] == [[1, 2], [1, 2], [3, 4], [3, 4]]


def test_the_same_picture_everywhere_else_has_the_same_numbers():
    """The places, shapes and colours above would go on in a scene that is not told apart."""
    tracker = Tracker()
    grey = np.full((*SIZE[::-1], 3), 90, np.uint8)
    seen = [tracker.update(found_in(photo, (20, 30), (200, 150))) for photo in (grey, grey)]
    unknown = [tracker.update(replace(found_in(grey, (20, 30), (200, 150)), image=None))]
    assert [found.track_ids.tolist() for found in seen + unknown] == [[1, 2]] * 3


def test_what_is_followed_is_given_up_at_a_cut(caplog):
    """It was looked for where it had been, and found in other scenes: one to eight of 14 objects of a real clip."""
    follower = Follower(Prompts(points=[(40, 50)]), conf=0.5)
    coffee, cat = SCENES["coffee"], SCENES["chelsea"].copy()
    cat[30:70, 20:60] = coffee[30:70, 20:60]  # the very same thing, at the same place
    assert follower.begin(found_in(coffee, (20, 30)), 0).track_ids.tolist() == [1]
    assert follower.update(found_in(coffee, (21, 30)), 1).track_ids.tolist() == [1]
    with caplog.at_level(logging.WARNING):
        assert len(follower.update(found_in(cat, (20, 30)), 2)) == 0
    assert caplog.messages == [
        "clip.mp4: object 1, which prompt 0 asked for, was found last in frame 1 and is given up: the frame begins "
        "another scene"
    ]
    assert len(follower.update(found_in(cat, (20, 30)), 3)) == 0


def test_a_clip_of_two_scenes():
    """By the bundled network: no number of the first scene is in the second, though the pictures share their frame."""
    frames = [SCENES["coffee"]] * 3 + [SCENES["astronaut"]] * 3
    ids = [set(found.track_ids.tolist()) for found in FastSAM().stream(frames, track=True)]
    assert ids[0] & ids[2]
    assert ids[3] & ids[5]
    assert not (ids[0] | ids[1] | ids[2]) & (ids[3] | ids[4] | ids[5])
