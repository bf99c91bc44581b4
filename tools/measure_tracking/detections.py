"""What is found in the frames of a clip: the truth with noise, or what a network finds."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.tracking import LOW_SHARE
from tools.measure_tracking.clips import SIZE, Clip

CONF = 0.4
"""Score of noisy truth above which an object is found without help."""


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
        crop = np.asarray((cv2.dilate if rng.random() < 0.5 else cv2.erode)(crop, disc), np.uint8)
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
    """What a network finds in each frame, as `stream(track=True)` asks: low scores, too, and not drawn anew."""
    for index in range(len(clip.truths)):
        yield model(clip.draw(index), conf=LOW_SHARE * model.options["conf"], redraw=False)
