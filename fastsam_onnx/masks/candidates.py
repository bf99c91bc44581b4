"""Everything that the network offered for a photo, before any threshold: prompts look here.

A box or a point says more about the object than the score does, so candidates with low scores, and those that NMS
dropped, may be what a prompt means. The constants were chosen on tools/evaluate's train_validation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray, product
from fastsam_onnx.masks.decoder import MOST_DRAWINGS, Closer, Decoder, Question
from fastsam_onnx.masks.detections import best_classes, box_iou, class_agnostic_scores, nms, xyxy_from_xywh
from fastsam_onnx.masks.discs import obedient
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.packed import PackedMask
from fastsam_onnx.masks.pending import PendingMask, pending_masks, prototypes_at
from fastsam_onnx.masks.refine import calm, refined
from fastsam_onnx.masks.views import PRIORS
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.outputs import NEGLIGIBLE_SCORE

SCORE_POWER = 0.3
"""Weight of a candidate's score beside the fit of its box, an exponent."""
MOST_TRIED = 20
"""Maximum number of candidates whose masks are looked at for a prompt; nearly always the first is taken."""
FILLED_SHARE = 0.85
"""A box touches what it means: a mask whose own box fills less of the prompt is too small."""
RAISES = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Amounts by which the logits of a mask that is too small are raised, one after another."""
AREA_POWER = 2 / 3
"""Exponent by which a candidate's claim to a point falls with its area."""
LEAST_FIT = 0.5
"""Fit of those that obey, as a share of the best fit."""
MOST_STEPS = 8
"""Maximum number of points that are heeded one after another."""
NO_POINTS, NONE_WANTED = np.zeros((0, 2)), np.zeros(0, bool)


@dataclass(frozen=True, eq=False, repr=False)
class Answer:
    """The answer to a prompt.

    Attributes:
        mask: Its pixels.
        box_xyxy: (4,) float32 in pixels of the photo.
        score: 0 to 1.
        label: Index of its class.
    """

    mask: MaskLike
    box_xyxy: FloatArray
    score: float
    label: int


