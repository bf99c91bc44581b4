"""Numbers that the objects of a video keep from frame to frame.

Where an object was, and how it moved, says where it should be next; the object that is found there has its number. The
idea to let objects of low scores go on with a number, but not begin one, is ByteTrack's. The constants were chosen by
tools/measure_tracking.py on clips that are not among those it reports.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.tracking.shapes import shape_iou, shapes_of

Found = TypeVar("Found", bound=Instances)
Table = npt.NDArray[np.float64]

LOW_SHARE = 0.3
"""Share of the threshold above which a score is low, not nothing."""
KEPT_FRAMES = 30
"""Number of frames that an object may be away before its number is given up."""
KEPT_FRAMES_NEW = 3
"""The same for an object that was seen once and not asked for: many of these are errors of the network."""
LEAST_FIT = 0.2
"""Fit, 0 to 1, that an object must exceed to have a number."""
LEAST_FIT_LOW = 0.3
"""The same for an object of a low score."""
SHAPE_WEIGHT = 0.5
"""Share of the fit that is lost where shapes have nothing in common."""
MARGIN = 0.3
"""Margin around boxes that are compared, as a share of the root of their area: small objects that move fast meet."""
GAIN = 0.5
"""Share of the way from the expected box to the one that was found that an object's box goes: the rest is noise."""
VELOCITY_GAIN = 0.2
"""The same for the velocity."""


@dataclass(frozen=True, eq=False)
class Track:
    """An object of the frames so far.

    Attributes:
        number: Its number, from 1.
        box_xywh: (4,) float64 centre x, y, width, height in pixels, where it was last.
        velocity: (2,) float64 pixels a frame, to the right and down.
        shape: Its mask's shape, as it was seen last; see `shapes_of`.
        seen_at: (2,) float64 centre of the box in which it was seen last.
        frames_seen: Number of frames in which it was seen.
        frames_away: Number of frames since then, with the one that comes.
        is_asked_for: True if somebody asked for it.
    """

    number: int
    box_xywh: Table
    velocity: Table
    shape: BoolArray
    seen_at: Table
    frames_seen: int = 1
    frames_away: int = 0
    is_asked_for: bool = False

    @property
    def expected_xywh(self) -> Table:
        """(4,) the box that it should have now."""
        moved: Table = self.box_xywh + np.append(self.velocity * self.frames_away, (0, 0))
        return moved

    @property
    def is_given_up(self) -> bool:
        """True if it was away for too long."""
        is_sure = self.is_asked_for or self.frames_seen > 1
        return self.frames_away > (KEPT_FRAMES if is_sure else KEPT_FRAMES_NEW)

    def seen(self, box_xywh: Table, shape: BoolArray) -> Track:
        """The track after it was seen again."""
        expected = self.expected_xywh
        change = box_xywh - expected
        gain = 1.0 if self.frames_seen == 1 else VELOCITY_GAIN
        return Track(
            self.number,
            expected + GAIN * change,
            self.velocity + gain / self.frames_away * change[:2],
            shape,
            box_xywh[:2],
            self.frames_seen + 1,
            is_asked_for=self.is_asked_for,
        )


