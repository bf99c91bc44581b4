"""What points mean, of everything that the network offered.

The constants were chosen on tools/evaluate's train_validation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.masks.candidates import AREA_POWER, MOST_TRIED, Answer, Candidates, best_of, obeyed_points, steps
from fastsam_onnx.masks.decoder import CUT_SHARE, MOST_DRAWINGS, Closer, Drawing, Question
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.discs import with_disc
from fastsam_onnx.masks.mask import Mask, depth_map
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.packed import PackedMask
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.refine import told_apart

LEAST_DEPTH = 0.05
"""Depth of a point at the mask's edge, where that in the mask's middle is 1, so that a click there still counts."""
MOST_MEASURED = 50
MOST_DRAWN = 3
"""Maximum number of candidates that the decoder draws for a point."""
CLAIM_POWER = 0.2
"""Weight of a candidate's claim beside the IoU that the decoder promises, an exponent."""
MOST_ALTERNATIVES = 3
"""Maximum number of answers to one group of points: a part, a thing, the whole. Segment Anything gives as many."""
MOST_DISTINCT = 6
"""Maximum number of candidates, no two alike, among which alternatives are chosen."""
ALIKE_IOU = 0.7
"""Masks with a greater IoU are no alternatives."""
DRAWN_ON = 1.5
"""Weight of the promise when an object is drawn on after another point; that of the likeliest candidate has 1.

Less where the point lies far outside: times the root of the IoU of its box and the box that holds the points, too.
"""
LARGER = 0.3
"""Margin, in sides, of what the corrector looks at where a foreground point lies outside the box of the answer so far.

The object is larger than was thought: without a margin it would end, straight, where the point lies.
"""
LOUDER = 0.9
"""Weight of a promise for each time that the decoder had to be told louder."""
CLICK_CUT_SHARE = 0.06
"""Share of a side of the view that the answer to a click must reach to be drawn in a wider one.

At `decoder.CUT_SHARE`, which does better for strokes and corrections, 2.0 % of the answers end in a straight line of 10
pixels or more where the view ends, so 0.1 % (760 clicks; mean IoU 0.4885 and 0.4903).
"""
LOOKS = 3
"""Maximum number of times that an answer is drawn, each time in a wider view, because the view's end cuts it."""
KEPT = 1.2
"""Weight of its promise where it obeys all points as it is."""

Points = npt.NDArray[np.float64]
"""(k, 2) x, y in pixels of the photo."""


@dataclass(frozen=True, eq=False, repr=False)
class Meaning:
    """What points may mean.

    Attributes:
        mask: Its pixels.
        box_xyxy: (4,) float32 in pixels of the photo.
        index: Of the candidate whose score and class it has.
        promise: IoU that the decoder expects of it, 0 to 1, less where it had to be told louder; 0 where it drew
            nothing.
    """

    mask: MaskLike
    box_xyxy: FloatArray
    index: int
    promise: float = 0.0

    def answer(self, candidates: Candidates) -> Answer:
        """The same as an answer."""
        return candidates.answer(self.index, self.kept, self.box_xyxy)

    @property
    def kept(self) -> MaskLike:
        """The mask for an answer; many of them may be held, so nothing is held pixel by pixel."""
        return PackedMask.of(self.mask) if isinstance(self.mask, Mask) else self.mask


def for_points(candidates: Candidates, points: Points, foreground: BoolArray) -> Answer | None:
    """What points mean; None if nothing holds a foreground point and no background point.

    The first foreground point means an object, see `likeliest`. Every other point, in their order, corrects the answer
    so far, as people click where it is wrong: see `_drawn_on`, and `_least_changed` for what no decoder draws. After
    MOST_STEPS of them, all that are left do so together: a scribble of a thousand points takes no minute. Background
    points that it holds even then are cut out, see `without`.

    Args:
        candidates: Everything that the network offered.
        points: (k, 2) x, y in pixels of the photo, inside it.
        foreground: (k,): point k is foreground.
    """
    first = np.flatnonzero(foreground)[:1]
    order = np.concatenate([first, np.delete(np.arange(len(points)), first)])
    meaning = None
    for count in steps(len(points)):
        told = points[order[:count]], foreground[order[:count]]
        meaning = likeliest(candidates, *told) if meaning is None else corrected(candidates, meaning, *told)
    if meaning is None:
        return None
    meaning = without(meaning, points, foreground)
    return meaning.answer(candidates) if _agrees(meaning.mask, points, foreground) else None


