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
for several frames, hidden objects have low scores, and there are false ones. "model": those of a network.

The figures, over all frames of all clips; an object counts where at least 30 % of it are visible:

recall      share of the visible objects that a numbered object meets with an IoU of 0.5 or more, one to one
switches    changes of the number of an object, per 100 visible objects (CLEAR-MOT's IDSW)
MOTA        1 - (missed + false + switches) / visible objects
IDF1        2 * right / (visible + numbered objects), where one number may be right for one object only, by the best
            assignment of numbers to objects
kept        share of the objects that have one number from their first frame to their last
With a model, what it finds in the background is neither right nor wrong: "false" and "numbered" are of those that meet
an object, so MOTA and IDF1 say nothing of false ones.

Following, with a model: every object that is whole a sixth of a second after the beginning is clicked at its innermost
pixel, and those whose answer is right (IoU of 0.5 or more) are followed to the end of the clip. Of the frames after it:

right       share of the frames in which the object is visible and the answer has an IoU of 0.5 or more with it
poor        of these frames, an answer with less
missing     of these frames, none
taken       of all frames, an answer that has an IoU of 0.5 or more with another object
unseen      of the frames in which the object is not visible, an answer all the same
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import numpy.typing as npt

from fastsam_onnx import FastSAM, Mask, Masks, Prompts, Segmentation
from fastsam_onnx.images.load import load_image
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.tracking import LOW_SHARE, Tracker, following, sights, tracker
from fastsam_onnx.tracking.following import followed
from fastsam_onnx.tracking.looks import LEVELS
from tools.evaluate.prompts import interior_point
from tools.evaluate.truth import read_set

ByteArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

KINDS = ("crossing", "hidden", "shake", "turns")
RATES = (25, 10)
SIZE = (640, 480)
SECONDS = 3.0
OBJECTS = 8
SIDES = (24, 160)
VISIBLE = 0.3
FEWEST_PIXELS = 64
SAME_IOU = 0.5
CONF = 0.4
"""Score of noisy truth above which an object is found without help."""


# ---------------------------------------------------------------------------------------------- clips


@dataclass(frozen=True)
class Piece:
    """The pixels of an object, (h, w, 3) uint8, and its mask, (h, w) bool."""

    pixels: ByteArray
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Path2D:
    """Where an object is: (t,) seconds to its centre and its scale."""

    start: FloatArray
    velocity: FloatArray
    turns: tuple[float, ...] = ()
    growth: float = 0.0

    def at(self, seconds: float) -> tuple[FloatArray, float]:
        place, direction, last = self.start.copy(), 1.0, 0.0
        for turn in (*self.turns, np.inf):
            end = min(turn, seconds)
            place = place + direction * self.velocity * (end - last)
            if seconds <= turn:
                break
            last, direction = turn, -direction
        return place, float(np.exp(self.growth * seconds))


@dataclass(frozen=True)
class Clip:
    """A clip and its truth.

    Attributes:
        kind: One of KINDS.
        rate: Frames per second.
        truths: For each frame the visible masks by the number of their object, and the share that is visible.
        draw: Picture of a frame by its index.
    """

    kind: str
    rate: int
    truths: list[dict[int, tuple[Mask, float]]]
    draw: Callable[[int], ByteArray]


def pieces(data: Path, *, choosing: bool) -> list[Piece]:
    """Objects of annotated photos: of train_validation to choose on, of coco_val to report."""
    folder, row = ("train_validation",) * 2 if choosing else ("coco_val", "coco_val")
    found = []
    for photo in read_set(data / folder):
        image = load_image(photo.source)
        [truth] = photo.truths[row]
        for mask, crowd in zip(truth.masks, truth.crowd, strict=True):
            tight = mask.tight()
            sides = tight.crop.shape
            if not crowd and SIDES[0] <= min(sides) and max(sides) <= SIDES[1] and tight.area > 0.35 * np.prod(sides):
                found.append(Piece(image[tight.slices].copy(), tight.crop))
    return found


def backgrounds(data: Path, *, choosing: bool) -> list[Path]:
    paths = sorted((data / "dense" / "images").glob("*.jpg"))
    return paths[::2] if choosing else paths[1::2]


def clips(data: Path, count: int, *, choosing: bool) -> Iterator[Clip]:
    """`count` clips of each kind, each at every rate."""
    objects, photos = pieces(data, choosing=choosing), backgrounds(data, choosing=choosing)
    for number, kind in enumerate(KINDS):
        for index in range(count):
            for rate in RATES:
                rng = np.random.default_rng([int(choosing), number, index])
                yield make_clip(kind, rate, objects, photos[rng.integers(len(photos))], rng)


def make_clip(kind: str, rate: int, objects: Sequence[Piece], photo: Path, rng: np.random.Generator) -> Clip:
    chosen = [objects[index] for index in rng.choice(len(objects), OBJECTS, replace=False)]
    routes = routes_of(kind, rng)
    bar = bar_of(rng) if kind == "hidden" else None
    trembling = rng.normal(0, 5, (1000, 2)) if kind == "shake" else np.zeros((1000, 2))
    trembling = (trembling + np.roll(trembling, 1, axis=0)) / 2
    count = round(SECONDS * rate)
    frames = [
        placed_all(chosen, routes, index / rate, trembling[round(index * RATES[0] / rate)]) for index in range(count)
    ]
    truths = [visible(masks, bar) for masks in frames]

    def draw(index: int) -> ByteArray:
        shift = np.round(trembling[round(index * RATES[0] / rate)]).astype(int)
        return picture(photo, list(zip(chosen, routes, strict=True)), index / rate, shift, bar)

    return Clip(kind, rate, truths, draw)


def routes_of(kind: str, rng: np.random.Generator) -> list[Path2D]:
    """The first two objects stand still; the others move, by 40 to 170 pixels a second."""
    width, height = SIZE
    routes: list[Path2D] = []
    for index in range(OBJECTS):
        place = rng.uniform((60, 60), (width - 60, height - 60))
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(40, 170)
        velocity = speed * np.array([np.cos(angle), np.sin(angle)])
        growth = rng.uniform(-0.08, 0.08)
        if index < 2:
            routes.append(Path2D(place, np.zeros(2)))
        elif kind == "crossing" and index % 2:  # against the one before, which it meets half way
            before = routes[-1]
            velocity = -before.velocity * rng.uniform(0.7, 1.3)
            meeting = before.start + before.velocity * SECONDS / 2
            routes.append(Path2D(meeting - velocity * SECONDS / 2, velocity, growth=growth))
        elif kind == "hidden":
            velocity = np.array([np.sign(velocity[0]) * max(abs(velocity[0]), 60), 0.2 * velocity[1]])
            start = np.array([width / 2 - velocity[0] * SECONDS * rng.uniform(0.35, 0.65), place[1]])
            routes.append(Path2D(start, velocity, growth=growth))
        elif kind == "turns":
            routes.append(Path2D(place, velocity, tuple(np.sort(rng.uniform(0, SECONDS, 2))), growth))
        else:
            half_way = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * (width / 3, height / 3)
            routes.append(Path2D(half_way - velocity * SECONDS / 2, velocity, growth=growth))
    return routes


def bar_of(rng: np.random.Generator) -> tuple[int, int]:
    """First and end column of a bar that hides what passes."""
    wide = int(rng.uniform(40, 110))
    left = SIZE[0] // 2 - wide // 2
    return left, left + wide


def placed(
    piece: Piece, way: Path2D, seconds: float, shift: FloatArray
) -> tuple[npt.NDArray[np.bool_], int, int, float]:
    """The mask of an object at its size, its corner, and its scale."""
    centre, scale = way.at(seconds)
    mask = cv2.resize(piece.mask.view(np.uint8), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    x, y = np.round(centre + shift - np.array(mask.shape[::-1]) / 2).astype(int)
    return mask.astype(bool), int(x), int(y), scale


def placed_all(
    chosen: Sequence[Piece], routes: Sequence[Path2D], seconds: float, shift: FloatArray
) -> list[npt.NDArray[np.bool_]]:
    """(H, W) bool of each object as a whole, inside the picture; and beyond, which counts as hidden."""
    return [placed(piece, way, seconds, np.round(shift)) for piece, way in zip(chosen, routes, strict=True)]


def visible(masks: list[Any], bar: tuple[int, int] | None) -> dict[int, tuple[Mask, float]]:
    """What shows of the objects: the later lie before the earlier, the bar before all."""
    width, height = SIZE
    taken = np.zeros((height, width), bool)
    if bar is not None:
        taken[:, bar[0] : bar[1]] = True
    shown = {}
    for number in reversed(range(len(masks))):
        mask, left, top, _ = masks[number]
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            continue
        inside = mask[y1 - top : y2 - top, x1 - left : x2 - left]
        seen = inside & ~taken[y1:y2, x1:x2]
        taken[y1:y2, x1:x2] |= inside
        area = int(seen.sum())
        share = area / mask.sum()
        if share >= VISIBLE and area >= FEWEST_PIXELS:
            shown[number] = (Mask(seen, x1, y1, SIZE).tight(), share)
    return shown


def picture(
    photo: Path, things: Sequence[tuple[Piece, Path2D]], seconds: float, shift: IntArray, bar: tuple[int, int] | None
) -> ByteArray:
    width, height = SIZE
    margin = 24
    whole = cv2.resize(load_image(photo), (width + 2 * margin, height + 2 * margin), interpolation=cv2.INTER_AREA)
    dx, dy = np.clip(shift, -margin, margin).tolist()
    image = whole[margin - dy : margin - dy + height, margin - dx : margin - dx + width].copy()
    for piece, way in things:
        mask, left, top, _ = placed(piece, way, seconds, shift)
        pixels = cv2.resize(piece.pixels, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + mask.shape[1], width), min(top + mask.shape[0], height)
        if x1 >= x2 or y1 >= y2:
            continue
        soft = cv2.GaussianBlur(np.pad(mask, 1).astype(np.float32), (3, 3), 0)[1:-1, 1:-1, None]
        inner = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
        under = image[y1:y2, x1:x2]
        under[:] = np.round(soft[inner] * pixels[inner] + (1 - soft[inner]) * under)
    if bar is not None:
        image[:, bar[0] : bar[1]] = (96, 88, 80)
    return image


# ------------------------------------------------------------------------------------------ detections


def noisy_truth(clip: Clip, seed: int) -> Iterator[Segmentation]:
    """Detections of each frame, down to half of CONF."""
    rng = np.random.default_rng([seed, clip.rate])
    away: dict[int, int] = {}
    for truth in clip.truths:
        masks, scores = [], []
        for number, (mask, share) in truth.items():
            away[number] = away.get(number, 0) - 1
            if away[number] < 0 and rng.random() < 0.04:
                away[number] = int(rng.integers(1, 6))
            if away[number] > 0 or rng.random() < 0.05:
                continue
            masks.append(disturbed(mask, rng))
            scores.append(np.clip(0.8 * np.sqrt(share) + rng.normal(0, 0.1), 0.02, 0.99))
        for _ in range(rng.poisson(1.5)):
            masks.append(false_mask(truth, rng))
            scores.append(rng.uniform(0.05, 0.55))
        lowest = LOW_SHARE * CONF
        kept = [index for index in np.argsort(scores)[::-1] if masks[index].area and scores[index] > lowest]
        yield Segmentation.from_masks([masks[i] for i in kept], [scores[i] for i in kept], image_size=SIZE)


def disturbed(mask: Mask, rng: np.random.Generator) -> Mask:
    """The mask moved by a pixel or two, and grown or shrunk."""
    radius = int(rng.integers(0, 3))
    crop = np.pad(mask.crop, 6).view(np.uint8)
    if radius:
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        crop = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(crop, disc)
    dx, dy = rng.normal(0, 1, 2).round().astype(int) - 6
    full = np.zeros((SIZE[1] + 40, SIZE[0] + 40), bool)
    top, left = mask.top + dy + 20, mask.left + dx + 20
    full[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return Mask.from_dense(full[20:-20, 20:-20])


def false_mask(truth: dict[int, tuple[Mask, float]], rng: np.random.Generator) -> Mask:
    """A part of an object, or an ellipse anywhere."""
    if truth and rng.random() < 0.5:
        mask, _ = truth[list(truth)[rng.integers(len(truth))]]
        height, width = mask.crop.shape
        rows, columns = slice(0, max(height // 2, 1)), slice(0, width)
        return Mask(mask.crop[rows, columns], mask.left, mask.top, SIZE).tight()
    canvas = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    centre, axes = rng.uniform((0, 0), SIZE).astype(int).tolist(), rng.uniform(10, 60, 2).astype(int).tolist()
    cv2.ellipse(canvas, centre, axes, 0, 0, 360, 1, -1)
    return Mask.from_dense(canvas)


def of_model(model: FastSAM, clip: Clip) -> Iterator[Segmentation]:
    """What a network finds in each frame, with the low scores that `stream(track=True)` takes in."""
    for index in range(len(clip.truths)):
        yield model(clip.draw(index), conf=LOW_SHARE * model.options["conf"])


# --------------------------------------------------------------------------------------------- figures


@dataclass
class Figures:
    """Counts over frames; see the module's docstring.

    Attributes:
        only_met: True if numbered objects that meet no object do not count.
    """

    only_met: bool = False
    visible: int = 0
    numbered: int = 0
    met: int = 0
    switches: int = 0
    right: int = 0
    objects: int = 0
    kept: int = 0

    def add(self, truths: list[dict[int, tuple[Mask, float]]], results: list[Segmentation]) -> None:
        """Count a clip."""
        last: dict[int, int] = {}
        pairs: Counter[tuple[int, int]] = Counter()
        history: dict[int, list[int]] = {}
        for truth, found in zip(truths, results, strict=True):
            ids = found.track_ids.tolist()
            met = meetings({number: mask for number, (mask, _) in truth.items()}, found, last)
            self.visible += len(truth)
            self.met += len(met)
            self.numbered += len(met) if self.only_met else len(found)
            for number, index in met.items():
                self.switches += last.get(number, ids[index]) != ids[index]
                last[number] = ids[index]
                pairs[number, ids[index]] += 1
                history.setdefault(number, []).append(ids[index])
        self.objects += len(history)
        self.kept += sum(len(set(ids)) == 1 for ids in history.values())
        self.right += best_assignment(pairs)

    def row(self) -> list[str]:
        mota = 1 - (self.visible - self.met + self.numbered - self.met + self.switches) / self.visible
        shares = (
            self.met / self.visible,
            self.switches / self.visible,
            mota,
            2 * self.right / (self.visible + self.numbered),
            self.kept / self.objects,
        )
        return [f"{100 * share:.1f}" if index != 1 else f"{100 * share:.2f}" for index, share in enumerate(shares)]


def meetings(truth: dict[int, Mask], found: Segmentation, last: dict[int, int]) -> dict[int, int]:
    """Index of the numbered object that each object meets; that which it met before goes first."""
    ids, masks = found.track_ids.tolist(), list(found.masks)
    boxes = found.boxes
    candidates = []
    for number, mask in truth.items():
        x1, y1, x2, y2 = mask.box
        near = (boxes[:, 0] < x2) & (boxes[:, 2] > x1) & (boxes[:, 1] < y2) & (boxes[:, 3] > y1)
        for index in np.flatnonzero(near).tolist():
            iou = mask.iou(masks[index])
            if iou >= SAME_IOU:
                candidates.append((last.get(number) != ids[index], -iou, number, index))
    met: dict[int, int] = {}
    for _, _, number, index in sorted(candidates):
        if number not in met and index not in met.values():
            met[number] = index
    return met


def best_assignment(pairs: Counter[tuple[int, int]]) -> int:
    """The number of meetings that are right if every number is given to one object at most."""
    from scipy.optimize import linear_sum_assignment

    if not pairs:
        return 0
    numbers, ids = sorted({pair[0] for pair in pairs}), sorted({pair[1] for pair in pairs})
    table = np.array([[pairs[number, track] for track in ids] for number in numbers])
    return int(table[linear_sum_assignment(-table)].sum())


# ------------------------------------------------------------------------------------------------ ways


def hungarian(fit: FloatArray, least: float) -> list[tuple[int, int]]:
    """`tracker.pairs` with the largest sum of fits."""
    from scipy.optimize import linear_sum_assignment

    gains = np.where(fit > least, fit, 0)
    rows, columns = linear_sum_assignment(-gains)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if gains[row, column] > 0]


WAYS: dict[str, tuple[Any, str, Any] | None] = {
    "as it is": None,
    "Hungarian": (tracker, "pairs", hungarian),
    "no motion": (tracker.Track, "expected_xywh", property(lambda track: track.box_xywh)),
    "no low scores": (tracker, "LEAST_FIT_LOW", 1.0),
    "boxes alone": (tracker, "SHAPE_WEIGHT", 0.0),
    "shapes in full": (tracker, "SHAPE_WEIGHT", 1.0),
    "no margin": (tracker, "MARGIN", 0.0),
    "no colours": (sights, "looks_at", lambda shapes, *_: np.zeros((len(shapes), LEVELS**3), np.float32)),
}
"""What is changed in the tracker for each row."""


def numbered(frames: Sequence[Segmentation], conf: float, way: str) -> list[Segmentation]:
    """The frames of a clip through a tracker."""
    change = WAYS[way]
    with patch.object(*change) if change else nullcontext():
        own = Tracker(conf=conf)
        return [own.update(found) for found in frames]


# ------------------------------------------------------------------------------------------- following

FOLLOWED_FROM = 1 / 6
"""Time in seconds of the frame that the clicks are for."""
WAYS_TO_FOLLOW: dict[str, tuple[Any, str, Any] | None] = {
    "as it is": None,
    "found objects alone": (Candidates, "whole_for_mask", lambda self, mask: None),
    "not drawn": (following, "_drawings", lambda found, expected: found.take(np.zeros(0, np.int64))),
    "whatever colours": (following, "LEAST_LIKENESS", 0.0),
    "not recognised": (following.Follower, "_recognised", lambda self, numbered, frame: numbered),
}


@dataclass
class Following:
    """Counts over frames; see the module's docstring."""

    asked: int = 0
    right: int = 0
    poor: int = 0
    missing: int = 0
    taken: int = 0
    unseen: int = 0
    frames: int = 0
    hidden: int = 0

    def row(self) -> list[str]:
        seen = self.frames - self.hidden
        of_seen = [100 * count / max(seen, 1) for count in (self.right, self.poor, self.missing)]
        rest = [100 * self.taken / max(self.frames, 1), 100 * self.unseen / max(self.hidden, 1)]
        return [str(self.asked), *(f"{share:.1f}" for share in (*of_seen, *rest))]

    def add(self, clip: Clip, frames: Sequence[Segmentation], conf: float, way: str) -> None:
        """Follow what is visible as a whole, all of it at once."""
        first = round(FOLLOWED_FROM * clip.rate)
        clicks = {number: interior_point(mask) for number, (mask, share) in clip.truths[first].items() if share > 0.99}
        answers = frames[first].point_prompt([[click] for click in clicks.values()])
        assert answers.prompt_index is not None
        numbers = list(clicks)
        right = {
            numbers[prompt]
            for prompt, mask in zip(answers.prompt_index.tolist(), answers.masks, strict=True)
            if mask.iou(clip.truths[first][numbers[prompt]][0]) >= SAME_IOU
        }
        if not right:
            return
        prompts = Prompts(points=[[clicks[number]] for number in sorted(right)])
        self.asked += len(right)
        change = WAYS_TO_FOLLOW[way]
        with patch.object(*change) if change else nullcontext():
            results = followed((found for found in frames), prompts, at_frame=first, conf=conf)
            for truth, found in list(zip(clip.truths, results, strict=True))[first + 1 :]:
                self._count(sorted(right), truth, found)

    def _count(self, numbers: Sequence[int], truth: dict[int, tuple[Mask, float]], found: Any) -> None:
        given = dict(zip(found.prompt_index.tolist(), found.masks, strict=True))
        for prompt, number in enumerate(numbers):
            mask = given.get(prompt)
            self.frames += 1
            if mask is not None:
                others = (other for key, (other, _) in truth.items() if key != number)
                self.taken += any(mask.iou(other) >= SAME_IOU for other in others)
            if number not in truth:
                self.hidden += 1
                self.unseen += mask is not None
            elif mask is None:
                self.missing += 1
            else:
                is_right = mask.iou(truth[number][0]) >= SAME_IOU
                self.right += is_right
                self.poor += not is_right


# ---------------------------------------------------------------------------------------------- tables


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
            (self.following, "objects | right | poor | missing | taken | unseen"),
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
