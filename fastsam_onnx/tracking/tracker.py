"""Numbers that the objects of a video keep from frame to frame.

Where an object was, and how it moved, says where it should be next; the object that is found there has its number, the
less so the more its shape and its colours differ. What was lost is recognised elsewhere by these. The idea to let
objects of low scores go on with a number, but not begin one, is ByteTrack's. The constants were chosen by
tools/measure_tracking on clips that are not among those it reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.tracking.looks import LEAST_LIKENESS, blended, likeness, likenesses
from fastsam_onnx.tracking.scenes import Scenes
from fastsam_onnx.tracking.shapes import shape_iou
from fastsam_onnx.tracking.sights import Sight, Table, sights_of

Found = TypeVar("Found", bound=Instances)

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
LOOK_WEIGHT = 2.0
"""The same where colours have nothing in common: none is left where they are half alike."""
REACH = 2.0
"""Distance within which an object that was lost is recognised, in roots of its area."""
REACH_GAIN = 0.3
"""The same for each frame since it was seen."""
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
        last: What was seen of it last.
        fullest: What was seen of it where most of it was.
        look: Its colours over time.
        frames_seen: Number of frames in which it was seen.
        frames_away: Number of frames since then, with the one that comes.
        is_asked_for: True if somebody asked for it.
    """

    number: int
    box_xywh: Table
    velocity: Table
    last: Sight
    fullest: Sight
    look: FloatArray
    frames_seen: int = 1
    frames_away: int = 0
    is_asked_for: bool = False

    @property
    def expected_xywh(self) -> Table:
        """(4,) the box that it should have now."""
        moved: Table = self.box_xywh + np.append(self.velocity * self.frames_away, (0, 0))
        return moved

    @property
    def is_sure(self) -> bool:
        """False if it was seen once and not asked for."""
        return self.is_asked_for or self.frames_seen > 1

    @property
    def is_given_up(self) -> bool:
        """True if it was away for too long."""
        return self.frames_away > (KEPT_FRAMES if self.is_sure else KEPT_FRAMES_NEW)

    @classmethod
    def begun(cls, number: int, sight: Sight, *, is_asked_for: bool) -> Track:
        """The track of an object that is seen for the first time."""
        return cls(number, sight.box_xywh, np.zeros(2), sight, sight, sight.look, is_asked_for=is_asked_for)

    def seen(self, sight: Sight) -> Track:
        """The track after it was seen again."""
        expected = self.expected_xywh
        change = sight.box_xywh - expected
        gain = 1.0 if self.frames_seen == 1 else VELOCITY_GAIN
        return Track(
            self.number,
            expected + GAIN * change,
            self.velocity + gain / self.frames_away * change[:2],
            sight,
            max(self.fullest, sight, key=lambda each: each.area),
            blended(self.look, sight.look),
            self.frames_seen + 1,
            is_asked_for=self.is_asked_for,
        )

    def likeness(self, sight: Sight) -> float:
        """How like the object is what is seen somewhere, 0 to 1: by colours; 0 too far away, or of another shape.

        Where colours are not known it is 0: shapes alone are too often alike.
        """
        distance = np.hypot(*(sight.box_xywh - self.last.box_xywh)[:2])
        if distance > reach(self.fullest.area, self.frames_away):
            return 0.0
        return likeness(self.look, sight.look) if sight.is_like(self.last) or sight.is_like(self.fullest) else 0.0