def likeliest(candidates: Candidates, points: Points, foreground: BoolArray) -> Meaning | None:
    """What points mean together; None if no mask holds a foreground point and no background point.

    Of those that hold the most foreground points the one with the highest score / area^(2/3) times the depth of
    the points: people click into an object, rarely at its edge. Where there is a decoder it draws the first three
    anew, and the one with the highest promise for its claim answers.
    """
    index, claims, _ = claimants(candidates, points, foreground)
    if not index.size:
        return None
    drawn = _drawn_at(candidates, index[:MOST_DRAWN], claims[:MOST_DRAWN], points, foreground)
    return next((meaning for _, meaning in drawn), None) or _as_offered(candidates, int(index[0]), points, foreground)


def _as_offered(candidates: Candidates, index: int, points: Points, foreground: BoolArray) -> Meaning:
    """A candidate that nobody draws anew."""
    mask, box = candidates.at_points(index, points, foreground)
    return Meaning(mask, box, index)


def corrected(
    candidates: Candidates, before: Meaning, points: Points, foreground: BoolArray, *, sketch: Mask | None = None
) -> Meaning:
    """What all points mean, of which the last corrects what the others mean.

    Args:
        candidates: Everything that the network offered.
        before: What the others mean.
        points: (k, 2) x, y in pixels of the photo, inside it.
        foreground: (k,): point k is foreground, one at least.
        sketch: Rough mask of what is meant, which says more of it than any candidate does; None without.
    """
    closer = candidates.closer
    meaning = before if closer is None else _drawn_on(candidates, closer, before, points, foreground, sketch=sketch)
    if obeyed_points(meaning.mask, points, foreground).all():
        return meaning
    return _least_changed(candidates, meaning, points, foreground)


def _drawn_on(
    candidates: Candidates,
    closer: Closer,
    before: Meaning,
    points: Points,
    foreground: BoolArray,
    *,
    sketch: Mask | None,
) -> Meaning:
    """What the decoder draws when the last point corrects what the others mean.

    Drawn are the object from before, unless it obeys the last point, too, and, without a sketch, the likeliest
    candidates, all around all foreground points. What obeys most points answers; of these what promises most:
    candidates for their claim, the object from before with an advantage.
    """
    obeyed = obeyed_points(before.mask, points, foreground)
    options = [(int(obeyed.sum()), KEPT * before.promise, before)]
    likely = [] if sketch is not None else _about_candidates(candidates, points, foreground)
    again = [] if obeyed.all() else _about_before(candidates, closer, before, points, foreground, sketch=sketch)
    asked = [*likely, *again]
    questions = [question for question, _, _ in asked]
    draw = partial(closer.draw_whole, looks=LOOKS)
    for place, count, promise, mask in _told(draw, questions, points, foreground):
        _, index, weight = asked[place]
        meaning = Meaning(mask, np.array(mask.bounds, np.float32), index, promise)
        options.append((count, promise * weight, meaning))
    return max(options, key=lambda option: option[:2])[2]


def _about_candidates(
    candidates: Candidates, points: Points, foreground: BoolArray
) -> list[tuple[Question, int, float]]:
    """What the decoder is asked about the three candidates with the highest claims; the index and weight of each.

    They are of those that hold the most foreground points and no background point.
    """
    index, claims, _ = claimants(candidates, points, foreground)
    index, claims = index[:MOST_DRAWN], claims[:MOST_DRAWN]
    weights = (claims / claims.max(initial=0)) ** CLAIM_POWER
    asked = candidates.questions(around(candidates.boxes_xyxy[index], points[foreground]), asked=False)
    clicked = [question.clicked(points, foreground) for question in asked]
    return list(zip(clicked, index.tolist(), weights.tolist(), strict=True))


def _about_before(
    candidates: Candidates,
    closer: Closer,
    before: Meaning,
    points: Points,
    foreground: BoolArray,
    *,
    sketch: Mask | None,
) -> list[tuple[Question, int, float]]:
    """What is asked about the object from before; its index and weight.

    It is shown to the corrector, in a view that is wider where the last point lies outside its box; or, once it was
    corrected, to the decoder. A sketch is shown, too, for a second drawing: each knows what the other does not.
    """
    box = np.array([before.mask.bounds], np.float32)
    wide = around(box, points[foreground])
    weight = float(DRAWN_ON * box_iou(box, wide)[0, 0] ** 0.5)
    [question] = candidates.questions(wide, asked=False)
    shown = before.mask if closer.corrects or sketch is not None or len(points) > 2 else None
    asked = [question.clicked(points, foreground, shown)]
    if sketch is not None and sketch is not before.mask:
        asked.append(closer.showing(asked[0], sketch))
    if closer.corrects:
        asked = [_wider(one, before.mask, candidates.letterbox.image_size) for one in asked]
    return [(one, before.index, weight) for one in asked]


