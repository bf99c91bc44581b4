"""Where a video cuts to another scene, in which nothing of the last one goes on.

Each part of a frame is looked for near its place in the other one. In one scene most of them are found, whatever moves,
turns, grows or changes its brightness from frame to frame; in another scene hardly any is. The constants were chosen
by pairs of different photos and of views of one photo (tools/measure_scenes).
"""

from __future__ import annotations

import itertools

import numpy as np

from fastsam_onnx.arrays import ByteArray

LONGEST_SIDE = 64
"""Longer side in pixels to which frames are reduced."""
PARTS = 4
"""Number of parts across and down."""
NEAR = 0.25
"""How far away a part is looked for, as a share of the frame's sides."""
LEAST_CONTRAST = 6.0
"""Standard deviation of grey levels below which a part has nothing to be found by."""
FEWEST_PARTS = 6
"""Fewest parts, of both frames, by which scenes are told apart."""
SAME_SCENE = 0.64
"""Correlation with which at least half of the parts are found again in the same scene."""


class Scenes:
    """Tells where the frames of one video, all of one size, begin another scene."""

    def __init__(self) -> None:
        """Begin with the first frame."""
        self._picture: ByteArray | None = None

    def begin_with(self, image: ByteArray | None) -> bool:
        """True if the next frame (H, W, 3), None where it is not known, is of another scene than those before it.

        A frame of one colour, in a fade or a flash, is of the scene before it; what follows is compared with that.
        """
        picture = None if image is None else small_picture(image)
        if picture is None or picture.std() < LEAST_CONTRAST:
            return False
        before, self._picture = self._picture, picture
        return before is not None and is_cut(before, picture)


def small_picture(image: ByteArray) -> ByteArray:
    """(h, w) uint8: a frame (H, W, 3) in grey, as small as scenes are compared."""
    import cv2

    height, width = image.shape[:2]
    factor = LONGEST_SIDE / max(height, width)
    size = max(PARTS, round(width * factor)), max(PARTS, round(height * factor))
    return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))


def is_cut(before: ByteArray, after: ByteArray) -> bool:
    """True if two frames, from `small_picture`, of one size, are of two scenes; False where too little is seen."""
    found = [*_found_again(before, after), *_found_again(after, before)]
    return len(found) >= FEWEST_PARTS and float(np.median(found)) < SAME_SCENE


def _found_again(picture: ByteArray, other: ByteArray) -> list[float]:
    """How well each part of a picture that has contrast is found near its place in another one, -1 to 1."""
    import cv2

    rows, columns = (np.arange(PARTS + 1) * side // PARTS for side in picture.shape)
    down, across = (round(NEAR * side) for side in picture.shape)
    found = []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            part = picture[top:bottom, left:right]
            near = other[max(0, top - down) : bottom + down, max(0, left - across) : right + across]
            if min(part.std(), near.std()) >= LEAST_CONTRAST:
                found.append(float(cv2.matchTemplate(near, part, cv2.TM_CCOEFF_NORMED).max()))
    return found
