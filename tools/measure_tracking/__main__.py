"""Measure the numbers that `fastsam_onnx.tracking` gives to the objects of a video, on clips whose truth is known.

    python -m tools.measure_tracking --data FOLDER                      # the figures that are reported
    python -m tools.measure_tracking --data FOLDER --choose             # clips of other photos and seeds, to choose on
    python -m tools.measure_tracking --data FOLDER --model bundled      # with a network instead of noisy truth

A clip is a photo with objects of other photos that move over it, cut out along their annotated masks, so that every
visible pixel of every object is known in every frame. Needs SciPy, for the rival matcher and for IDF1. The kinds:

crossing    pairs of objects meet in the middle of the picture, one before the other
hidden      objects pass behind a bar for a while
shake       the camera trembles by some pixels a frame
turns       objects turn round at random times

"truth": the detections are the true masks with noise (moved, grown or shrunk, scores), one in nine is missing, some
for several frames, hidden objects have low scores, and there are false ones; there is no picture, so "no colours"
changes nothing. "model": those of a network.

The figures, over all frames of all clips; an object counts where at least 30 % of it are visible:

recall      share of the visible objects that a numbered object meets with an IoU of 0.5 or more, one to one
switches    changes of the number of an object, per 100 visible objects (CLEAR-MOT's IDSW)
MOTA        1 - (missed + false + switches) / visible objects
IDF1        2 * right / (visible + numbered objects), where one number may be right for one object only, by the best
            assignment of numbers to objects
kept        share of the objects that meet numbered ones, in any frame, that meet one number alone
With a model, what it finds in the background is neither right nor wrong: "false" and "numbered" are of those that meet
an object, so MOTA and IDF1 say nothing of false ones.

Following, with a model: every object that is whole a sixth of a second after the beginning is clicked at its innermost
pixel, and those whose answer is right (IoU of 0.5 or more) are followed to the end of the clip. Of the frames after it:

IoU         mean IoU of the answer with the object, over the frames in which it is visible; 0 where there is none
right       share of the frames in which the object is visible and the answer has an IoU of 0.5 or more with it
poor        of these frames, an answer with less
missing     of these frames, none
taken       of all frames, an answer that has an IoU of 0.5 or more with another object
unseen      of the frames in which the object is not visible, an answer all the same
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2

from fastsam_onnx import FastSAM, Masks, Segmentation
from tools.measure_tracking.clips import Clip, clips
from tools.measure_tracking.detections import CONF, noisy_truth, of_model
from tools.measure_tracking.following import WAYS_TO_FOLLOW, Following
from tools.measure_tracking.numbering import WAYS, Figures, numbered


@dataclass
class Tables:
    """The figures of all clips so far.

    Attributes:
        conf: Score above which an object may have a new number.
        only_met: As in `Figures`.
        ways: Names in WAYS.
    """

    conf: float
    only_met: bool
    ways: Sequence[str]
    figures: dict[tuple[str, int, str], Figures] = field(default_factory=dict)
    following: dict[tuple[str, int, str], Following] = field(default_factory=dict)

    def add(self, clip: Clip, frames: Sequence[Segmentation]) -> None:
        rendered = [replace(found, masks=Masks(list(found.masks), found.image_size)) for found in frames]
        for way in self.ways:
            results = numbered(rendered, self.conf, way)
            for kind in kinds_of(way, clip):
                self.figures.setdefault((way, clip.rate, kind), Figures(self.only_met)).add(clip.truths, results)
        if self.only_met:
            for way in WAYS_TO_FOLLOW:
                for kind in kinds_of(way, clip):
                    row = self.following.setdefault((way, clip.rate, kind), Following())
                    row.add(clip, frames, self.conf, way)

    def show(self) -> None:
        tables: tuple[tuple[dict[tuple[str, int, str], Any], str], ...] = (
            (self.figures, "recall | switches | MOTA | IDF1 | kept"),
            (self.following, "objects | IoU | right | poor | missing | taken | unseen"),
        )
        for rows, names in tables:
            if rows:
                head = f"| way | clips | frames/s | {names} |"
                print(head, "|" + " --- |" * (head.count("|") - 1), sep="\n")
            for (way, rate, kind), one in sorted(
                rows.items(), key=lambda pair: (-pair[0][1], pair[0][0] != "as it is")
            ):
                print(f"| {' | '.join([way, kind, str(rate), *one.row()])} |", flush=True)


def kinds_of(way: str, clip: Clip) -> tuple[str, ...]:
    return ("all", clip.kind) if way == "as it is" else ("all",)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the numbers of a video's objects.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=6, help="clips of each kind, each at every rate")
    parser.add_argument("--choose", action="store_true", help="the clips to choose on, not those to report")
    parser.add_argument("--model", help="a network instead of noisy truth; bundled is the bundled one")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    model = None
    if options.model is not None:
        model = FastSAM(None if options.model == "bundled" else options.model, threads=1)
    conf = CONF if model is None else float(model.options["conf"])
    tables = Tables(conf, model is not None, options.ways)
    for seed, clip in enumerate(clips(options.data, options.clips, choosing=options.choose)):
        tables.add(clip, list(noisy_truth(clip, seed) if model is None else of_model(model, clip)))
        print(f"{seed + 1} {clip.kind} {clip.rate}", file=sys.stderr, flush=True)
    tables.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