def around(boxes_xyxy: FloatArray, points: Points) -> FloatArray:
    """The boxes (n, 4), as large as is needed to hold the pixels of all points."""
    low, high = np.floor(points).min(axis=0), np.floor(points).max(axis=0) + 1
    corners = np.minimum(boxes_xyxy[:, :2], low), np.maximum(boxes_xyxy[:, 2:], high)
    return np.concatenate(corners, axis=1).astype(np.float32)


def _wider(question: Question, before: MaskLike, image_size: tuple[int, int]) -> Question:
    """The same with a margin, in the photo, if the last of its points is foreground and outside the box of before."""
    [x, y], (x1, y1, x2, y2) = np.asarray(question.points)[-1].tolist(), before.bounds
    if question.signs[-1] < 0 or (x1 <= x < x2 and y1 <= y < y2):
        return question
    low, high = np.split(question.box_xyxy, 2)
    margin = LARGER * (high - low)
    return replace(question, box_xyxy=np.concatenate([low - margin, high + margin]).clip(0, [*image_size, *image_size]))


def _told(
    draw: Callable[[list[Question]], list[Drawing]], asked: Sequence[Question], points: Points, foreground: BoolArray
) -> Iterator[tuple[int, int, float, PendingMask]]:
    """What the decoder draws when it is asked about points, louder until it obeys them all.

    For each question, by its place, the first drawing that obeys most points, and how many; its promise; the mask. None
    for a question without a drawing that holds a foreground point.
    """
    waiting = dict(enumerate(asked))
    best: dict[int, tuple[int, float, PendingMask]] = {}
    for turn in range(MOST_DRAWINGS):
        if not waiting:
            break
        for place, drawing in zip(list(waiting), draw(list(waiting.values())), strict=True):
            mask = drawing.mask
            obeyed = obeyed_points(mask, points, foreground)
            count = int(obeyed.sum())
            if obeyed[foreground].any() and (place not in best or count > best[place][0]):
                best[place] = count, drawing.promise * LOUDER**turn, mask
            del waiting[place]
            louder = drawing.question.louder(obeyed)
            if louder is not None:
                waiting[place] = louder
    return ((place, *answer) for place, answer in best.items())


def _least_changed(candidates: Candidates, before: Meaning, points: Points, foreground: BoolArray) -> Meaning:
    """What the network offered, when the last point corrects what the others mean.

    Of the candidates that obey all points, and of the mask from before with what the last point means added or cut out,
    the one that is most like the mask from before; that mask itself if none obeys more points.
    """
    mask = before.mask.render()
    offered = _obedient(candidates, mask, points, foreground)
    options = [before, *offered, *_mended(candidates, before.index, mask, points, foreground)]
    counts = [int(obeyed_points(option.mask, points, foreground).sum()) for option in options]
    return max(zip(counts, options, strict=True), key=lambda pair: (pair[0], mask.iou(pair[1].mask.render())))[1]


def _obedient(candidates: Candidates, mask: Mask, points: Points, foreground: BoolArray) -> list[Meaning]:
    """The candidates that obey all points; the twenty that fit a mask's box best."""
    obedient = (candidates.held(points) == foreground).all(axis=1)
    fitting = best_of(np.where(obedient, candidates.fits(mask.box[None])[0], 0), MOST_TRIED)
    return [_as_offered(candidates, index, points, foreground) for index in fitting.tolist()]


def _mended(
    candidates: Candidates, origin: int, mask: Mask, points: Points, foreground: BoolArray
) -> Iterator[Meaning]:
    """A mask with what the last point means added if it is foreground, cut out if it is background.

    What it means holds no point of the other kind.
    """
    others = points[foreground != foreground[-1]]
    asked, wanted = np.concatenate([points[-1:], others]), np.arange(1 + len(others)) == 0
    index, _, _ = claimants(candidates, asked, wanted)
    if index.size:
        part = _as_offered(candidates, int(index[0]), asked, wanted).mask.render()
        changed = mask.union(part) if foreground[-1] else mask.difference(part)
        if changed.area:
            yield Meaning(changed, changed.box, origin)


def without(meaning: Meaning, points: Points, foreground: BoolArray) -> Meaning:
    """The same without the background points that nothing separates from it: a disc around each is cut out."""
    held = points[~obeyed_points(meaning.mask, points, foreground) & ~foreground]
    if not len(held):
        return meaning
    mask = meaning.mask.render()
    bounds = mask.bounds
    for point in held:
        nearest = np.hypot(*(np.floor(points[foreground]) - np.floor(point)).T).min()
        mask = with_disc(mask, point, float(nearest), filled=False, bounds=bounds)
    return replace(meaning, mask=mask, box_xyxy=mask.box)


