"""The results of a stream with numbers; or of these the objects that prompts mean in one frame, followed from there."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np

from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.log import warn
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.options import CallKeywords, integer
from fastsam_onnx.results.answers import of_candidates
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.stream import Failure
from fastsam_onnx.tracking.tracker import LOW_SHARE, Tracker

Results = Generator[Segmentation | Failure, None, None]

__all__ = ["LOW_SHARE", "Follower", "StreamKeywords", "followed", "numbering", "tracked"]

SAME_IOU = 0.5
"""IoU of masks above which an answer to a prompt and an object of the frame are one."""


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
        raise OptionError(
            f"prompts must be a Prompts, such as Prompts(points=[(620, 360)]), got {reprlib.repr(prompts)}"
        )
    prompts.check()
    if not prompts.asked:
        raise PromptError(
            "prompts must hold a point, box, mask or text, got none; leave them out to track every object"
        )
    return partial(followed, prompts=prompts, at_frame=integer("at_frame", at_frame, 0), conf=conf)


def tracked(results: Results, *, conf: float) -> Results:
    """The results with numbers.

    Args:
        results: One for each frame, in their order, with objects of scores down to `LOW_SHARE` of `conf`. A failure is
            a frame of which nothing is known.
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
    if index < at_frame:
        raise PromptError(f"at_frame must be the index of a frame, 0 to {index}, got {at_frame}")


class Follower:
    """Follows the objects that prompts mean in one frame of a video.

    All objects have numbers, so that none is taken for another. Where a followed object should be, everything that the
    network offered is looked at, also below the threshold.
    """

    def __init__(self, prompts: Prompts, *, conf: float) -> None:
        """Follow nothing yet; see `followed`."""
        self._prompts = prompts
        self._tracker = Tracker(conf=conf)
        self._masks: dict[int, Mask] = {}
        self._prompt_index: dict[int, int] = {}

    def skip(self) -> None:
        """Let a frame pass of which nothing is known."""
        self._tracker.skip()

    def begin(self, found: Segmentation, frame: int) -> Segmentation:
        """The objects that the prompts mean in this frame, with their numbers.

        Raises:
            PromptError: If one of the prompts means nothing.
        """
        answers = self._prompts.choose(found)
        assert answers.prompt_index is not None
        missing = sorted(set(range(self._prompts.asked)) - set(answers.prompt_index.tolist()))
        if missing:
            raise PromptError(f"prompt {missing[0]} means nothing in frame {frame}, so there is nothing to follow")
        merged = Segmentation.concatenate([answers, _without(found, answers)])
        begins = self._tracker.begins(merged)
        begins[: len(answers)] = True
        numbered = self._tracker.update(merged, begins=begins)[: len(answers)]
        assert numbered.track_ids is not None
        self._prompt_index = dict(zip(numbered.track_ids.tolist(), answers.prompt_index.tolist(), strict=True))
        return self._followed(numbered, frame)

    def update(self, found: Segmentation, frame: int) -> Segmentation:
        """The followed objects that are in the next frame, in the order of their prompts."""
        offers = self._offers(found)
        merged = Segmentation.concatenate([found, offers])
        return self._followed(self._tracker.update(merged, offers=len(offers)), frame)

    def _offers(self, found: Segmentation) -> Segmentation:
        """What the network offered where followed objects should be, and is not among the objects of the frame."""
        expected = []
        for number, mask in self._masks.items():
            shift = self._tracker.next_shift(number)
            moved = None if shift is None else mask.moved(*shift)
            if moved is not None and moved.area:
                expected.append(moved)
        if not expected or found.candidates is None:
            return found.take(np.zeros(0, np.int64))
        return _without(of_candidates(found, map(found.candidates.whole_for_mask, expected)), found)

    def _followed(self, numbered: Segmentation, frame: int) -> Segmentation:
        """Of the objects of a frame the followed ones; those that are given up are logged."""
        assert numbered.track_ids is not None
        place = {number: index for index, number in enumerate(numbered.track_ids.tolist())}
        numbers = [number for number in self._prompt_index if number in place]
        kept = numbered.take(np.array([place[number] for number in numbers], np.int64))
        self._masks |= dict(zip(numbers, kept.masks, strict=True))
        prompt_index = np.array([self._prompt_index[number] for number in numbers], np.int64)
        for number in [number for number in self._masks if self._tracker.next_shift(number) is None]:
            warn(
                "%s: object %d, which prompt %d asked for, was not found for some time and is given up",
                numbered.source or f"frame {frame}",
                number,
                self._prompt_index[number],
            )
            del self._masks[number]
        return replace(kept, prompt_index=prompt_index)


def _without(found: Segmentation, others: Segmentation) -> Segmentation:
    """The objects that are not among some others, as far as the overlap of masks tells."""
    rows = []
    masks = list(others.masks)
    for index, mask in enumerate(found.masks):
        if all(mask.iou(other) <= SAME_IOU for other in masks):
            rows.append(index)
    return replace(found.take(np.array(rows, np.int64)), prompt_index=None)