@dataclass(frozen=True, eq=False, repr=False)
class Candidates:
    """The candidates of one photo with finite numbers and a score above 0.001, also those that NMS took away.

    They hold their own arrays, so that a result keeps neither the scores of all classes nor the outputs of a batch.

    Attributes:
        boxes_xywh: (n, 4) float32 cx, cy, w, h in pixels of the network's input.
        scores: (n,) float32 score of the best class.
        labels: (n,) int64 index of the class.
        coefficients: (n, nm) float32.
        prototypes: (nm, h, w) float32.
        letterbox: Place of the photo in the network's input.
        refine: True if answers to points are refined, as the objects are; see `refine.refined`.
        closer: Way to draw answers anew; None without.
    """

    boxes_xywh: FloatArray
    scores: FloatArray
    labels: IntArray
    coefficients: FloatArray
    prototypes: FloatArray
    letterbox: Letterbox
    refine: bool = False
    closer: Closer | None = None

    @classmethod
    def from_output(
        cls,
        output: FloatArray,
        prototypes: FloatArray,
        letterbox: Letterbox,
        class_count: int,
        *,
        labels: IntArray | None = None,
        refine: bool = False,
        decoder: Decoder | None = None,
        image: ByteArray | None = None,
    ) -> Candidates:
        """Keep what prompts may need of a network's output.

        Args:
            output: (4 + nc + nm, N) as `detections.detect` takes it.
            prototypes: (nm, h, w) float32.
            letterbox: Place of the photo in the network's input.
            class_count: nc.
            labels: (N,) int64 index of each one's class; by default that of its best score.
            refine: True if answers to points are refined.
            decoder: Network that draws answers anew; None without.
            image: (H, W, 3) uint8 RGB, the photo, for the decoder; None without.
        """
        own = _alone(prototypes)
        scores = class_agnostic_scores(output, class_count)
        columns = np.flatnonzero(scores > NEGLIGIBLE_SCORE)
        held = output[:, columns]
        finite = np.isfinite(held).all(axis=0)
        if not finite.all():
            held, columns = held[:, finite], columns[finite]
        return cls(
            boxes_xywh=held[:4].T.copy(),
            scores=scores[columns],
            labels=best_classes(held, class_count) if labels is None else labels[columns],
            coefficients=held[4 + class_count :].T.copy(),
            prototypes=own,
            letterbox=letterbox,
            refine=refine,
            closer=None if decoder is None or image is None else Closer(decoder, image, own, letterbox),
        )

    def keeping(self) -> Candidates:
        """The same for several prompts of one call, see `Closer.keeping`."""
        return self if self.closer is None else replace(self, closer=self.closer.keeping())

    @cached_property
    def boxes_xyxy(self) -> FloatArray:
        """(n, 4) float32 in pixels of the photo."""
        return self.letterbox.boxes_to_image(xyxy_from_xywh(self.boxes_xywh))

    def best(self, conf: float, iou: float, max_det: int) -> IntArray:
        """(k,) int64 indices of those with a score above `conf`, best first, after NMS of all classes together."""
        order = np.argsort(-self.scores, kind="stable")
        order = order[self.scores[order] > conf]
        return np.asarray(order[nms(xyxy_from_xywh(self.boxes_xywh[order]), iou, max_det)], np.int64)

    def fitting(self, boxes_xyxy: npt.NDArray[np.floating], most: int) -> list[IntArray]:
        """For each of the boxes (b, 4) in pixels of the photo (k,) int64 indices of those that overlap it.

        The best fit comes first: the IoU of the two boxes times the score to the power of 0.3; `most` is the maximum
        number.
        """
        return [best_of(fits, most) for fits in self.fits(boxes_xyxy)]

    def fits(self, boxes_xyxy: npt.NDArray[np.floating]) -> FloatArray:
        """(b, n) how well each candidate fits each of the boxes (b, 4); see `fitting`."""
        overlap = box_iou(np.asarray(boxes_xyxy, np.float32), self.boxes_xyxy)
        return np.asarray(np.nan_to_num(overlap) * self._confidences)

    @cached_property
    def _confidences(self) -> FloatArray:
        """(n,) what the scores weigh beside the fit of a box."""
        return np.asarray(self.scores**SCORE_POWER)

    def holding(self, points: npt.NDArray[np.float64], foreground: BoolArray) -> IntArray:
        """(k,) int64 indices of those that hold the most foreground points and no background point; most likely first.

        The likely ones have a high score for their area. None if no mask holds a foreground point.
        """
        held = self.held(points)
        count = held[:, foreground].sum(axis=1) * ~held[:, ~foreground].any(axis=1)
        hits = np.flatnonzero(count == max(count.max(initial=0), 1))
        sides = self.boxes_xyxy[hits, 2:] - self.boxes_xyxy[hits, :2]
        promise = self.scores[hits] / np.maximum(sides.prod(axis=1), 1) ** AREA_POWER
        return np.asarray(hits[np.argsort(-promise, kind="stable")], np.int64)

    def for_box(
        self,
        box_xyxy: FloatArray,
        points: npt.NDArray[np.float64] = NO_POINTS,
        foreground: BoolArray = NONE_WANTED,
    ) -> Answer | None:
        """The candidate whose box fits best, its mask cut to the prompt; None if none overlaps.

        The fit is the IoU of the two boxes times the score to the power of 0.3. Of candidates whose mask has no pixel
        in the prompt the next one is taken, twenty times at most. A mask that leaves a side of the prompt empty is
        enlarged until it fills the prompt. Where there is a decoder it draws the mask anew. What obeys all points is
        the answer; if not, the decoder is told of them, and others answer as `_obeying` says.

        Args:
            box_xyxy: (4,) in pixels of the photo, inside it.
            points: (k, 2) x, y in pixels of the photo, in the box: where the object is, or is not.
            foreground: (k,): point k is foreground.
        """
        offers = self._offers(box_xyxy)
        first = next(offers, None)
        if first is None:
            return None
        index, mask = first
        drawn = self._drawn(box_xyxy)
        alone = drawn or calm(_filling(mask))
        if obeyed_points(alone, points, foreground).all():
            return self.answer(index, alone, box_xyxy)
        corrected = self._corrected(box_xyxy, drawn, alone, points, foreground)
        if corrected is not None:
            return self.answer(index, corrected, box_xyxy)
        index, obeying = self._obeying(box_xyxy, itertools.chain([first], offers), points, foreground)
        return self.answer(index, obeying, box_xyxy)

    def _obeying(
        self,
        box_xyxy: FloatArray,
        offers: Iterator[tuple[int, PendingMask]],
        points: npt.NDArray[np.float64],
        foreground: BoolArray,
    ) -> tuple[int, MaskLike]:
        """The first offer for a box that obeys all points and fits it at least half as well as the best does.

        If there is none, the best is corrected with discs: what else happens to obey is far from what was meant, and
        made answers worse with a correction. Offers obey as they are: anything can be enlarged over a point.
        """
        [fits] = self.fits(box_xyxy[None])
        best, mask = next(offers)
        for index, offer in itertools.chain([(best, mask)], offers):
            if fits[index] < LEAST_FIT * fits[best]:
                break
            plain = calm(offer)
            if obeyed_points(plain, points, foreground).all():
                filling = calm(_filling(offer))
                return index, filling if obeyed_points(filling, points, foreground).all() else plain
        return best, PackedMask.of(obedient(calm(_filling(mask)).render(), points, foreground, mask.bounds))

    def _offers(self, box_xyxy: FloatArray) -> Iterator[tuple[int, PendingMask]]:
        """The candidates that fit a box best and their masks, cut to it; those without a pixel there are left out."""
        prompt = box_xyxy[None]
        for index in self.fitting(prompt, MOST_TRIED)[0].tolist():
            [mask] = pending_masks(prompt, self.coefficients[[index]], self.prototypes, self.letterbox)
            if not mask.is_empty():
                yield index, mask

    def questions(self, boxes_xyxy: FloatArray, *, asked: bool) -> list[Question]:
        """What the decoder is asked about boxes (n, 4): for each the candidates that fit it best; nothing clicked."""
        fitting = self.fitting(boxes_xyxy, PRIORS)
        return [Question(box, self.coefficients[best], asked) for box, best in zip(boxes_xyxy, fitting, strict=True)]

    def _drawn(self, box_xyxy: FloatArray) -> PendingMask | None:
        """The decoder's answer to a box, cut to it; None if there is none."""
        if self.closer is None:
            return None
        [question] = self.questions(box_xyxy[None], asked=True)
        return self._told(self.closer.draw, question, None, NO_POINTS, NONE_WANTED)

    def _corrected(
        self,
        box_xyxy: FloatArray,
        drawn: PendingMask | None,
        alone: PendingMask,
        points: npt.NDArray[np.float64],
        foreground: BoolArray,
    ) -> MaskLike | None:
        """The decoder's answer to a box with points, cut to it; None if there is none.

        Each point, in their order, corrects the answer so far; after MOST_STEPS of them all that are left do together.
        Background points that it holds even then are cut out in discs.

        Args:
            box_xyxy: (4,) in pixels of the photo.
            drawn: Its answer without the points, if there is one.
            alone: What is answered without the points.
            points: (k, 2) x, y in pixels of the photo.
            foreground: (k,): point k is foreground.
        """
        if self.closer is None:
            return None
        [question] = self.questions(box_xyxy[None], asked=True)
        for count in steps(len(points)):
            told = points[:count], foreground[:count]
            if not obeyed_points(drawn or alone, *told).all():
                drawn = self._told(self.closer.draw, question, drawn, *told) or drawn
        if drawn is None:
            return None
        heeded = obeyed_points(drawn, points, foreground) | ~foreground
        if obeyed_points(drawn, points[heeded], foreground[heeded]).all():
            return drawn
        return PackedMask.of(obedient(drawn.render(), points[heeded], foreground[heeded], drawn.bounds))

    def _told(
        self,
        draw: Callable[[list[Question]], list[PendingMask]],
        question: Question,
        before: PendingMask | None,
        points: npt.NDArray[np.float64],
        foreground: BoolArray,
    ) -> PendingMask | None:
        """What the decoder draws in a question's box, told of points, the last of which corrects the answer so far.

        Points that it does not obey count twice as much in the next drawing; of all drawings the first that obeys most
        of them answers; None if all are empty.
        """
        best, most = None, -1
        asked = self._about(question, before, points, foreground)
        for _ in range(MOST_DRAWINGS):
            louder = []
            for told in asked:
                [mask] = draw([told])
                cut = calm(mask.within(told.box_xyxy))
                obeyed = obeyed_points(cut, points, foreground)
                if not cut.is_empty() and obeyed.sum() > most:
                    best, most = cut, int(obeyed.sum())
                if obeyed.all():
                    return best
                louder.append(told.louder(obeyed))
            asked = [told for told in louder if told is not None]
        return best

    def _about(
        self,
        question: Question,
        before: PendingMask | None,
        points: npt.NDArray[np.float64],
        foreground: BoolArray,
    ) -> list[Question]:
        """What the decoder is asked when a question about a box has points.

        First, if there are some, with the candidates that obey all points and fit not much worse than the best; then
        with those that fit best. The answer so far is shown to the corrector, or to the decoder once it was corrected.
        """
        if self.closer is None or not len(points):
            return [question]
        question = question.clicked(points, foreground, before if self.closer.corrects or len(points) > 1 else None)
        [fits] = self.fits(question.box_xyxy[None])
        obedient = (self.held(points) == foreground).all(axis=1) & (fits > LEAST_FIT * fits.max(initial=0))
        meant = best_of(np.where(obedient, fits, 0), PRIORS)
        told = [replace(question, coefficients=self.coefficients[meant])] if meant.size else []
        return [*told, question]

    def whole_for_mask(self, mask: Mask) -> Answer | None:
        """The candidate that fits this mask best, by IoU, with all of its mask; None if none overlaps.

        The masks of the twenty candidates are measured whose boxes have the highest IoU with the mask's own box.

        Args:
            mask: Of the photo's size, with at least one pixel.
        """
        return closest(mask, self.near(mask))

    def near(self, mask: Mask) -> Iterator[Answer]:
        """The candidates whose boxes have the highest IoU with the mask's own box, twenty at most."""
        overlap = np.nan_to_num(box_iou(mask.box[None], self.boxes_xyxy)[0])
        nearest = np.argsort(-overlap, kind="stable")[:MOST_TRIED].tolist()
        overlapping = [index for index in nearest if overlap[index] > 0]
        return (self.answer(index, *self.at_points(index, NO_POINTS, NONE_WANTED)) for index in overlapping)

    def held(self, points: npt.NDArray[np.float64]) -> BoolArray:
        """(n, k): candidate n holds point k."""
        x, y = np.floor(points.T)
        x1, y1, x2, y2 = self.boxes_xyxy.T[:, :, None]
        near = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        index = np.flatnonzero(near.any(axis=1))
        held = np.zeros(near.shape, bool)
        if index.size:
            at_points = prototypes_at(points, self.prototypes, self.letterbox)
            held[index] = near[index] & (product(self.coefficients[index], at_points) > 0)
        return held

    def answer(self, index: int, mask: MaskLike, box_xyxy: FloatArray) -> Answer:
        """The mask as an answer, with this candidate's score and class."""
        return Answer(mask, box_xyxy, float(self.scores[index]), int(self.labels[index]))

    def at_points(
        self, index: int, points: npt.NDArray[np.float64], foreground: BoolArray
    ) -> tuple[PendingMask, FloatArray]:
        """This candidate's mask and box, refined if answers are; it still obeys the points that it obeys now."""
        boxes, [mask] = self.boxes_xyxy[[index]], self.masks(np.array([index]))
        if self.refine:
            new_boxes, [new] = refined(boxes, self.coefficients[[index]], self.prototypes, [mask])
            held, now = (np.array([one.contains(*point) for point in points.tolist()], bool) for one in (mask, new))
            if not (held & ~now)[foreground].any() and not (now & ~held)[~foreground].any():
                boxes, mask = new_boxes, new
        return mask, boxes[0]

    def masks(self, index: IntArray) -> list[PendingMask]:
        """The masks of these candidates, as their boxes cut them."""
        return pending_masks(self.boxes_xyxy[index], self.coefficients[index], self.prototypes, self.letterbox)


