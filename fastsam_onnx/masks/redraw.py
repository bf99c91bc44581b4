"""The masks of objects drawn anew by the network's decoder, from a closer look at the photo around each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, middles
from fastsam_onnx.masks.decoder import Closer, Question
from fastsam_onnx.masks.mask import depth_map
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.refine import Cells, calm, fills_a_side
from fastsam_onnx.masks.views import View

if TYPE_CHECKING:
    from fastsam_onnx.masks.candidates import Candidates
    from fastsam_onnx.masks.pending import PendingMask

AT_ONCE = 8
"""Number of objects that go through the decoder together: more are no faster, and need more memory."""
LEAST_IOU = 0.5
"""IoU with the old mask that a new one must have: it is to be the same object."""
LATTICE = 640
"""Maximum number of places along the photo's long side where masks are looked at to tell doubles."""


class _Asked(NamedTuple):
    """An object that the decoder is asked about: its place, its mask on the view's grid, and the question."""

    place: int
    old: BoolArray
    question: Question


def redrawn(
    boxes_xyxy: FloatArray, masks: Sequence[MaskLike], candidates: Candidates, closer: Closer
) -> tuple[FloatArray, list[MaskLike]]:
    """The same objects, some with new masks and the boxes of these.

    The decoder is asked what lies at the deepest point of each mask. That of which it sees something else stays, and so
    does what would be cut where the view ends.

    Args:
        boxes_xyxy: (n, 4) in pixels of the photo.
        masks: n masks.
        candidates: Everything that the network offered.
        closer: Way to look closer at the photo.

    Raises:
        ModelError: If the decoder cannot be used.
    """
    boxes, result, closer = boxes_xyxy.copy(), list(masks), closer.keeping()
    for first in range(0, len(boxes), AT_ONCE):
        asked = _to_ask(range(first, min(first + AT_ONCE, len(boxes))), boxes_xyxy, masks, candidates)
        if not asked:
            continue
        drawn = closer.draw([one.question for one in asked])
        for one, mask in zip(asked, drawn, strict=True):
            new = _same(mask, one.old)
            if new is not None:
                result[one.place], boxes[one.place] = new, new.bounds
    return boxes, result


def cells_of(masks: Sequence[MaskLike], image_size: tuple[int, int]) -> list[Cells]:
    """The masks on one grid over a photo of (width, height), of every pixel if the photo is small."""
    density = min(LATTICE / max(image_size), 1)
    columns, rows = (middles(max(round(side * density), 1), side) for side in image_size)
    cells = []
    for mask in masks:
        x1, y1, x2, y2 = mask.bounds
        left, right = columns.searchsorted((x1, x2)).tolist()
        top, bottom = rows.searchsorted((y1, y2)).tolist()
        cells.append((mask.sample(columns[left:right], rows[top:bottom]), (left, top)))
    return cells


def _to_ask(places: range, boxes_xyxy: FloatArray, masks: Sequence[MaskLike], candidates: Candidates) -> list[_Asked]:
    """The questions about some objects, without those that have no pixel and those of which no candidate is known."""
    boxes, asked = boxes_xyxy[places.start : places.stop], []
    for place, box, question in zip(places, boxes, candidates.questions(boxes, asked=False), strict=True):
        view = View.around(box, candidates.letterbox)
        old = masks[place].sample(*view.centres())
        if old.any() and len(question.coefficients):
            asked.append(_Asked(place, old, question.clicked([deepest_point(old, view)], np.ones(1, bool))))
    return asked


def deepest_point(seen: BoolArray, view: View) -> tuple[float, float]:
    """The pixel of the photo, x and y, that lies deepest in a mask (SIDE, SIDE) on a view's grid."""
    columns, rows = view.centres()
    row, column = divmod(int(depth_map(seen).argmax()), seen.shape[1])
    return float(columns[column] + 0.5), float(rows[row] + 0.5)


def _same(drawn: PendingMask, old: BoolArray) -> PendingMask | None:
    """The new mask of an object, calm; None if it is that of something else, or cut, or nothing."""
    new = calm(drawn)
    if fills_a_side(new, 1):  # of its view: the object goes on there
        return None
    inside = new.logits > 0
    common = np.count_nonzero(inside & old)
    if common < LEAST_IOU * np.count_nonzero(inside | old):
        return None
    tight = new.tight()
    return None if tight.is_empty() else tight
