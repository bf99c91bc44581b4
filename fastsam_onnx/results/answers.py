"""The answers to points, boxes and masks: rows of a result, or results made of what the network offered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray
from fastsam_onnx.masks import rough
from fastsam_onnx.masks.candidates import Answer
from fastsam_onnx.masks.clicks import unlike
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results import rules

if TYPE_CHECKING:
    from fastsam_onnx.masks.candidates import Candidates
    from fastsam_onnx.results.rules import Pick

Found = TypeVar("Found", bound=Instances)
NOTHING = np.zeros(0, np.int64)


def of_rows(found: Found, rows: Sequence[int | None]) -> Found:
    """The rows that answer prompts, in the order of the prompts; None where nothing answers."""
    chosen = [index for index in rows if index is not None]
    answered = [prompt for prompt, index in enumerate(rows) if index is not None]
    return replace(found.take(np.array(chosen, np.int64)), prompt_index=np.array(answered, np.int64))


def of_candidates(found: Found, answers: Iterable[Answer | None]) -> Found:
    """The answers of candidates to prompts, in the order of the prompts; None where nothing answers."""
    return of_alternatives(found, ([] if answer is None else [answer] for answer in answers))


def of_alternatives(found: Found, answers: Iterable[Sequence[Answer]]) -> Found:
    """The answers of candidates to prompts, several to each, in the order of the prompts."""
    answered = [(prompt, answer) for prompt, several in enumerate(answers) for answer in several]
    return replace(
        found.take(NOTHING),
        boxes=np.array([answer.box_xyxy for _, answer in answered], np.float32).reshape(-1, 4),
        scores=np.array([answer.score for _, answer in answered], np.float32),
        masks=Masks((answer.mask for _, answer in answered), found.image_size),
        prompt_index=np.array([prompt for prompt, _ in answered], np.int64),
        similarity=None,
        labels=None if found.labels is None else np.array([answer.label for _, answer in answered], np.int64),
        track_ids=None,
    )


def for_mask(
    found: Instances,
    candidates: Candidates,
    mask: Mask,
    points: npt.NDArray[np.float64],
    foreground: BoolArray,
) -> Answer | None:
    """What a mask means: an object, which may have been drawn anew, or what `rough.for_mask` gives.

    Args:
        found: The objects.
        candidates: Everything that the network offered.
        mask: Of the photo's size, with at least one pixel.
        points: (k, 2) x, y inside the photo, which correct it.
        foreground: (k,): point k is foreground.
    """
    row = rules.closest_to_mask(mask, found.masks, "mask")
    nearest = None
    if row is not None:
        label = 0 if found.labels is None else int(found.labels[row])
        nearest = Answer(found.masks.lazy[row], found.boxes[row], float(found.scores[row]), label)
    return rough.for_mask(candidates, mask, nearest, points, foreground)


def of_points(found: Found, points: npt.NDArray[np.float64], foreground: BoolArray, pick: Pick) -> Found:
    """The objects that a group of points means, by a rule that looks at the objects alone.

    Args:
        found: The objects.
        points: (k, 2) x, y.
        foreground: (k,): point k is foreground.
        pick: As in `rules.pick_candidates`, or "merge".
    """
    held = rules.hits(found.masks.lazy, found.masks.bounds, points)
    if pick == "merge":
        return _merged(found, held, foreground)
    candidates = rules.candidates_at_points(held, foreground)
    needs_areas = pick != "best"
    areas = [found.masks.lazy[i].area if needs_areas else 0 for i in candidates.tolist()]
    scores = found.scores[candidates]
    rows = rules.pick_candidates(candidates, held, foreground, pick, areas=np.array(areas, np.int64), scores=scores)
    if pick == "alternatives":
        rows = rows[unlike(found.masks[row] for row in rows.tolist())]
    return found.take(rows)


def _merged(found: Found, held: BoolArray, foreground: BoolArray) -> Found:
    touched = np.flatnonzero(held.any(axis=1))
    merged = rules.merge_masks([found.masks[i] for i in touched.tolist()], held[touched], foreground)
    if merged is None:
        return found.take(NOTHING)
    meant = np.flatnonzero(held[:, foreground].any(axis=1))
    best = found.take(meant[[np.argmax(found.scores[meant])]])
    masks = Masks([merged], found.image_size)
    return replace(best, boxes=merged.box[None], masks=masks, prompt_index=None, similarity=None, track_ids=None)
