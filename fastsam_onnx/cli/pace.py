"""Pictures of a video's frames, drawn and put at their times into a video of constant rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import numbered_colours, overlay
from fastsam_onnx.formats import to_mask
from fastsam_onnx.images.video import Frame
from fastsam_onnx.log import warn
from fastsam_onnx.stream import Failure
from fastsam_onnx.tracking import Tracker

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation

Draw = Callable[["Segmentation", dict[str, Any]], ByteArray]
"""From the objects of a frame and a format's options to its picture, (H, W, 3) uint8 RGB."""

MOST_HELD_SECONDS = 60
"""The longest time for which a video holds one picture."""


def overlays() -> Draw:
    """What draws the overlays of one video, in which objects have colours that stay."""
    tracker = Tracker()

    def drawn(found: Segmentation, options: dict[str, Any]) -> ByteArray:
        if found.track_ids is None:  # numbers for the colours alone
            options = {**options, "colours": numbered_colours(tracker.update(found))}
        return overlay(found, **options)

    return drawn


def masked(found: Segmentation, options: dict[str, Any]) -> ByteArray:
    """The mask in black and white, (H, W, 3)."""
    return np.repeat(to_mask(found, **options)[..., None], 3, axis=2)


class Pace:
    """Pictures at the times of their frames in a video of constant rate: the last one stays until the next is due.

    A gap of more than `MOST_HELD_SECONDS` is left out with a warning: a damaged time would fill the disk.

    Attributes:
        left_out: Number of frames that came faster than the rate.
    """

    def __init__(self, add: Callable[[ByteArray], object], fps: float, name: str, draw: Draw) -> None:
        """Begin a video: `add` puts a picture into it, at `fps` frames a second; `name` is its name in warnings."""
        self._add, self._fps, self._name, self._draw = add, fps, name, draw
        self._count, self.left_out = 0, 0
        self._began: float | None = None
        self._last: ByteArray | None = None
        self._last_number = 0

    def add(self, frame: Frame, found: Segmentation | Failure, options: dict[str, Any]) -> None:
        """Draw a frame, and put it and what was held until then into the video."""
        if isinstance(found, Failure):
            return  # what comes next is due later
        if self._began is None:
            self._began = frame.seconds
        due = round((frame.seconds - self._began) * self._fps)
        gap = (due - self._count) / self._fps
        if gap > MOST_HELD_SECONDS:
            warn(
                "%s: %.3f s between frames %d and %d are not in the video: a pause, or a damaged time",
                *(self._name, gap, self._last_number, frame.number),
            )
            self._began += gap
            due = self._count
        if due < self._count - 1:  # one too early is within the unevenness of cameras
            self.left_out += 1
            return
        while self._last is not None and self._count < due:
            self._put(self._last)
        self._last, self._last_number = self._draw(found, options), frame.number
        self._put(self._last)

    def _put(self, picture: ByteArray) -> None:
        self._add(picture)
        self._count += 1
