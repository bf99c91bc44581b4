"""Outlines with holes and islands as one ring each, for formats that know nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.polygon import Polygon

Ring = npt.NDArray[np.float64]

BLOCK = 64
"""Corners of a ring, one after another, that are passed over together where others must be closer."""
GROUP = 64
"""Blocks that are passed over together."""
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
    """The corners of rings in blocks with bounding boxes, and the blocks in groups with theirs.

    Attributes:
        corners: (k, 2) x, y of all rings, one after another.
        first: (blocks + 1,) where each block begins; none has corners of two rings.
        boxes: (2, blocks, 2) the least x and y of each, and the greatest.
        groups: (2, groups, 2) the same of `GROUP` blocks, one after another.
    """

    def __init__(self, corners: Ring, first: IntArray) -> None:
        self.corners = corners
        self.first = first
        self.boxes = _boxes(corners, corners, first[:-1])
        low, high = self.boxes
        self.groups = _boxes(low, high, np.arange(0, len(first) - 1, GROUP))

    @classmethod
    def of_rings(cls, corners: Ring, first: Sequence[int]) -> _Blocks:
        """Blocks of rings that begin at these corners; the last one ends at the last of `first`."""
        begins = [np.arange(begin, end, BLOCK) for begin, end in pairwise(first)]
        return cls(corners, np.concatenate([*begins, first[-1:]]))

    def closest(self, begin: int, end: int) -> tuple[int, int]:
        """Of the two closest corners the one before `begin`, and the one of the ring that is there and before `end`.

        Of equally close ones those in the block nearest to the ring's box count, and of such blocks the first.
        """
        before, until = np.searchsorted(self.first, (begin, end)).tolist()
        own = self.boxes[:, before:until]
        best, holding = np.inf, [0]
        for block, gap in self._outwards(before, own):
            if gap > best:
                break
            least = float(self._squared(block, before, until, best)[1].min())
            if least <= best:
                holding = [*holding, block] if least == best else [block]
                best = least
        ring = np.stack([own[0].min(axis=0), own[1].max(axis=0)])[:, None]
        block = min(holding, key=lambda each: (_gaps(self.boxes[:, each : each + 1], ring)[0], each))
        rows, squared = self._squared(block, before, until, best)
        row, column = np.unravel_index(int(squared.argmin()), squared.shape)
        return int(self.first[block]) + int(column), int(rows[row])

    def _squared(self, block: int, before: int, until: int, most: float) -> tuple[IntArray, Ring]:
        """Corners (n,) of a ring in those of its blocks that are as near as `most`, and (n, m) squared distances."""
        rows = np.arange(self.first[before], self.first[until])
        if until - before > 1:
            is_near = _gaps(self.boxes[:, before:until], self.boxes[:, block, None]) <= most
            rows = rows[np.repeat(is_near, np.diff(self.first[before : until + 1]))]
        apart = self.corners[rows, None] - self.corners[self.first[block] : self.first[block + 1]]
        return rows, (apart**2).sum(axis=2)

    def _outwards(self, count: int, own: Ring) -> Iterator[tuple[int, float]]:
        """The first blocks and their squared distances from boxes (2, n, 2), nearest first.

        Groups of them are looked into when none that is known is nearer.
        """
        groups = _gaps(self.groups[:, : count // GROUP], own)
        blocks = np.arange(count // GROUP * GROUP, count)
        least = _gaps(self.boxes[:, blocks], own)
        while (nearest := min(least.min(initial=np.inf), groups.min(initial=np.inf))) < np.inf:
            for group in np.flatnonzero(groups == nearest).tolist():
                within = np.arange(group * GROUP, (group + 1) * GROUP)
                blocks = np.concatenate([blocks, within])
                least = np.concatenate([least, _gaps(self.boxes[:, within], own)])
                groups[group] = np.inf
            for place in np.flatnonzero(least == nearest).tolist():
                least[place] = np.inf
                yield int(blocks[place]), float(nearest)


def _boxes(low: Ring, high: Ring, begins: IntArray) -> Ring:
    """(2, n, 2) the least and the greatest x and y from each beginning to the next."""
    return np.stack([np.minimum.reduceat(low, begins), np.maximum.reduceat(high, begins)])


def _gaps(boxes: Ring, others: Ring) -> Ring:
    """(n,) squared distances of boxes (2, n, 2) from the nearest of others (2, m, 2)."""
    least = np.full(boxes.shape[1], np.inf)
    for low, high in zip(*others, strict=True):
        gap = np.maximum(boxes[0] - high, low - boxes[1])
        np.minimum(least, (np.maximum(gap, 0) ** 2).sum(axis=1), out=least)
    return least
