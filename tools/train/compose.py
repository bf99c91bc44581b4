"""Composition: cut-outs of other photos and textured shapes are put on a training picture, with exact labels.

Copy-paste (Ghiasi 2021) without blending; what is covered leaves the masks beneath, and their boxes shrink.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .data import MIN_SIDE, SHRINK, Example, MaskCrop, Photo
from .network import PROTOTYPE_STRIDE

LEAST_LEFT = 0.3  # objects of which less stays visible are no longer asked for
SIDES = (0.05, 0.6)  # longer side of what is pasted, as a share of the canvas's


@dataclass(frozen=True)
class CutOut:
    """Something to paste."""

    pixels: np.ndarray  # (h, w, 3) uint8 RGB
    alpha: np.ndarray  # (h, w) uint8, 255 where it covers
    trust: float = 1.0


def cut_out(photo: Photo, mask: MaskCrop) -> CutOut:
    """An object of a photo, at the photo's own size."""
    top, left = mask.top * SHRINK, mask.left * SHRINK
    rows, columns = mask.pixels.shape
    pixels = photo.pixels[top : top + rows * SHRINK, left : left + columns * SHRINK]
    alpha = cv2.resize(mask.pixels, (columns * SHRINK, rows * SHRINK), interpolation=cv2.INTER_LINEAR)
    return CutOut(pixels, alpha[: pixels.shape[0], : pixels.shape[1]], mask.trust)


def textured_shape(photo: Photo, rng: np.random.Generator) -> CutOut:
    """A random outline filled with a piece of a photo, or with one colour."""
    height, width = photo.pixels.shape[:2]
    h, w = (int(side * rng.uniform(0.2, 0.6)) for side in (height, width))
    top, left = int(rng.integers(height - h)), int(rng.integers(width - w))
    pixels = photo.pixels[top : top + h, left : left + w]
    if rng.random() < 0.3:
        pixels = np.broadcast_to(pixels.mean((0, 1)).astype(np.uint8), pixels.shape)
    alpha = np.zeros((h, w), np.uint8)
    cv2.fillPoly(alpha, [outline(h, w, rng)], 255)
    return CutOut(pixels, alpha)


def outline(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 2) int32 x, y: a polygon of few corners, or a round one with waves."""
    if rng.random() < 0.5:
        angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 8))))
        radii = rng.uniform(0.7, 1.0, len(angles))
    else:
        angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        waves, depth = int(rng.integers(0, 7)), rng.uniform(0, 0.35)
        radii = 1 - depth * (0.5 + 0.5 * np.cos(waves * angles + rng.uniform(0, 6)))
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    points -= points.min(0)
    points /= np.maximum(points.max(0), 1e-3)
    return (points * [width - 1, height - 1]).round().astype(np.int32)


def paste(example: Example, what: CutOut, rng: np.random.Generator) -> Example:
    """The example with a cut-out somewhere on it, mirrored now and then; the same example if it comes out too small."""
    height, width = example.pixels.shape[:2]
    h, w = what.alpha.shape
    low, high = SIDES
    side = max(height, width) * math.exp(rng.uniform(math.log(low), math.log(high)))
    scale = min(side / max(h, w), 3.0)
    size = (round(w * scale), round(h * scale))
    if min(size) < MIN_SIDE:
        return example
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(np.ascontiguousarray(what.pixels), size, interpolation=how)
    alpha = cv2.resize(what.alpha, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        pixels, alpha = pixels[:, ::-1], alpha[:, ::-1]
    x, y = (
        int(rng.integers(-size[0] // 4, width - size[0] * 3 // 4)),
        int(rng.integers(-size[1] // 4, height - size[1] * 3 // 4)),
    )
    x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + size[0], width), min(y + size[1], height)
    pixels, alpha = (part[y1 - y : y2 - y, x1 - x : x2 - x] for part in (pixels, alpha))
    return covered(example, CutOut(pixels, alpha, what.trust), x1, y1)


def covered(example: Example, what: CutOut, x: int, y: int) -> Example:
    """The example with a cut-out at (x, y), wholly on the canvas, as one more object."""
    pixels, alpha = what.pixels, what.alpha
    rows, columns = np.flatnonzero((alpha > 127).any(1)), np.flatnonzero((alpha > 127).any(0))
    if not len(rows) or min(rows[-1] - rows[0], columns[-1] - columns[0]) < MIN_SIDE:
        return example
    h, w = alpha.shape
    canvas = example.pixels.copy()
    share = alpha[..., None].astype(np.float32) / 255
    target = canvas[y : y + h, x : x + w]
    target[:] = (target + (pixels.astype(np.float32) - target) * share).astype(np.uint8)

    full = np.zeros(canvas.shape[:2], np.uint8)
    full[y : y + h, x : x + w] = alpha
    small = cv2.resize(full, example.masks.shape[:0:-1], interpolation=cv2.INTER_AREA)
    box = np.array([x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1], np.float32)
    rest = without(example, small)
    return replace(
        rest,
        pixels=canvas,
        boxes=np.concatenate([rest.boxes, box[None]]),
        masks=np.concatenate([rest.masks, small[None]]),
        trusts=np.append(rest.trusts, np.float32(what.trust)),
    )


def without(example: Example, cover: np.ndarray) -> Example:
    """The example with what of its objects still shows beside ``cover`` (H/4, W/4) uint8."""
    touched = np.flatnonzero((example.masks * (cover > 127)).any((1, 2)))
    boxes, masks = example.boxes.copy(), example.masks.copy()
    kept = np.ones(len(boxes), bool)
    for index in touched:
        before = masks[index]
        after = (before.astype(np.uint16) * (255 - cover) // 255).astype(np.uint8)
        kept[index] = int(after.sum()) >= LEAST_LEFT * int(before.sum())
        ends, ends_before = extent(after), extent(before)
        if ends is None or ends_before is None:
            kept[index] = False
        elif kept[index]:
            boxes[index] += (ends - ends_before) * PROTOTYPE_STRIDE
            masks[index] = after
    kept &= (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= MIN_SIDE
    return replace(example, boxes=boxes[kept], masks=masks[kept], trusts=example.trusts[kept])


def extent(mask: np.ndarray) -> np.ndarray | None:
    """(4,) float32 x1, y1, x2, y2 of the pixels above one half; None if there are none."""
    rows, columns = np.flatnonzero((mask > 127).any(1)), np.flatnonzero((mask > 127).any(0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
