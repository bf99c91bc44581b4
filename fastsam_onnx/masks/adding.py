"""How much each object adds to the picture of those before it, and what that says of its score.

A network's scores know nothing of each other. An object that lies on better ones is a part of them, or something that
people would not name; one of the same score where nothing else was found is seldom wrong, and its place stays empty
without it. The weight is the network's own, in its file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.masks.pending import PendingMask

SEEN_SHARE = 0.01
"""Share of the photo below which a gap hardly shows: what is smaller adds less."""


def added(masks: Sequence[PendingMask], grid: tuple[int, int]) -> FloatArray:
    """(n,) float32, 0 to 1: the share of each mask that lies on none before it, or the like of what is small.

    Args:
        masks: n masks, best first.
        grid: (height, width) of the prototypes, on which this is told.
    """
    seen = np.zeros(grid, bool)
    least = SEEN_SHARE * masks[0].photo_cells if masks else 0.0
    shares = []
    for mask in masks:
        inside, (left, top) = mask.cells()
        there = seen[top : top + inside.shape[0], left : left + inside.shape[1]]
        new = np.count_nonzero(inside & ~there)
        shares.append(new / max(float(np.count_nonzero(inside)), least))
        there |= inside
    return np.array(shares, np.float32)


def lowered(scores: FloatArray, shares: FloatArray, weight: float) -> FloatArray:
    """(n,) float32 scores; the odds of what adds only a share, s / (1 - s), fall by exp(-weight * (1 - share))."""
    chances = scores.astype(np.float64)
    against = np.exp(weight * (1 - shares.astype(np.float64)))
    return np.asarray(chances / (chances + (1 - chances) * against), np.float32)