def best_of(fit: FloatArray, most: int) -> IntArray:
    """(k,) int64 indices of the highest values above 0, `most` at most, best first."""
    found = np.flatnonzero(fit > 0)
    if most < found.size:
        found = np.sort(found[np.argpartition(-fit[found], most)[:most]])
    return np.asarray(found[np.argsort(-fit[found], kind="stable")], np.int64)


def closest(mask: Mask, answers: Iterable[Answer | None]) -> Answer | None:
    """The answer with the highest IoU with a mask, the first of equal ones; None if none overlaps it."""
    best, best_iou = None, 0.0
    for answer in answers:
        iou = 0.0 if answer is None else mask.iou(answer.mask.render())
        if iou > best_iou:
            best, best_iou = answer, iou
    return best


def steps(count: int) -> list[int]:
    """How many of this number of points are heeded in each step: one more than before, and in the end all."""
    return sorted({*range(1, min(count, MOST_STEPS) + 1), count} - {0})


def obeyed_points(mask: MaskLike, points: npt.NDArray[np.float64], foreground: BoolArray) -> BoolArray:
    """(k,) True for the points (k, 2) of which the mask holds those that are foreground, and not the others."""
    held = np.array([mask.contains(*point) for point in points.tolist()], bool)
    return np.asarray(held == foreground, bool)


def _filling(mask: PendingMask) -> PendingMask:
    """The mask, its logits raised until its own box fills enough of the rectangle that it is cut to."""
    whole = (mask.columns[1] - mask.columns[0]) * (mask.rows[1] - mask.rows[0])
    best, most = mask, 0.0
    for raised in (0.0, *RAISES):
        larger = replace(mask, logits=mask.logits + np.float32(raised)) if raised else mask
        tight = larger.tight()
        share = (tight.columns[1] - tight.columns[0]) * (tight.rows[1] - tight.rows[0]) / whole
        if share > most:
            best, most = larger, share
        if share >= FILLED_SHARE:
            break
    return best


def _alone(array: FloatArray) -> FloatArray:
    """The array, or a copy of it if it is a part of a larger one, which it would keep in memory."""
    is_part = isinstance(array.base, np.ndarray) and array.base.nbytes > array.nbytes
    return array.copy() if is_part else array
