"""The outlines of a mask along the edges of its pixels.

A boundary is a chain of horizontal and vertical segments between corners. All segments are found at once with NumPy;
then every segment's successor; then the rings are read off.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, IntArray
from fastsam_onnx.masks.simplify import Island, Ring, signed_area


def trace_outlines(crop: BoolArray) -> list[Island]:
    """The islands (4 neighbours) of a (h, w) bool array: their outline and their holes.

    Rings are (k, 2) float32 x, y in pixels of the crop, not closed, and simple. Outlines run clockwise on the screen,
    holes the other way. Islands come in the order of their first pixel, row by row.
    """
    import cv2

    if not crop.any():
        return []
    _, labels = cv2.connectedComponents(crop.view(np.uint8), connectivity=4)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _rings(crop):
        label = int(labels[_pixel_inside(ring)])
        if signed_area(ring) > 0:
            exteriors[label] = ring
        else:
            holes.setdefault(label, []).append(ring)
    return [(exteriors[label], tuple(holes.get(label, ()))) for label in sorted(exteriors)]


def count_corners(crop: BoolArray) -> int:
    """The number of points that all outlines of a (h, w) bool array have together, without tracing them."""
    padded = np.pad(crop, 1)
    above = padded[1:] ^ padded[:-1]
    left, right = above[:, :-1], above[:, 1:]
    diagonal = left & right & (padded[1:, 1:] ^ padded[1:, :-1])  # two outlines meet there
    return int(np.count_nonzero(left ^ right) + 2 * np.count_nonzero(diagonal))


def count_parts(crop: BoolArray) -> int:
    """The number of islands and of holes (4 neighbours) of a (h, w) bool array: outlines are no more than that."""
    import cv2

    padded = np.pad(crop, 1).view(np.uint8)
    islands, others = (cv2.connectedComponents(part, connectivity=4)[0] - 1 for part in (padded, 1 - padded))
    return islands + others - 1


def _rings(crop: BoolArray) -> list[Ring]:
    """All closed chains of corners, with the object on their right hand."""
    height, width = crop.shape
    padded = np.zeros((height + 2, width + 2), np.int8)
    padded[1:-1, 1:-1] = crop
    # Top edges of the object run to the right, right edges down, bottom edges to the left, left edges up.
    across = _segments(np.diff(padded, axis=0)[:, 1:-1], forward_when=1)
    down = _segments(np.diff(padded, axis=1)[1:-1].T, forward_when=-1)
    across_ends, down_starts = across[:, [2, 0]], down[:, [0, 1]]
    down_ends, across_starts = down[:, [0, 2]], across[:, [1, 0]]
    # Where two pixels touch at a corner only, two chains meet: each turns right, which keeps it with its pixel. A chain
    # that runs right or left turns into one that runs down or up, so the signs of the steps tell which is which.
    next_down = _successors(across_ends, across[:, 3], down_starts, down[:, 3])
    next_across = _successors(down_ends, down[:, 3], across_starts, -across[:, 3])
    return _read_rings(across_starts, down_starts, next_down.tolist(), next_across.tolist())


def _segments(steps: npt.NDArray[np.int8], forward_when: int) -> IntArray:
    """Runs of equal non-zero steps along the rows: (k, 4) of line, start, end, direction (+1 forward, -1 back)."""
    lines, length = steps.shape
    bounded = np.zeros((lines, length + 2), np.int8)
    bounded[:, 1:-1] = steps
    change = bounded[:, 1:] != bounded[:, :-1]
    line, begin = np.nonzero(change & (bounded[:, 1:] != 0))
    _, end = np.nonzero(change & (bounded[:, :-1] != 0))
    direction = np.where(steps[line, begin] == forward_when, 1, -1)
    start = np.where(direction > 0, begin, end)
    stop = np.where(direction > 0, end, begin)
    return np.stack([line, start, stop, direction], axis=1)


def _successors(ends: IntArray, came: IntArray, starts: IntArray, goes: IntArray) -> IntArray:
    """For every segment that ends at a corner, the segment that starts there.

    At most two start at one corner; `goes` equal to `came` is the right turn.
    """
    size = int(starts.max()) + 1  # that of the ends, too: the chains are closed
    start_keys = (starts[:, 1] * size + starts[:, 0]) * 2 + (goes > 0)
    end_keys = (ends[:, 1] * size + ends[:, 0]) * 2 + (came > 0)
    order = np.argsort(start_keys, kind="stable")
    ordered = start_keys[order]
    place = np.minimum(np.searchsorted(ordered, end_keys), ordered.size - 1)
    exact = ordered[place] == end_keys
    place = np.where(exact, place, np.minimum(np.searchsorted(ordered, end_keys ^ 1), ordered.size - 1))
    return order[place]


def _read_rings(
    across_starts: IntArray, down_starts: IntArray, next_down: list[int], next_across: list[int]
) -> list[Ring]:
    """Follow the successors; cut a ring in two wherever it comes by the same corner again."""
    corners = across_starts.tolist()
    turns = down_starts.tolist()
    seen = [False] * len(corners)
    rings: list[Ring] = []
    for first in range(len(corners)):
        path: list[tuple[int, int]] = []
        place: dict[tuple[int, int], int] = {}
        at = first
        while not seen[at]:
            seen[at] = True
            below = next_down[at]
            for corner in (tuple(corners[at]), tuple(turns[below])):
                if corner in place:
                    rings.append(np.array(path[place[corner] :], np.float32))
                    for old in path[place[corner] :]:
                        del place[old]
                    del path[len(path) - len(rings[-1]) :]
                place[corner] = len(path)
                path.append(corner)
            at = next_across[below]
        if path:
            rings.append(np.array(path, np.float32))
    return rings


def _pixel_inside(ring: Ring) -> tuple[int, int]:
    """(row, column) of the object's pixel on the right hand of the ring's first segment."""
    (x1, y1), (x2, y2) = ring[0], ring[1]
    step_x, step_y = np.sign(x2 - x1), np.sign(y2 - y1)
    centre_x, centre_y = x1 + (step_x - step_y) / 2, y1 + (step_y + step_x) / 2
    return int(np.floor(centre_y)), int(np.floor(centre_x))
