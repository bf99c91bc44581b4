"""Detections from the network's two outputs, and how much of the ground truth they find.

NumPy and OpenCV only, so that it serves torch tensors and ONNX files alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .data import GREY
from .network import PROTOTYPE_STRIDE

THRESHOLDS = np.arange(0.5, 1.0, 0.05)
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Found:
    """Detections of one photo, best first."""

    boxes: np.ndarray  # (n, 4) xyxy photo pixels
    scores: np.ndarray  # (n,)
    crops: list[tuple[int, int, np.ndarray]]  # left, top, (h, w) bool


@dataclass(frozen=True)
class Examined:
    """How the detections of one photo, best first, overlap its G objects."""

    scores: np.ndarray  # (n,)
    masks: np.ndarray  # (n, G) IoU of pixels
    boxes: np.ndarray  # (n, G) IoU of the boxes around the pixels


def letterbox(photo: np.ndarray, size: int) -> tuple[np.ndarray, float, int, int]:
    """Scales the long side to ``size``, pads to multiples of 32; returns canvas, scale, left, top."""
    height, width = photo.shape[:2]
    scale = size / max(height, width)
    new_h, new_w = round(height * scale), round(width * scale)
    pad_h, pad_w = -new_h % 32, -new_w % 32
    top, left = pad_h // 2, pad_w // 2
    small = cv2.resize(photo, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
    canvas = cv2.copyMakeBorder(small, top, pad_h - top, left, pad_w - left, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    return canvas, scale, left, top


def suppress(boxes: np.ndarray, limit: float, most: int) -> list[int]:
    """Greedy NMS of boxes (n, 4) that come best first; indices of those kept."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    alive = np.ones(len(boxes), bool)
    kept: list[int] = []
    for index, box in enumerate(boxes):
        if not alive[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        rest = boxes[index + 1 :]
        common = (np.minimum(box[2:], rest[:, 2:]) - np.maximum(box[:2], rest[:, :2])).clip(0).prod(1)
        alive[index + 1 :] &= common <= limit * (areas[index] + areas[index + 1 :] - common)
    return kept


def detect(run: Run, photo: np.ndarray, size: int, *, conf: float, iou: float, most: int) -> Found:
    """Everything the network finds in a photo (H, W, 3) RGB."""
    height, width = photo.shape[:2]
    canvas, scale, left, top = letterbox(photo, size)
    tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / 255
    candidates, prototypes = (output[0] for output in run(tensor))
    candidates = candidates[:, candidates[4] > conf]
    candidates = candidates[:, np.argsort(-candidates[4], kind="stable")[:5000]]
    half = candidates[2:4] / 2
    boxes = np.concatenate([candidates[:2] - half, candidates[:2] + half]).T
    kept = suppress(boxes, iou, most)
    fields = (candidates[5:, kept].T @ prototypes.reshape(32, -1)).reshape(-1, *prototypes.shape[1:])
    boxes = (boxes[kept] - np.array([left, top, left, top])) / scale
    boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    crops = [crop_of(field, box, scale, (left, top)) for field, box in zip(fields, boxes, strict=True)]
    found = [row for row, (_, _, mask) in enumerate(crops) if mask.any()]
    return Found(boxes[found], candidates[4, kept][found], [crops[row] for row in found])


def crop_of(field: np.ndarray, box: np.ndarray, scale: float, offset: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """Left, top and mask (h, w) inside a box (4,) of photo pixels, from logits at stride 4 of the canvas."""
    (x1, y1), (x2, y2) = np.ceil(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    if x2 <= x1 or y2 <= y1:
        return int(x1), int(y1), np.zeros((0, 0), bool)
    x, y = (
        (((np.arange(low, high) + 0.5) * scale + shift) / PROTOTYPE_STRIDE - 0.5).astype(np.float32)
        for low, high, shift in ((x1, x2, offset[0]), (y1, y2, offset[1]))
    )
    map_x, map_y = np.meshgrid(x, y)
    logits = cv2.remap(field, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return int(x1), int(y1), logits > 0


def mask_overlaps(found: Found, masks: np.ndarray) -> np.ndarray:
    """IoU (n, G) of the detections with ground-truth masks (G, H, W)."""
    areas = masks.sum((1, 2), dtype=np.int64)
    result = np.zeros((len(found.crops), len(masks)))
    for row, (x, y, crop) in enumerate(found.crops):
        h, w = crop.shape
        common = np.einsum("hw,ghw->g", crop.astype(np.float32), masks[:, y : y + h, x : x + w], optimize=True)
        result[row] = common / (crop.sum() + areas - common)
    return result


def recall(overlaps: np.ndarray) -> np.ndarray:
    """How many objects are found at each of THRESHOLDS, matched as COCO does; (10,)."""
    counts = np.zeros(len(THRESHOLDS))
    for index, threshold in enumerate(THRESHOLDS):
        free = np.ones(overlaps.shape[1], bool)
        for row in np.flatnonzero((overlaps >= threshold).any(1)):
            best = np.argmax(np.where(free, overlaps[row], -1))
            if free[best] and overlaps[row, best] >= threshold:
                free[best] = False
        counts[index] = (~free).sum()
    return counts


def box_overlaps(found: Found, masks: np.ndarray) -> np.ndarray:
    """IoU (n, G) of the boxes of the detections' own pixels with those of masks (G, H, W)."""
    own = np.array([mask_box(*crop) for crop in found.crops]).reshape(-1, 1, 4)
    wanted = np.array([mask_box(0, 0, mask) for mask in masks])
    common = (np.minimum(own[..., 2:], wanted[:, 2:]) - np.maximum(own[..., :2], wanted[:, :2])).clip(0).prod(2)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (own, wanted)]
    return common / (areas[0] + areas[1] - common)


def mask_box(left: int, top: int, mask: np.ndarray) -> np.ndarray:
    """The box (4,) xyxy of a crop's foreground."""
    x, y = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([left + x[0], top + y[0], left + x[-1] + 1, top + y[-1] + 1])


def examine(
    run: Run,
    examples: list[tuple[np.ndarray, np.ndarray]],
    size: int,
    *,
    conf: float = 0.001,
    iou: float = 0.9,
    most: int = 1000,
) -> list[Examined]:
    """Runs the network over photos and their masks (G, H, W)."""
    results = []
    for photo, masks in examples:
        found = detect(run, photo, size, conf=conf, iou=iou, most=most)
        results.append(Examined(found.scores, mask_overlaps(found, masks), box_overlaps(found, masks)))
    return results


def figures(photos: list[Examined], conf: float = 0.0) -> dict[str, float]:
    """AR@10, @100, @1000 and mean IoU of box prompts, in per cent, and detections per photo above a score."""
    limits = (10, 100, 1000)
    hits = dict.fromkeys(limits, 0.0)
    prompts: list[float] = []
    detections = 0
    for photo in photos:
        count = int((photo.scores > conf).sum())  # they come best first
        for limit in limits:
            hits[limit] += recall(photo.masks[: min(limit, count)]).mean()
        chosen = photo.boxes[:count].argmax(0) if count else []
        answers = photo.masks[chosen, np.arange(photo.masks.shape[1])] if count else np.zeros(photo.masks.shape[1])
        prompts.extend(answers)
        detections += count
    result = {f"AR@{limit}": 100 * float(hits[limit]) / len(prompts) for limit in limits}
    return {**result, "box": 100 * float(np.mean(prompts)), "found": detections / len(photos)}
