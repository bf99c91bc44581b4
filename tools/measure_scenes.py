"""Measure what tracking takes for a cut: pairs of different photos, and of views of one photo.

    python -m tools.measure_scenes --data FOLDER             # the figures that are reported, photos of `dense`
    python -m tools.measure_scenes --data FOLDER --choose    # photos of train_validation, to choose on
    python -m tools.measure_scenes --data FOLDER --clip CLIP # and the frames of a video that look like cuts

Different photos, both upright or both not, are frames of two scenes. The views of a photo are wilder than a video's
from frame to frame: up to 15 % of the sides away, turned by up to 5 degrees, 15 % closer or farther away, brighter or
darker by up to 30 %, three in ten blurred by a fast camera.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.video import open_video
from fastsam_onnx.tracking.scenes import Scenes, is_cut, small_picture
from tools.evaluate.truth import CHOOSING_SET, read_set

ByteArray = npt.NDArray[np.uint8]

PAIRS = 4000
VIEWS = 5
SEEN_SHARE = 1 / 1.3
"""Share of a photo's sides that a view shows."""


def different(photos: Sequence[ByteArray], rng: np.random.Generator) -> list[bool]:
    """For pairs of different photos whether they are told apart."""
    told = []
    for _ in range(PAIRS):
        one, other = (photos[index] for index in rng.choice(len(photos), 2, replace=False))
        if (one.shape[0] > one.shape[1]) == (other.shape[0] > other.shape[1]):
            other = cv2.resize(other, one.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)
            told.append(is_cut(small_picture(one), small_picture(other)))
    return told


def the_same(photos: Sequence[ByteArray], rng: np.random.Generator) -> list[bool]:
    """For pairs of views of one photo whether they are told apart."""
    return [
        is_cut(small_picture(view(photo)), small_picture(moved(photo, rng))) for photo in photos for _ in range(VIEWS)
    ]


def view(photo: ByteArray, shift: Sequence[float] = (0, 0), angle: float = 0, scale: float = 1) -> ByteArray:
    """The middle of a photo, by a camera that moved by shares of the sides, turned, and came closer."""
    size = photo.shape[1::-1]
    matrix = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), angle, scale / SEEN_SHARE)
    matrix[:, 2] += np.multiply(shift, size)
    return cv2.warpAffine(photo, matrix, size, borderMode=cv2.BORDER_REFLECT).astype(np.uint8)


def moved(photo: ByteArray, rng: np.random.Generator) -> ByteArray:
    """Another view, in another light."""
    seen = view(photo, rng.uniform(-0.15, 0.15, 2).tolist(), rng.uniform(-5, 5), rng.uniform(1 / 1.15, 1.15))
    lit = np.clip(seen * rng.uniform(0.7, 1.3) + rng.uniform(-20, 20), 0, 255).astype(np.uint8)
    return np.asarray(cv2.blur(lit, (15, 1)), np.uint8) if rng.random() < 0.3 else lit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the development sets")
    parser.add_argument("--choose", action="store_true", help="photos to choose on")
    parser.add_argument("--clip", type=Path, help="a video")
    options = parser.parse_args()
    name = CHOOSING_SET if options.choose else "dense"
    photos = [load_image(photo.source) for photo in read_set(options.data / name)]
    rng = np.random.default_rng(0)
    for what, told in (("different photos", different(photos, rng)), ("views of one photo", the_same(photos, rng))):
        print(f"{name}, {what}: {np.mean(told):.2%} of {len(told)} pairs are cuts")
    if options.clip:
        scenes = Scenes()
        pictures = (frame.picture for frame in open_video(options.clip).frames())
        begins = [scenes.begin_with(picture if isinstance(picture, np.ndarray) else None) for picture in pictures]
        print(f"{options.clip.name}: cuts before frames {np.flatnonzero(begins).tolist()} of {len(begins)}")


if __name__ == "__main__":
    main()
