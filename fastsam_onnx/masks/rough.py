"""What a rough mask means, of everything that the network offered: a scribble, a lasso, another program's mask.

Points correct it.

The constants were chosen on tools/evaluate's train_validation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray
from fastsam_onnx.masks import clicks
from fastsam_onnx.masks.candidates import NO_POINTS, NONE_WANTED, Answer, Candidates, closest, steps
from fastsam_onnx.masks.mask import Mask, depth_map

SAME_IOU = 0.9
"""IoU of an object with a mask above which it is the answer as it is."""
SLIMMEST = 0.35
"""Least shorter side of what is looked at first, beside its longer one: a stroke is slimmer than what it means."""
LEAST_SIDE = 0.02
"""The least of either, beside the photo's longer side: a dot is smaller."""
LOOKS = 6
"""Maximum number of times that what a mask means is drawn, each time in a wider view."""
THIN = 0.2
"""Thickness of a stroke, beside the longer side of its box; what is thicker is as large as the object."""
DOT = 9
"""Maximum number of pixels of a dot, which is a stroke, too."""
PLACES = 3
"""Number of places on a stroke that are clicks."""


def for_mask(
    candidates: Candidates,
    mask: Mask,
    nearest: Answer | None = None,
    points: clicks.Points = NO_POINTS,
    foreground: BoolArray = NONE_WANTED,
) -> Answer | None:
    """What a mask means, and points that correct it; None if nothing overlaps the mask.

    What the corrector draws when it is shown the mask, or what places along it mean, if it is a stroke. Without either,
    what fits the mask best, by IoU: a candidate, or the answer to the mask's box. Each point corrects the answer so
    far, see `_corrected`.

    Args:
        candidates: Everything that the network offered.
        mask: Of the photo's size, with at least one pixel.
        nearest: The object that is most like the mask. It answers where it is nearly that, and otherwise takes part,
            first of equals.
        points: (k, 2) x, y in pixels of the photo, inside it.
        foreground: (k,): point k is foreground.
    """
    if nearest is not None and mask.iou(nearest.mask.render()) > SAME_IOU:
        answer: Answer | None = nearest
    else:
        meaning = _meant(candidates, mask)
        if meaning is not None:
            answer = meaning.answer(candidates)
        else:
            answer = closest(mask, (nearest, candidates.for_box(mask.box), *candidates.near(mask)))
    return answer if answer is None or not len(points) else _corrected(candidates, mask, answer, points, foreground)


def _meant(candidates: Candidates, mask: Mask) -> clicks.Meaning | None:
    """What the corrector draws of a mask, or of a stroke what clicks on it mean, if they promise more; None without."""
    shown = drawn(candidates, mask)
    clicked = clicks.likeliest(candidates, _along(mask), np.ones(PLACES, bool)) if _is_stroke(mask) else None
    if shown is None or (clicked is not None and clicked.promise > shown.promise):
        return clicked
    return shown


def _is_stroke(mask: Mask) -> bool:
    """True for a mask that is too thin to tell how far the object goes, which it crosses or points at."""
    length = float((mask.box[2:] - mask.box[:2]).max())
    return mask.area <= DOT or 2 * float(depth_map(mask.crop).max()) < THIN * length


def _along(mask: Mask) -> clicks.Points:
    """(PLACES, 2) middles of pixels of a mask, in equal parts of its longer side."""
    rows, columns = np.nonzero(mask.crop)
    order = np.argsort(columns if np.ptp(columns) >= np.ptp(rows) else rows, kind="stable")
    chosen = order[((np.arange(PLACES) + 0.5) / PLACES * len(order)).astype(int)]
    return np.stack([mask.left + columns[chosen] + 0.5, mask.top + rows[chosen] + 0.5], axis=1)


def drawn(candidates: Candidates, mask: Mask) -> clicks.Meaning | None:
    """What the corrector draws when it is shown a mask; None if it cannot, or draws something else.

    What the end of the view cuts is drawn again, around all of it.
    """
    closer = candidates.closer
    fitting = candidates.fitting(mask.box[None], 1)[0].tolist()
    if closer is None or not closer.corrects or not fitting:
        return None
    box = _around(mask)
    for _ in range(LOOKS):
        [question] = candidates.questions(box[None], asked=False)
        [drawing] = closer.draw_whole([closer.showing(question, mask)], 1)
        if not mask.intersection_area(drawing.mask.render()):
            return None
        if not drawing.is_cut:
            break
        box = question.wider(drawing.mask.bounds, mask.image_size).box_xyxy
    return clicks.Meaning(drawing.mask, np.array(drawing.mask.bounds, np.float32), fitting[0], drawing.promise)


def _around(mask: Mask) -> FloatArray:
    """The box (4,) that is looked at first: the mask's, but neither slim nor tiny, inside the photo."""
    low, high = np.split(mask.box.astype(np.float64), 2)
    sides = high - low
    least = max(SLIMMEST * sides.max(), LEAST_SIDE * max(mask.image_size))
    room = np.maximum(least - sides, 0) / 2
    return np.concatenate([low - room, high + room]).clip(0, [*mask.image_size] * 2).astype(np.float32)


def _corrected(
    candidates: Candidates, mask: Mask, answer: Answer, points: clicks.Points, foreground: BoolArray
) -> Answer | None:
    """The answer to a mask, corrected by points as that to a click is, in their order; None if nothing is left of it.

    The deepest place of what the mask and the answer share counts as the click. The mask is shown beside the answer so
    far: a lasso says more of the object, a scribble less.
    """
    click = _click(mask, answer, points[~foreground])
    if click is None:
        return None
    points, foreground = np.concatenate([[click], points]), np.concatenate([[True], foreground])
    meaning = clicks.Meaning(answer.mask, answer.box_xyxy, index=0)  # the score and the class stay the answer's
    for count in steps(len(points))[1:]:
        meaning = clicks.corrected(candidates, meaning, points[:count], foreground[:count], sketch=mask)
    meaning = clicks.without(meaning, points, foreground)
    if not meaning.mask.area:
        return None
    return replace(answer, mask=meaning.kept, box_xyxy=meaning.box_xyxy)


def _click(mask: Mask, answer: Answer, background: clicks.Points) -> tuple[float, float] | None:
    """The deepest place of what a mask and its answer share, away from background points; None if there is none."""
    drawn = answer.mask.render()
    shared = drawn.difference(drawn.difference(mask))
    x, y = np.floor(background).astype(int).T - [[shared.left], [shared.top]]
    height, width = shared.crop.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    crop = shared.crop.copy()
    crop[y[inside], x[inside]] = False
    return replace(shared, crop=crop).inner_point
