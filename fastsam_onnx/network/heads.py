"""Raw heads: the outputs of a network that was cut before the decoding of its boxes, as compilers of accelerators ask.

At every stride there are three maps, (B, channels, height/stride, width/stride). The sides of a box are distributions
over distances 0, 1, ... in cells, and their mean counts (Generalized Focal Loss, Li et al. 2020,
https://arxiv.org/abs/2006.04388), or the distances themselves, as in YOLO26. Scores come before or behind the sigmoid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import ModelError

SIDES = 4
"""Sides of a box: left, top, right, bottom."""
USUAL_BINS = 16
"""Distances that ultralytics' networks tell apart; FastSAM's paper speaks of 26."""
MAPS = 3
"""Maps of a stride: sides, scores, coefficients."""


class Level(NamedTuple):
    """The names of one stride's maps: (B, 4 * bins, h, w), (B, nc, h, w) and (B, nm, h, w)."""

    sides: str
    scores: str
    coefficients: str


def find_levels(
    shapes: Mapping[str, tuple[int, ...]], grids: Sequence[tuple[int, int]], coefficient_count: int, name_count: int
) -> list[Level]:
    """Tell by shape which map is what; for each grid, finest first.

    Args:
        shapes: (B, channels, height, width) of every output but the prototypes.
        grids: (height, width) of each stride's maps.
        coefficient_count: nm, the number of prototypes.
        name_count: Number of class names in the metadata; 0 if there are none.

    Raises:
        ModelError: If the maps are not those of raw heads, or shapes do not tell which is which.
    """
    levels = []
    for grid in grids:
        maps = [name for name, shape in shapes.items() if shape[2:] == grid]
        if len(maps) != MAPS:
            raise ModelError(f"raw heads have {MAPS} maps of {grid[0]} x {grid[1]} (height x width), got {len(maps)}")
        levels.append(_level(maps, shapes, coefficient_count, name_count))
    counts = {tuple(shapes[name][1] for name in level) for level in levels}
    if len(counts) != 1 or len(shapes) != MAPS * len(grids):
        raise ModelError(f"raw heads have the same {MAPS} numbers of channels at every stride, and nothing else")
    return levels


def _level(maps: Sequence[str], shapes: Mapping[str, tuple[int, ...]], nm: int, name_count: int) -> Level:
    """Which of three maps of one stride is what."""

    def fits(level: Level) -> bool:
        sides, scores, coefficients = (shapes[name][1] for name in level)
        return coefficients == nm and sides % SIDES == 0 and (not name_count or scores == name_count)

    ways = [way for way in map(Level._make, permutations(maps)) if fits(way)]
    usual = [way for way in ways if shapes[way.sides][1] == SIDES * USUAL_BINS]
    ways = ways if len(ways) == 1 else usual
    if len(ways) != 1:
        found = ", ".join(f"{name} {shapes[name]}" for name in maps)
        raise ModelError(f"which of {found} are sides, scores and coefficients (of {nm} prototypes) is not clear")
    return ways[0]


def candidates_from_heads(maps: Sequence[FloatArray], steps: Sequence[int]) -> FloatArray:
    """The candidates of raw heads.

    Args:
        maps: For each stride the three of a `Level`, float32.
        steps: Pixels of the input per cell at each stride.

    Returns:
        (B, 4 + nc + nm, N) cx, cy, w, h in input pixels, scores 0 to 1, coefficients; stride by stride, row by row.

    Raises:
        ModelError: If the maps of a stride are of different sizes.
    """
    levels = [maps[first : first + MAPS] for first in range(0, len(maps), MAPS)]
    for level in levels:
        if len({(len(each), *each.shape[2:]) for each in level}) != 1:
            raise ModelError(f"the maps of one stride must be of one size, got {[each.shape for each in level]}")
    scores = _probabilities([_flat(scores) for _, scores, _ in levels])
    parts = [
        np.concatenate([_boxes(sides, step), likely, _flat(coefficients)], axis=1)
        for (sides, _, coefficients), likely, step in zip(levels, scores, steps, strict=True)
    ]
    return np.concatenate(parts, axis=2)


def _flat(values: FloatArray) -> FloatArray:
    """(B, c, h, w) → (B, c, h * w)."""
    return values.reshape(*values.shape[:2], -1)


def _probabilities(scores: Sequence[FloatArray]) -> Sequence[FloatArray]:
    """Scores from 0 to 1, whether the heads end before the sigmoid or behind it.

    Before it they are below 0 where nothing is; if none is, and none above 1, they are probabilities: else every cell
    of the input would hold an object with a score above one half.
    """
    if all(each.min(initial=0) >= 0 and each.max(initial=0) <= 1 for each in scores):
        return scores
    with np.errstate(over="ignore"):  # exp(89) is infinite in float32, and 1 / (1 + inf) is 0, as it should be
        return [np.asarray(1 / (1 + np.exp(-each)), np.float32) for each in scores]


def _boxes(sides: FloatArray, step: int) -> FloatArray:
    """(B, 4 * bins, h, w) → (B, 4, h * w): cx, cy, w, h in input pixels."""
    _, _, rows, columns = sides.shape
    left, top, right, bottom = np.moveaxis(_distances(sides), 1, 0)
    y, x = (axis.reshape(-1) + np.float32(0.5) for axis in np.indices((rows, columns), np.float32))
    cells = [x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom]
    return np.stack(cells, axis=1) * np.float32(step)


def _distances(sides: FloatArray) -> FloatArray:
    """(B, 4 * bins, h, w) → (B, 4, h * w): distances in cells."""
    flat = _flat(sides)
    batch, channels, cells = flat.shape
    bins = channels // SIDES
    if bins == 1:
        return flat
    logits = flat.reshape(batch, SIDES, bins, cells)
    with np.errstate(invalid="ignore"):  # infinite numbers become NaN, which is looked for later
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        means = np.einsum("bskn,k->bsn", weights, np.arange(bins, dtype=np.float32)) / weights.sum(axis=2)
    return np.asarray(means, np.float32)
