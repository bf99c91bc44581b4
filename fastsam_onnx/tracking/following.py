"""The results of a stream with numbers; or of these the objects that prompts mean in one frame, followed from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.log import warn
from fastsam_onnx.masks import rough
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.options import CallKeywords, integer, shown
from fastsam_onnx.results.answers import of_candidates
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.redrawing import redrawn
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.stream import Failure
from fastsam_onnx.tracking.looks import blended, likeness, look_of
from fastsam_onnx.tracking.motion import Motion, motion_of, reduced
from fastsam_onnx.tracking.tracker import Tracker, reach

if TYPE_CHECKING:
    from fastsam_onnx.masks.candidates import Candidates

Results = Generator[Segmentation | Failure, None, None]

SAME_IOU = 0.5
"""IoU of masks above which what is seen is what was expected, or what is seen otherwise."""
AS_ANSWERED_IOU = 0.9
"""IoU above which what was found is what was answered before."""
OTHER_SHARE = 0.02
"""Share of what was found below which an answer adds nothing to it, and leaves nothing out."""
SAME_PIXELS = 0.8
"""Least share of the pixels by which it differs that look as they did before."""
WELL_PLACED_IOU = 0.8
"""IoU of masks above which what is found is just where an object is expected."""
LEAST_OVERLAP = 0.1
"""IoU of masks above which it is about there, so that it may be the object."""
LEAST_LIKENESSES = 0.85, 0.95, 0.97
"""Likeness of colours, 0 to 1, by `look_of`, of what is the object: just there, about there, and elsewhere."""
LOOK_WEIGHT = 6.0
"""Factor of what colours lack of being the same, by which the fit is less."""
ELSEWHERE_IOU = 0.2
"""IoU of boxes below which another object is elsewhere."""


class StreamKeywords(CallKeywords, total=False):
    """The keyword arguments of `FastSAM.stream`, but for `on_error`."""

    batch: int
    workers: int | None
    track: bool
    prompts: Prompts | None
    at_frame: int


def numbering(track: bool, prompts: Prompts | None, at_frame: int, *, conf: float) -> Callable[[Results], Results]:
    """What gives the results of a stream their numbers: `tracked`, or with prompts `followed`.

    Args:
        track: As in `FastSAM.stream`.
        prompts: As in `FastSAM.stream`.
        at_frame: As in `FastSAM.stream`.
        conf: Score that an object must exceed to have a new number.

    Raises:
        OptionError: If the options do not fit each other.
        PromptError: If a prompt is malformed, or there is none.
    """
    if prompts is None:
        if at_frame:
            raise OptionError("at_frame is the frame that prompts are for; give prompts=, too, or leave it out")
        return partial(tracked, conf=conf)
    if not track:
        raise OptionError(
            "prompts are followed from frame to frame, which needs track=True; to choose anew in every frame, put them "
            "to each result: prompts.choose(found)"
        )
    if not isinstance(prompts, Prompts):
        raise OptionError(f"prompts must be a Prompts, such as Prompts(points=[(620, 360)]), got {shown(prompts)}")
    prompts.check()
    if not prompts.asked:
        raise PromptError(
            "prompts must hold a point, box, mask or text, got none; leave them out to track every object"
        )
    if prompts.classify is not None:
        raise OptionError("classify is for single results, not for what is followed: call found.classify on each")
    if prompts.similar is not None:
        raise OptionError("similar is for single results, not for what is followed: call found.similar on each")
    return partial(followed, prompts=prompts, at_frame=integer("at_frame", at_frame, 0), conf=conf)


def tracked(results: Results, *, conf: float) -> Results:
    """The results with numbers.

    Args:
        results: One for each frame, in their order, with objects of scores down to `tracker.LOW_SHARE` of `conf`. A
            failure is a frame of which nothing is known.
        conf: Score that an object must exceed to have a new number.
    """
    tracker = Tracker(conf=conf)
    with closing(results):
        for found in results:
            if isinstance(found, Failure):
                tracker.skip()
                yield found
            else:
                yield tracker.update(found)


def followed(results: Results, prompts: Prompts, *, at_frame: int, conf: float) -> Results:
    """The objects that prompts mean in one frame, and the same objects in the frames after it.

    Args:
        results: As in `tracked`.
        prompts: What is followed.
        at_frame: Index of the frame that the prompts are for; the results before it are empty.
        conf: As in `tracked`.

    Raises:
        PromptError: If one of the prompts means nothing in its frame, or there is no such frame.
    """
    follower = Follower(prompts, conf=conf)
    index = -1
    with closing(results):
        for index, found in enumerate(results):
            if isinstance(found, Failure):
                if index == at_frame:
                    raise PromptError(f"frame {index}, which the prompts are for, cannot be read: {found.error}")
                follower.skip()
                yield found
            elif index == at_frame:
                yield follower.begin(found, index)
            else:
                yield follower.update(found, index)
    if index < 0:
        raise PromptError("there are no frames, so there is nothing that the prompts could mean")
    if index < at_frame:
        raise PromptError(f"the frame that the prompts are for must be one of 0 to {index}, got {at_frame}")


@dataclass(frozen=True, eq=False)
class Frame:
    """What is known of a frame but its objects.

    Attributes:
        index: Its number in the video, from 0.
        image: (H, W, 3) uint8 RGB; None where it is not known.
        picture: The same in grey and small, see `motion.reduced`.
    """

    index: int
    image: ByteArray | None
    picture: ByteArray | None

    @classmethod
    def of(cls, found: Segmentation, index: int) -> Frame:
        """The frame of a result."""
        return cls(index, found.image, None if found.image is None else reduced(found.image))


@dataclass(frozen=True, eq=False)
class Followed:
    """An object that is followed.

    Attributes:
        prompt_index: Index of the prompt that asked for it.
        frame: Index of the frame in which it was seen last.
        mask: Where it was there, as it was found.
        shown: Where it was there, as it was answered.
        picture: That frame, see `motion.reduced`; None where it is not known.
        fullest: Its largest mask so far: before it is hidden the last one may be a part.
        look: Its colours, see `look_of`; None where the photo is not known.
        elsewhere: Numbers of the objects that were elsewhere when it was seen last, so are others.
    """

    prompt_index: int
    frame: int
    mask: Mask
    shown: Mask
    picture: ByteArray | None
    fullest: Mask
    look: FloatArray | None
    elsewhere: frozenset[int]

    def likeness(self, mask: Mask, image: ByteArray | None) -> float:
        """How like the object a mask is, 0 to 1: by colours, as far as they are known; 0 for another size or shape."""
        if not any(_is_same_shape(mask, known) for known in (self.mask, self.fullest)):
            return 0.0
        return 1.0 if self.look is None or image is None else likeness(self.look, look_of(mask, image))

    def surplus(self, expected: Mask | None, mask: Mask, image: ByteArray | None) -> float:
        """How much more like the object a mask is than it must be, where that is expected or elsewhere."""
        overlap = 0.0 if expected is None else expected.iou(mask)
        return self.likeness(mask, image) - _least_likeness(overlap)

    def reaches(self, boxes_xyxy: FloatArray, frame: int) -> BoolArray:
        """(n,) True where a box (n, 4) in a later frame is one to which the object may have come."""
        distances = np.hypot(*((boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 - _middle(self.mask)).T)
        return np.asarray(distances <= reach(self.fullest.area, frame - self.frame), bool)

    def motion(self, picture: ByteArray | None) -> Motion | None:
        """How its pixels moved to a later frame; None where that cannot be told."""
        return None if self.picture is None or picture is None else motion_of(self.shown, self.picture, picture)

    def seen(self, frame: Frame, mask: Mask, shown: Mask, elsewhere: frozenset[int]) -> Followed:
        """The object after it was seen again."""
        look = self.look
        if look is not None and frame.image is not None:
            look = blended(look, look_of(mask, frame.image))
        fullest = max(self.fullest, mask, key=lambda known: known.area)
        return Followed(self.prompt_index, frame.index, mask, shown, frame.picture, fullest, look, elsewhere)


class Follower:
    """Follows the objects that prompts mean in one frame of a video.

    All objects have numbers, so that none is taken for another. A followed object is what is found near the place where
    it is expected, with its size, shape and colours; if nothing is, everything that the network offered there is looked
    at, also below the threshold, then what its corrector draws there. One that is not found so, since it was hidden or
    has turned, is recognised farther away, among what has got another number. Which object it is, what was found says;
    its answer is drawn anew, see `_as_answered`.
    """

    def __init__(self, prompts: Prompts, *, conf: float) -> None:
        """Follow nothing yet; see `followed`."""
        self._prompts = prompts
        self._tracker = Tracker(conf=conf)
        self._followed: dict[int, Followed] = {}

    def skip(self) -> None:
        """Let a frame pass of which nothing is known."""
        self._tracker.skip()

    def begin(self, found: Segmentation, frame: int) -> Segmentation:
        """The objects that the prompts mean in this frame, with their numbers; what several mean is there once.

        Raises:
            PromptError: If one of the prompts means nothing.
        """
        answers = self._prompts.choose(found)
        assert answers.prompt_index is not None
        missing = sorted(set(range(self._prompts.asked)) - set(answers.prompt_index.tolist()))
        if missing:
            width, height = found.image_size
            raise PromptError(
                f"prompt {missing[0]} means nothing in frame {frame} of {width}x{height} pixels, so there is nothing "
                "to follow"
            )
        answers, seen = _each_once(answers, found)
        self._tracker.enter(found)
        merged = Segmentation.concatenate([answers, _without(found, answers)])
        everything = self._tracker.number(merged, asked=len(answers))
        numbered, picture = everything[: len(answers)], Frame.of(found, frame).picture
        assert numbered.track_ids is not None
        assert answers.prompt_index is not None
        prompts = answers.prompt_index.tolist()
        numbers = numbered.track_ids.tolist()
        for number, prompt, answer, mask in zip(numbers, prompts, numbered.masks, seen, strict=True):
            look = None if found.image is None else look_of(mask, found.image)
            others = _elsewhere(answer, everything)
            self._followed[number] = Followed(prompt, frame, mask, answer, picture, mask, look, others)
        return replace(numbered, prompt_index=answers.prompt_index)

    def update(self, found: Segmentation, frame: int) -> Segmentation:
        """The followed objects that are in the next frame, in the order of their prompts; the lost ones are logged."""
        begins = self._tracker.enter(found)
        expected = self._expected(frame, found, ": the frame begins another scene" if begins else "")
        unmet = expected
        places, fits = [], []
        for look in (_found,) if found.candidates is None else (_found, _offers, _drawings):
            places.append(look(found, unmet.values()))
            fits.append({number: self._allowed(number, unmet.get(number), places[-1]) for number in self._followed})
            unmet = {number: mask for number, mask in unmet.items() if not fits[-1][number].any()}
            if not unmet:
                break
        allowed = {number: np.concatenate([some[number] for some in fits]) for number in self._followed}
        merged = Segmentation.concatenate(places)
        numbered = self._tracker.number(merged, allowed=allowed, offers=len(merged) - len(found))
        everything = self._recognised(numbered, frame, expected)
        assert everything.track_ids is not None
        place = {number: index for index, number in enumerate(everything.track_ids.tolist())}
        order = [number for number in self._followed if number in place]
        kept = everything.take(np.array([place[number] for number in order], np.int64))
        if not order:
            return replace(kept, prompt_index=np.zeros(0, np.int64))
        drawn, now = _drawn(kept, found.candidates), Frame.of(found, frame)
        boxes, masks = drawn.boxes.copy(), list(drawn.masks)
        for index, (number, mask) in enumerate(zip(order, kept.masks, strict=True)):
            one = self._followed[number]
            motion = one.motion(now.picture)
            answer = None if motion is None else _as_answered(found, masks[index], one.shown, motion)
            if answer is not None:
                boxes[index], masks[index] = answer.box, answer.mask
            self._followed[number] = one.seen(now, mask, masks[index], _elsewhere(mask, everything))
        prompt_index = np.array([self._followed[number].prompt_index for number in order], np.int64)
        return replace(kept, boxes=boxes, masks=Masks(masks, found.image_size), prompt_index=prompt_index)

    def _expected(self, frame: int, found: Segmentation, why: str) -> dict[int, Mask]:
        """Where followed objects should be in the next frame, by their number; those that are given up go."""
        expected = {}
        for number, one in list(self._followed.items()):
            shift = self._tracker.next_shift(number)
            if shift is None:
                del self._followed[number]
                warn(
                    "%s: object %d, which prompt %d asked for, was found last in frame %d and is given up%s",
                    *(found.source or f"frame {frame}", number, one.prompt_index, one.frame, why),
                )
                continue
            moved = one.mask.moved(*shift)
            if moved.area:
                expected[number] = moved
        return expected

    def _recognised(self, numbered: Segmentation, frame: int, expected: Mapping[int, Mask]) -> Segmentation:
        """The same, where what looks like a followed object that was not found has its number in place of another.

        Without the photo nothing is known of looks: shapes alone are too often alike.
        """
        assert numbered.track_ids is not None
        if numbered.image is None:
            return numbered
        ids = numbered.track_ids.copy()
        for number, one in self._followed.items():
            if number in ids:
                continue
            is_other = np.isin(ids, [*self._followed, *one.elsewhere])
            rows = np.flatnonzero(one.reaches(numbered.boxes, frame) & ~is_other).tolist()
            surplus = [one.surplus(expected.get(number), numbered.masks[row], numbered.image) for row in rows]
            if surplus and max(surplus) > 0:
                row = rows[int(np.argmax(surplus))]
                self._tracker.rejoin(number, int(ids[row]))
                ids[row] = number
        return replace(numbered, track_ids=ids)

    def _allowed(self, number: int, expected: Mask | None, found: Segmentation) -> BoolArray:
        """(n,) True for the object that may be a followed one: like it, and where it is expected, as far as may be.

        None of one that is not expected in the picture.
        """
        fit = np.zeros(len(found))
        if expected is None:
            return fit > 0
        for index in np.flatnonzero(np.nan_to_num(box_iou(found.boxes, expected.box[None])[:, 0]) > 0).tolist():
            mask = found.masks[index]
            overlap = expected.iou(mask)
            like = self._followed[number].likeness(mask, found.image) if overlap > LEAST_OVERLAP else 0.0
            if like > _least_likeness(overlap):
                fit[index] = overlap * (1 - LOOK_WEIGHT * (1 - like))
        return np.asarray((fit > 0) & (fit == fit.max(initial=0)), bool)


def _each_once(answers: Segmentation, found: Segmentation) -> tuple[Segmentation, list[Mask]]:
    """The answers but those that are found as an earlier one is, whose number would be taken from it; how all are."""
    kept: list[int] = []
    seen: list[Mask] = []
    for index, one in enumerate(answers):
        mask = _as_found(one.mask, found)
        same = next((other for other, known in zip(kept, seen, strict=True) if mask.iou(known) > AS_ANSWERED_IOU), None)
        if same is None:
            kept.append(index)
            seen.append(mask)
        else:
            first = answers[same].prompt_index
            warn("prompt %s means the object of prompt %s, which is followed once", one.prompt_index, first)
    return answers[kept], seen


def _as_found(answer: Mask, found: Segmentation) -> Mask:
    """The answer to a prompt as it will be found later: answers to boxes are cut or enlarged, other masks are not."""
    whole = None if found.candidates is None else found.candidates.whole_for_mask(answer)
    masks = [*found.masks, *([] if whole is None else [whole.mask.render()])]
    closest = max(masks, key=answer.iou, default=answer)
    return closest if closest.iou(answer) > SAME_IOU else answer


def _drawn(kept: Segmentation, candidates: Candidates | None) -> Segmentation:
    """The objects with closer outlines, where the network has a decoder and they are not drawn anew already."""
    if candidates is None or candidates.closer is None:
        return kept
    pending = [isinstance(mask, PendingMask) and mask.predicted_iou is None for mask in kept.masks.lazy]
    rows = np.flatnonzero(pending).tolist()
    boxes, masks = kept.boxes.copy(), list(kept.masks.lazy)
    if rows:
        drawn = redrawn(kept[rows], candidates)
        boxes[rows] = drawn.boxes
        for row, mask in zip(rows, drawn.masks.lazy, strict=True):
            masks[row] = mask
    return replace(kept, boxes=boxes, masks=Masks(masks, kept.image_size))


def _as_answered(found: Segmentation, mask: Mask, shown: Mask, motion: Motion) -> Instance | None:
    """What is answered of an object in the place of what was found of it; None if that is the answer.

    What is found of an object in another frame may be a part of it, or more. If it is not what was answered before,
    as the object moved since, what a box around that means is drawn, and what the corrector draws when it is shown
    that. What is most like it is the answer, unless what it adds to what was found, or leaves out, looks otherwise than
    before: something hides it, or does no longer.

    Args:
        found: All objects of the frame.
        mask: What was found of the object.
        shown: What was answered before.
        motion: Of the object since.
    """
    expected = motion.moved(shown)
    alike = mask.iou(expected)
    if alike > AS_ANSWERED_IOU or found.candidates is None or not expected.area:
        return None
    answers: list[Instance] = [*found.box_prompt(expected.box), *_drawings(found, [expected])]
    if not answers:
        return None
    closest = max(answers, key=lambda one: one.mask.iou(expected))
    if closest.mask.iou(expected) <= alike:
        return None
    for other in (closest.mask.difference(mask), mask.difference(closest.mask)):
        if other.area > OTHER_SHARE * mask.area and motion.likeness(other) < SAME_PIXELS:
            return None
    return closest


def _least_likeness(overlap: float) -> float:
    """How like an object that must be which has this IoU with the mask where it is expected."""
    there, about_there, elsewhere = LEAST_LIKENESSES
    if overlap > LEAST_OVERLAP:
        return there if overlap > WELL_PLACED_IOU else about_there
    return elsewhere


def _found(found: Segmentation, expected: Collection[Mask]) -> Segmentation:
    """What was found, wherever objects are expected."""
    return found


def _offers(found: Segmentation, expected: Collection[Mask]) -> Segmentation:
    """What the network offered where objects are expected, as far as it is not among those that were found."""
    assert found.candidates is not None
    return _without(of_candidates(found, map(found.candidates.whole_for_mask, expected)), found)


def _drawings(found: Segmentation, expected: Collection[Mask]) -> Segmentation:
    """What the corrector draws when it is shown where objects are expected; nothing without one."""
    assert found.candidates is not None
    offered = found.candidates.keeping()
    drawn = (rough.drawn(offered, mask) for mask in expected)
    answers = [None if meaning is None else meaning.answer(offered) for meaning in drawn]
    return replace(of_candidates(found, answers), prompt_index=None)


def _is_same_shape(mask: Mask, known: Mask) -> bool:
    """True if a mask is as large as a known one and has its shape, wherever it is."""
    x, y = np.round(_middle(mask) - _middle(known)).astype(int).tolist()
    return mask.iou(known.moved(x, y)) > SAME_IOU


def _elsewhere(mask: Mask, numbered: Segmentation) -> frozenset[int]:
    """The numbers of the objects that are somewhere else than a mask."""
    assert numbered.track_ids is not None
    overlap = np.nan_to_num(box_iou(numbered.boxes, mask.box[None])[:, 0])
    return frozenset(numbered.track_ids[overlap < ELSEWHERE_IOU].tolist())


def _middle(mask: Mask) -> npt.NDArray[np.float64]:
    """The centre x, y of a mask's box."""
    box = mask.box.astype(np.float64)
    return (box[:2] + box[2:]) / 2


def _without(found: Segmentation, others: Segmentation) -> Segmentation:
    """The objects that are not among some others, as far as the overlap of masks tells."""
    rows = []
    masks = list(others.masks)
    for index, mask in enumerate(found.masks):
        if all(mask.iou(other) <= SAME_IOU for other in masks):
            rows.append(index)
    return replace(found.take(np.array(rows, np.int64)), prompt_index=None)