def alternatives_for_points(candidates: Candidates, points: Points, foreground: BoolArray) -> list[Answer]:
    """What points may mean, most likely first, the answer of `for_points` before all; three at most, no two alike.

    Of six candidates that obey the points and whose masks have no IoU above 0.7, the likeliest, and where there is a
    decoder of what it draws of them.

    Args:
        candidates: Everything that the network offered.
        points: (k, 2) x, y in pixels of the photo.
        foreground: (k,): point k is foreground.
    """
    index, claims, masks = claimants(candidates, points, foreground)
    distinct = told_apart(masks, ALIKE_IOU, keep_everything=True)[:MOST_DISTINCT]
    likeliest: list[Meaning] = []  # the answer to a single point is the first of them: it need not be drawn again
    if candidates.closer is None:
        rest = [_as_offered(candidates, place, points, foreground) for place in index[distinct[1:]].tolist()]
    else:
        places = np.union1d(np.arange(min(MOST_DRAWN, index.size)), distinct)
        rest = [meaning for _, meaning in _drawn_at(candidates, index[places], claims[places], points, foreground)]
        if len(points) == 1:
            likeliest = [meaning for meaning in rest if meaning.index in index[:MOST_DRAWN]]
    first = likeliest[0].answer(candidates) if likeliest else for_points(candidates, points, foreground)
    if first is None:
        return []
    answers = [first, *(meaning.answer(candidates) for meaning in rest)]
    return [answers[place] for place in unlike(answer.mask.render() for answer in answers)]


def claimants(
    candidates: Candidates, points: Points, foreground: BoolArray
) -> tuple[IntArray, npt.NDArray[np.float64], list[PendingMask]]:
    """(k,) indices of the candidates that points may mean, the claim of each to be it, the highest first; masks."""
    likely = candidates.holding(points, foreground)[:MOST_MEASURED]
    if not likely.size:
        return likely, np.zeros(0), []
    masks = candidates.masks(likely)
    areas, depths = zip(*(area_and_depth(mask, points[foreground]) for mask in masks), strict=True)
    claims = candidates.scores[likely] / np.maximum(areas, 1) ** AREA_POWER * (np.array(depths) + LEAST_DEPTH)
    order = np.argsort(-claims, kind="stable")
    return likely[order], claims[order], [masks[place] for place in order.tolist()]


def _drawn_at(
    candidates: Candidates,
    index: IntArray,
    claims: npt.NDArray[np.float64],
    points: Points,
    foreground: BoolArray,
) -> Iterator[tuple[float, Meaning]]:
    """The decoder's answers to points, of each of these candidates one at most, those that promise most first.

    With each what counts: its promised IoU times its claim to the power of 0.2.
    """
    if candidates.closer is None or not index.size:
        return
    asked = candidates.questions(candidates.boxes_xyxy[index], asked=False)
    share = CLICK_CUT_SHARE if len(points) == 1 else CUT_SHARE
    drawings = candidates.closer.draw_whole([question.clicked(points, foreground) for question in asked], LOOKS, share)
    merits = np.array([drawing.promise for drawing in drawings]) * claims**CLAIM_POWER
    for place in np.argsort(-merits, kind="stable").tolist():
        mask = drawings[place].mask
        if _agrees(mask, points, foreground):
            bounds = np.array(mask.bounds, np.float32)
            yield float(merits[place]), Meaning(mask, bounds, int(index[place]), drawings[place].promise)


def unlike(masks: Iterable[Mask]) -> list[int]:
    """Places of the first masks of which no two are alike, three at most; the others are not asked for."""
    chosen: dict[int, Mask] = {}
    for place, mask in enumerate(masks):
        if all(mask.iou(other) <= ALIKE_IOU for other in chosen.values()):
            chosen[place] = mask
        if len(chosen) == MOST_ALTERNATIVES:
            break
    return list(chosen)


def _agrees(mask: MaskLike, points: Points, foreground: BoolArray) -> bool:
    """True if the mask holds a foreground point and no background point."""
    obeyed = obeyed_points(mask, points, foreground)
    return bool(obeyed[foreground].any() and obeyed[~foreground].all())


def area_and_depth(mask: PendingMask, points: Points) -> tuple[int, float]:
    """The number of a mask's cells, and how deep the shallowest of the points that it holds lies in it, 0 to 1."""
    cells, (left, top) = mask.cells()
    depth = depth_map(cells)
    area = int(np.count_nonzero(cells))
    if not area:
        return 0, 1.0
    depths = []
    for x, y in points:
        if mask.contains(x, y):
            column, row = mask.x.nearest(math.floor(x)) - left, mask.y.nearest(math.floor(y)) - top
            depths.append(float(depth[row, column]))
    return area, min(depths, default=0.0) / float(depth.max())  # rounding may tell a point at the edge differently
