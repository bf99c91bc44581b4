"""Outlines with holes and islands as one ring each, for formats that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.polygon import Polygon

Ring = npt.NDArray[np.float64]

BLOCK = 64
"""Corners of a ring, one after another, that are passed over together where others must be closer."""
END = -1


def ring_with_holes(polygon: Polygon) -> Ring:
    """The outline of an island, its holes joined to it by cuts of no width: it covers what the polygon covers."""
    return joined([polygon.exterior, *polygon.holes])


def joined(rings: Sequence[FloatArray | Ring]) -> Ring:
    """One ring that runs along all of them.

    Every ring after the first is joined to those before it between the two corners that are closest, there and back,
    so that the cut covers nothing.

    Args:
        rings: At least one, (k, 2) x, y each, not closed.

    Returns:
        (k, 2) float64, not closed.
    """
    corners = np.concatenate(rings).astype(np.float64)
    first = np.cumsum([0, *map(len, rings)]).tolist()
    blocks = _Blocks.of_rings(corners, first)
    # The walk so far: the corner that each of its steps is at, and the step after it.
    at, after = list(range(len(corners))), list(range(1, len(corners) + 1))
    after[first[1] - 1] = END
    for begin, end in pairwise(first[1:]):
        near, start = blocks.closest(begin, end)
        last = start - 1 if start > begin else end - 1
        after[end - 1] = begin
        after[last] = len(at)
        at += [start, near]
        after += [len(at) - 1, after[near]]
        after[near] = start
    path, step = [], 0
    while step != END:
        path.append(at[step])
        step = after[step]
    return np.asarray(corners[path])


class _Blocks:
    """The corners of rings in blocks with bounding boxes.

    Attributes:
        corners: (k, 2) x, y of all rings, one after another.
        first: (blocks + 1,) where each block begins; none has corners of two rings.
        low: (blocks, 2) the least x and y of each.
        high: (blocks, 2) the greatest.
    """

    def __init__(self, corners: Ring, first: IntArray) -> None:
        self.corners = corners
        self.first = first
        self.low = np.minimum.reduceat(corners, first[:-1])
        self.high = np.maximum.reduceat(corners, first[:-1])

    @classmethod
    def of_rings(cls, corners: Ring, first: Sequence[int]) -> _Blocks:
        """Blocks of rings that begin at these corners; the last one ends at the last of `first`."""
        begins = [np.arange(begin, end, BLOCK) for begin, end in pairwise(first)]
        return cls(corners, np.concatenate([*begins, first[-1:]]))

    def closest(self, begin: int, end: int) -> tuple[int, int]:
        """Of the two closest corners the one before `begin`, and the one of the ring that is there and before `end`."""
        ring = self.corners[begin:end]
        before = int(np.searchsorted(self.first, begin))
        gap = np.maximum(self.low[:before] - ring.max(axis=0), ring.min(axis=0) - self.high[:before])
        least = (np.maximum(gap, 0) ** 2).sum(axis=1)  # squared distance from the block's box to the ring's
        best, pair = np.inf, (0, begin)
        while least[block := int(least.argmin())] < best:
            least[block] = np.inf
            start = int(self.first[block])
            apart = ring[:, None] - self.corners[start : self.first[block + 1]]
            squared = (apart**2).sum(axis=2)
            if squared.min() < best:
                best = float(squared.min())
                row, column = np.unravel_index(int(squared.argmin()), squared.shape)
                pair = start + int(column), begin + int(row)
        return pair