class Tracker:
    """Gives the objects of one video's frames, in their order, numbers that stay.

        tracker = Tracker()
        for frame in frames:
            found = tracker.update(model(frame))
            found.track_ids

    Frames of another size are another video, and a cut begins another scene: all objects have new numbers there.

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
        self._scenes = Scenes()

    def update(self, found: Found) -> Found:
        """The objects of the next frame with their numbers, `track_ids`, in the order in which they were.

        Args:
            found: The objects. Without the photo no colours and no cuts are seen.

        Raises:
            OptionError: If `found` is not the objects of a frame.
        """
        self.enter(found)
        return self.number(found)

    def enter(self, found: Instances) -> bool:
        """Look at the next frame, before its objects have numbers.

        Args:
            found: The objects.

        Returns:
            True if nothing goes on in it: it is of another size, or there is a cut before it.

        Raises:
            OptionError: If `found` is not the objects of a frame.
        """
        if not isinstance(found, Instances):
            raise OptionError(
                f"found must be the objects of a frame, as model(frame) gives them, got {options.shown(found)}; "
                "skip() lets a frame pass that has none"
            )
        if is_resized := self._image_size not in (None, found.image_size):
            self._scenes = Scenes()
        begins = self._scenes.begin_with(found.image) or is_resized
        if begins:
            self._tracks = []
        self._image_size = found.image_size
        return begins

    def number(
        self,
        found: Found,
        *,
        asked: int = 0,
        allowed: Mapping[int, BoolArray] | None = None,
        offers: int = 0,
    ) -> Found:
        """The objects of a frame, which was entered, with their numbers.

        Args:
            found: The objects.
            asked: Number of objects at the beginning that somebody asked for: they may have new numbers whatever their
                scores, and are kept as long as objects that were seen more than once.
            allowed: For some numbers (n,) True for the objects that may go on with it.
            offers: Number of objects at the end that may go on with the numbers in `allowed` alone, and are left out
                elsewhere.

        Raises:
            OptionError: If one of the options is something else.
        """
        asked, offers = options.integer("asked", asked, 0), options.integer("offers", offers, 0)
        if not isinstance(allowed, Mapping | None):
            raise OptionError(f"allowed must be a dict from numbers to bool arrays, got {options.shown(allowed)}")
        self.skip()
        sights = sights_of(found)
        is_offer = np.arange(len(found)) >= len(found) - offers
        is_asked_for = np.arange(len(found)) < asked
        is_sure = is_asked_for | self._begins(found)
        fit = _fit_table(self._tracks, sights)
        for column, track in enumerate(self._tracks):
            fit[~(allowed or {}).get(track.number, ~is_offer), column] = 0
        owners = self._owners(fit, is_sure | is_offer)
        begins = set(np.flatnonzero(is_sure & ~is_offer).tolist()) - owners.keys()
        owned = {*(allowed or {}), *(track.number for track in owners.values())}
        lost = [track for track in self._tracks if track.number not in owned]
        owners |= _recognised(lost, {index: sights[index] for index in sorted(begins)})
        seen: list[Track] = []
        track_ids = np.zeros(len(found), np.int64)
        for index, sight in enumerate(sights):
            if index in owners:
                seen.append(owners[index].seen(sight))
            elif index in begins:
                seen.append(Track.begun(self._next, sight, is_asked_for=bool(is_asked_for[index])))
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
                x, y = np.round((later.expected_xywh - track.last.box_xywh)[:2]).astype(int).tolist()
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


def _fit_table(tracks: Sequence[Track], sights: Sequence[Sight]) -> Table:
    """(n, len(tracks)) the fit of objects to tracks, 0 to 1: IoU of boxes with margins, less where the rest differs."""
    if not tracks or not sights:
        return np.zeros((len(sights), len(tracks)))
    seen = np.stack([sight.box_xywh for sight in sights])
    expected = np.stack([track.expected_xywh for track in tracks])
    iou = np.nan_to_num(box_iou(_with_margins(seen), _with_margins(expected)))
    shapes = np.stack([sight.shape for sight in sights]), np.stack([track.last.shape for track in tracks])
    fit = iou * (1 - SHAPE_WEIGHT * (1 - shape_iou(*shapes)))
    like = _likenesses(np.stack([sight.look for sight in sights]), np.stack([track.look for track in tracks]))
    fit *= np.maximum(1 - LOOK_WEIGHT * (1 - like), 0)
    return np.asarray(fit, np.float64)


def _likenesses(seen: FloatArray, known: FloatArray) -> FloatArray:
    """(n, m) float32 how alike looks (n, LEVELS ** 3) and (m, LEVELS ** 3) are, 0 to 1; 1 where one is not known."""
    like = likenesses(seen, known)
    like[~seen.any(axis=1)] = 1
    like[:, ~known.any(axis=1)] = 1
    return like


def _recognised(lost: Sequence[Track], sights: Mapping[int, Sight]) -> dict[int, Track]:
    """The lost track that each of these objects goes on with, by its index: the most like it first."""
    like = np.array([[track.likeness(sight) for track in lost] for sight in sights.values()])
    rows = list(sights)
    return {rows[row]: lost[column] for row, column in pairs(like.reshape(len(rows), len(lost)), LEAST_LIKENESS)}


def reach(area: float, frames: int) -> float:
    """Distance in pixels within which an object of this area is recognised some frames after it was seen."""
    return (REACH + REACH_GAIN * frames) * math.sqrt(area)


def _with_margins(boxes_xywh: Table) -> npt.NDArray[np.float32]:
    """(n, 4) float32 x1, y1, x2, y2 of boxes with a margin on each side."""
    sides = np.maximum(boxes_xywh[:, 2:], 1)
    half = sides / 2 + MARGIN * np.sqrt(sides.prod(axis=1))[:, None]
    return np.concatenate([boxes_xywh[:, :2] - half, boxes_xywh[:, :2] + half], axis=1).astype(np.float32)