class Tracker:
    """Gives the objects of one video's frames, in their order, numbers that stay.

        tracker = Tracker()
        for frame in frames:
            found = tracker.update(model(frame))
            found.track_ids

    Frames of another size are another video: its objects have new numbers.

    Attributes:
        conf: Score that an object must exceed to have a new number; None if all have one.
    """

    def __init__(self, *, conf: float | None = None) -> None:
        """Begin with the number 1.

        Args:
            conf: Score that an object must exceed to have a new number, 0 to 1; others are kept where they go on with
                a number, and left out elsewhere. None for numbers for all.

        Raises:
            OptionError: If it is not a number from 0 to 1.
        """
        self.conf = None if conf is None else options.fraction("conf", conf)
        self._tracks: list[Track] = []
        self._next = 1
        self._image_size: tuple[int, int] | None = None

    def update(
        self,
        found: Found,
        *,
        asked: int = 0,
        allowed: Mapping[int, BoolArray] | None = None,
        offers: int = 0,
    ) -> Found:
        """The objects of the next frame with their numbers, `track_ids`, in the order in which they were.

        Args:
            found: The objects.
            asked: Number of objects at the beginning that somebody asked for: they may have new numbers whatever their
                scores, and are kept as long as objects that were seen more than once.
            allowed: For some numbers (n,) True for the objects that may go on with it.
            offers: Number of objects at the end that may go on with the numbers in `allowed` alone, and are left out
                elsewhere.

        Raises:
            OptionError: If `found` is not the objects of a frame.
        """
        if not isinstance(found, Instances):
            raise OptionError(
                f"found must be the objects of a frame, as model(frame) gives them, got {reprlib.repr(found)}; "
                "skip() lets a frame pass that has none"
            )
        if self._image_size != found.image_size:
            self._tracks, self._image_size = [], found.image_size
        self.skip()
        shapes = shapes_of(found.masks.lazy)
        boxes = _xywh(found.boxes.astype(np.float64))
        is_offer = np.arange(len(found)) >= len(found) - offers
        is_asked_for = np.arange(len(found)) < asked
        is_sure = is_asked_for | self._begins(found)
        fit = _fit_table(self._tracks, boxes, shapes)
        for column, track in enumerate(self._tracks):
            fit[~(allowed or {}).get(track.number, ~is_offer), column] = 0
        owners = self._owners(fit, is_sure | is_offer)
        seen: list[Track] = []
        track_ids = np.zeros(len(found), np.int64)
        for index, (box, shape) in enumerate(zip(boxes, shapes, strict=True)):
            if index in owners:
                seen.append(owners[index].seen(box, shape))
            elif is_sure[index] and not is_offer[index]:
                asked_for = bool(is_asked_for[index])
                seen.append(Track(self._next, box, np.zeros(2), shape, box[:2], is_asked_for=asked_for))
                self._next += 1
            else:
                continue
            track_ids[index] = seen[-1].number
        numbers = {track.number for track in seen}
        self._tracks = [*seen, *(track for track in self._tracks if track.number not in numbers)]
        kept = np.flatnonzero(track_ids)
        return replace(found.take(kept), track_ids=track_ids[kept])

    def _begins(self, found: Instances) -> BoolArray:
        """(n,) True for objects that may have a new number."""
        return np.ones(len(found), bool) if self.conf is None else np.asarray(found.scores > self.conf, bool)

    def skip(self) -> None:
        """Let a frame pass of which nothing is known."""
        later = [replace(track, frames_away=track.frames_away + 1) for track in self._tracks]
        self._tracks = [track for track in later if not track.is_given_up]

    def next_shift(self, number: int) -> tuple[int, int] | None:
        """Pixels, to the right and down, from where an object was seen last to where it should be in the next frame.

        None if its number is given up by then.
        """
        for track in self._tracks:
            if track.number == number:
                later = replace(track, frames_away=track.frames_away + 1)
                if later.is_given_up:
                    break
                x, y = np.round(later.expected_xywh[:2] - track.seen_at).astype(int).tolist()
                return x, y
        return None

    def rejoin(self, number: int, other: int) -> None:
        """Let the object that has got another number since it was away go on with its own."""
        rejoined = [replace(track, number=number, is_asked_for=True) for track in self._tracks if track.number == other]
        self._tracks = [*rejoined, *(track for track in self._tracks if track.number not in (number, other))]

    def _owners(self, fit: Table, is_sure: BoolArray) -> dict[int, Track]:
        """The track that each object goes on with, by its index; those of low scores choose last."""
        left, owners = fit.copy(), {}
        for rows, least in ((np.flatnonzero(is_sure), LEAST_FIT), (np.flatnonzero(~is_sure), LEAST_FIT_LOW)):
            for row, column in pairs(left[rows], least):
                owners[int(rows[row])] = self._tracks[column]
                left[:, column] = 0
        return owners


def pairs(fit: Table, least: float) -> list[tuple[int, int]]:
    """Rows and columns that belong together, each once: the best fit first, as long as it exceeds the least.

    The assignment with the largest sum (Hungarian) measures the same within the noise, and needs SciPy.
    """
    rows, columns = np.nonzero(fit > least)
    order = np.argsort(-fit[rows, columns], kind="stable")
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in chosen and column not in taken:
            chosen[row] = column
            taken.add(column)
    return list(chosen.items())


def _fit_table(tracks: Sequence[Track], boxes_xywh: Table, shapes: BoolArray) -> Table:
    """(n, len(tracks)) the fit of objects to tracks, 0 to 1: IoU of boxes with margins, less where shapes differ."""
    if not tracks or not len(boxes_xywh):
        return np.zeros((len(boxes_xywh), len(tracks)))
    expected = np.stack([track.expected_xywh for track in tracks])
    iou = np.nan_to_num(box_iou(_with_margins(boxes_xywh), _with_margins(expected)))
    alike = shape_iou(shapes, np.stack([track.shape for track in tracks]))
    return np.asarray(iou * (1 - SHAPE_WEIGHT + SHAPE_WEIGHT * alike), np.float64)


def _with_margins(boxes_xywh: Table) -> npt.NDArray[np.float32]:
    """(n, 4) float32 x1, y1, x2, y2 of boxes with a margin on each side."""
    sides = np.maximum(boxes_xywh[:, 2:], 1)
    half = sides / 2 + MARGIN * np.sqrt(sides.prod(axis=1))[:, None]
    return np.concatenate([boxes_xywh[:, :2] - half, boxes_xywh[:, :2] + half], axis=1).astype(np.float32)


def _xywh(boxes_xyxy: Table) -> Table:
    """(n, 4) boxes x1, y1, x2, y2 as centre x, y, width, height."""
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1)
