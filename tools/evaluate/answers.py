"""Answers to prompts: how well each rule, and each correction by points, meets the ground truth that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fastsam_onnx import Mask, Segmentation
from fastsam_onnx.results.rules import Match, Pick
from tools.evaluate.overlay import Overlay
from tools.evaluate.prompts import SKETCHES, any_point, deepest, interior_point, moved

FloatArray = npt.NDArray[np.floating[Any]]

MATCH_RULES = get_args(Match)
PICK_RULES = get_args(Pick)
CORRECTIONS = {1: "one correction", 3: "three corrections"}
PROMPTS = (
    *(f"box, {rule}" for rule in MATCH_RULES),
    "box, moved",
    *(f"box, {name}" for name in CORRECTIONS.values()),
    *(f"point, {rule}" for rule in PICK_RULES),
    *(f"point, {name}" for name in CORRECTIONS.values()),
    "point, anywhere",
    "point, anywhere, alternatives",
    "mask, lasso",
    "mask, moved",
    "mask, scribble",
    "mask, stroke",
    *(f"lasso, {name}" for name in CORRECTIONS.values()),
    *(f"scribble, {name}" for name in CORRECTIONS.values()),
)


def prompt_ious(
    found: Segmentation, masks: Sequence[Mask], boxes: FloatArray, overlay: Overlay
) -> dict[str, FloatArray]:
    """For every rule, (m,) IoU of each ground truth with the answer to its prompt; 0 without an answer."""
    if not masks:
        return {name: np.zeros(0) for name in PROMPTS}
    points = np.array([interior_point(mask) for mask in masks])[:, None]
    answers = {f"box, {rule}": found.box_prompt(boxes, match=rule) for rule in MATCH_RULES}
    answers |= {f"point, {rule}": found.point_prompt(points, pick=rule) for rule in PICK_RULES}
    rng = np.random.default_rng(len(masks))  # the same prompts for every model
    answers["box, moved"] = found.box_prompt(moved(boxes, rng))
    anywhere = np.array([any_point(mask, rng) for mask in masks])[:, None]
    answers["point, anywhere"] = found.point_prompt(anywhere)
    answers["point, anywhere, alternatives"] = found.point_prompt(anywhere, pick="alternatives")
    ious = {name: best_by_prompt(answer, len(masks), overlay) for name, answer in answers.items()}
    sketches = {name: [rough(mask) for mask in masks] for name, rough in SKETCHES.items()}
    for name, sketched in sketches.items():
        ious[f"mask, {name}"] = best_by_prompt(found.mask_prompt(sketched), len(masks), overlay)
    firsts: dict[str, Iterable[FloatArray | Mask | None]] = {"box": boxes, "point": [None] * len(masks)}
    firsts |= {name: sketches[name] for name in ("lasso", "scribble")}
    corrected = {
        kind: [corrected_ious(found, mask, first) for mask, first in zip(masks, each, strict=True)]
        for kind, each in firsts.items()
    }
    for kind, values in corrected.items():
        ious |= {f"{kind}, {name}": np.array(values)[:, count] for count, name in CORRECTIONS.items()}
    return ious


def corrected_ious(found: Segmentation, truth: Mask, first: FloatArray | Mask | None = None) -> list[float]:
    """IoU of the answer after each number of corrections, from none to the most of CORRECTIONS.

    The first answer is that to a box or a rough mask, or without one to the most interior point.
    """
    points = [] if first is not None else [interior_point(truth)]
    labels = [1] * len(points)
    ious = []
    for _ in range(max(CORRECTIONS) + 1):
        told = points or None, labels or None
        if first is None:
            answer = found.point_prompt(points, labels).masks
        elif isinstance(first, Mask):
            answer = found.mask_prompt(first, *told).masks
        else:
            answer = found.box_prompt(first, *told).masks
        mask = answer[0] if len(answer) else Mask.empty(found.image_size)
        ious.append(mask.iou(truth))
        wrong = [(truth.difference(mask), 1), (mask.difference(truth), 0)]
        for _, point, label in sorted((*deepest(part), label) for part, label in wrong if part.area)[-1:]:
            points.append(point)
            labels.append(label)
    return ious


def best_by_prompt(answer: Segmentation, prompts: int, overlay: Overlay) -> FloatArray:
    """(prompts,) best IoU of each prompt's rows with the ground truth that was asked for."""
    best = np.zeros(prompts)
    if len(answer):
        index = answer.prompt_index
        assert index is not None
        iou = overlay.iou(list(answer.masks), np.zeros(prompts, bool))[np.arange(len(answer)), index]
        np.maximum.at(best, index, iou)
    return best
