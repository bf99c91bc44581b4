"""Outlines with fewer points that stay near the exact ones and keep their order: no crossing, no hole outside.

OpenCV thins every ring by itself, which may stray further than asked, and makes rings cross that lie close together.
What came out is checked as a whole, and each ring that is at fault is thinned again with a smaller tolerance; exact
rings are never at fault. Corners are integers, so the checks are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray, IntArray

Ring = FloatArray
Island = tuple[Ring, tuple[Ring, ...]]

RETRY = 0.7
"""Factor of a ring's tolerance from one attempt to the next."""
LEAST_TOLERANCE = 0.25
"""Pixels; below, a ring stays as it is."""
LEAST_SHARE = 0.5
"""Share of its area above which a ring must remain; a single pixel would become a triangle else."""
BAND = 32
"""Rows in which edges are compared with each other."""
BLOCK = 1 << 20
"""Pairs of points and edges that are looked at together."""


def simplify_outlines(islands: Sequence[Island], tolerance: float) -> list[Island]:
    """The outlines with fewer points, none of them further than `tolerance` pixels from where it was.

    Islands stay apart, holes stay in their islands, no ring crosses itself or another, and none loses half its area.

    Args:
        islands: Exact outlines as `trace_outlines` gives them.
        tolerance: Pixels; 0 changes nothing.
    """
    exact = [ring for exterior, holes in islands for ring in (exterior, *holes)]
    if tolerance <= 0 or not exact:
        return list(islands)
    tolerances = [tolerance] * len(exact)
    rings, faulty = list(exact), set(range(len(exact)))
    nested = _nesting(exact)
    while faulty:
        for index in faulty:
            rings[index], tolerances[index] = _thinned(exact[index], tolerances[index], tolerance)
        faulty = {index for index in _conflicts(rings, nested) if tolerances[index]}
        for index in faulty:
            tolerances[index] *= RETRY
    simplified = iter(rings)
    return [(next(simplified), tuple(next(simplified) for _ in holes)) for _, holes in islands]


def signed_area(ring: Ring) -> float:
    """Positive for a ring that runs clockwise on the screen (y down)."""
    x, y = ring.astype(np.float64).T
    return float(np.dot(x, _from(1, y)) - np.dot(y, _from(1, x))) / 2


def _from(first: int, closed: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A closed chain that begins at another place; np.roll takes ten times as long for short ones."""
    return np.concatenate([closed[first:], closed[:first]])


def _thinned(ring: Ring, tolerance: float, limit: float) -> tuple[Ring, float]:
    """The ring with fewer points, within the limit, and the tolerance that did it; 0 if it stayed as it was."""
    import cv2

    while tolerance >= LEAST_TOLERANCE:
        fewer: Ring = cv2.approxPolyDP(ring[:, None], tolerance, True)[:, 0].astype(np.float32)
        if len(fewer) == len(ring):
            break
        if signed_area(fewer) / signed_area(ring) > LEAST_SHARE and _strays(ring, fewer) <= limit:
            return fewer, tolerance
        tolerance *= RETRY
    return ring, 0.0


def _strays(ring: Ring, fewer: Ring) -> float:
    """The largest distance of a corner from the chord that takes its place.

    No point of the chord is further from the ring, since the corners between its ends lead all along it.
    """
    place = {corner: index for index, corner in enumerate(map(tuple, ring.tolist()))}
    kept = np.array([place[corner] for corner in map(tuple, fewer.tolist())])
    first = int(kept.argmin())
    kept, fewer = _from(first, kept), _from(first, fewer).astype(np.float64)
    if (np.diff(kept) <= 0).any():
        return np.inf  # another order of corners: not a thinner ring but another one
    corners = _from(int(kept[0]), ring).astype(np.float64)
    chord = np.searchsorted(kept - kept[0], np.arange(len(ring)), side="right") - 1
    start, along = fewer[chord], (_from(1, fewer) - fewer)[chord]
    share = np.clip(((corners - start) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return float(np.sqrt((((start + share[:, None] * along) - corners) ** 2).sum(axis=1).max()))


def _conflicts(rings: Sequence[Ring], nested: set[tuple[int, int]]) -> set[int]:
    """Rings that cross, touch where the exact ones do not, or have changed sides."""
    faulty = set(_crossings(rings))
    return faulty or {index for pair in _nesting(rings) ^ nested for index in pair}


def _crossings(rings: Sequence[Ring]) -> Iterator[int]:
    starts, ends, owner = _edges(rings)
    a, b = _near(np.minimum(starts, ends), np.maximum(starts, ends))
    shared = np.zeros(len(a), bool)
    overlapping = np.zeros(len(a), bool)
    for p, p_other in ((starts[a], ends[a]), (ends[a], starts[a])):
        for q, q_other in ((starts[b], ends[b]), (ends[b], starts[b])):
            same = (p == q).all(axis=1)
            u, v = p_other - p, q_other - q
            shared |= same
            overlapping |= same & (_cross(u, v) == 0) & ((u * v).sum(axis=1) > 0)
    across = ends - starts
    sides = [np.sign(_cross(across[a], point[b] - starts[a])) for point in (starts, ends)]
    other_sides = [np.sign(_cross(across[b], point[a] - starts[b])) for point in (starts, ends)]
    meeting = (sides[0] * sides[1] <= 0) & (other_sides[0] * other_sides[1] <= 0)
    wrong = overlapping | (meeting & ~shared)
    yield from owner[a[wrong]].tolist()
    yield from owner[b[wrong]].tolist()
    yield from _crossings_at_corners(starts, owner, rings)


def _near(low: IntArray, high: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of rectangles, each pair once, that touch or overlap.

    Only those of one band of rows whose columns overlap are compared: those of all rows would be too many.
    """
    which, band = _counted(low[:, 1] // BAND, high[:, 1] // BAND)
    span = int(high[:, 0].max()) + 1
    order = np.argsort(band * span + low[which, 0], kind="stable")
    which, band = which[order], band[order]
    place = np.arange(len(order))
    last = np.searchsorted(band * span + low[which, 0], band * span + high[which, 0], side="right")
    first, second = _counted(place + 1, last - 1)
    a, b = which[first], which[second]
    top = np.maximum(low[a, 1], low[b, 1])  # a pair of several bands is one of the first that both are in
    beside = (top <= np.minimum(high[a, 1], high[b, 1])) & (top // BAND == band[first])
    return a[beside], b[beside]


def _counted(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """For each i the numbers from first[i] to last[i]: all the i, each as often as it has numbers, and the numbers."""
    count = last - first + 1
    index = np.repeat(np.arange(len(count)), count)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count) + first[index]


def _crossings_at_corners(corners: IntArray, owner: IntArray, rings: Sequence[Ring]) -> Iterator[int]:
    """Rings that cross in a corner that they share, where islands or holes touch."""
    _, inverse, count = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    places = np.flatnonzero(count[inverse] > 1)
    first_of = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
    meeting: dict[int, list[int]] = {}
    for place in places.tolist():
        meeting.setdefault(int(inverse[place]), []).append(place)
    for at_corner in meeting.values():
        for one, other in combinations(at_corner, 2):
            wedge, crossing = (
                [corners[_beside(place, step, first_of, owner)] - corners[place] for step in (1, -1)]
                for place in (one, other)
            )
            if _is_between(crossing[0], *wedge) != _is_between(crossing[1], *wedge):
                yield from (int(owner[one]), int(owner[other]))


def _beside(place: int, step: int, first_of: IntArray, owner: IntArray) -> int:
    """The corner before or after one in its ring."""
    first, end = first_of[owner[place]], first_of[owner[place] + 1]
    return int(first + (place - first + step) % (end - first))


def _is_between(direction: IntArray, begin: IntArray, end: IntArray) -> bool:
    """True if a direction lies strictly within the turn from one direction to another."""
    if _cross(begin, end) > 0:
        return bool(_cross(begin, direction) > 0 and _cross(direction, end) > 0)
    return not (_cross(end, direction) >= 0 and _cross(direction, begin) >= 0)


def _cross(u: npt.NDArray[np.int64], v: npt.NDArray[np.int64]) -> IntArray:
    """Of vectors x, y; positive where v lies to the right of u on the screen."""
    product: IntArray = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return product


def _nesting(rings: Sequence[Ring]) -> set[tuple[int, int]]:
    """(outer, inner) for every two rings one of which lies in the other; they do not cross.

    A ray to the right from a point of the inner one leaves the outer one an odd number of times. Only the edges of a
    point's own row are looked at: those of all rings would be too many.
    """
    if len(rings) == 1:
        return set()
    starts, ends, owner = _edges([2 * ring for ring in rings])
    points = np.array([ring[:2] for ring in rings], np.int64).sum(axis=1)  # middles of edges, so on no other ring
    rows, row = np.unique(points[:, 1], return_inverse=True)
    tops, bottoms = (side(starts[:, 1], ends[:, 1]) for side in (np.minimum, np.maximum))
    edge, edge_row = _counted(np.searchsorted(rows, tops), np.searchsorted(rows, bottoms) - 1)
    edge = edge[np.argsort(edge_row, kind="stable")]
    end_of = np.cumsum(np.bincount(edge_row, minlength=len(rows)))
    begin_of = np.concatenate([[0], end_of[:-1]])
    blocks = np.cumsum((end_of - begin_of)[row]) // BLOCK
    pairs: set[tuple[int, int]] = set()
    for part in np.split(np.arange(len(rings)), np.flatnonzero(np.diff(blocks)) + 1):
        which, place = _counted(begin_of[row[part]], end_of[row[part]] - 1)
        inner, across = part[which], edge[place]
        turn = _cross(ends[across] - starts[across], points[inner] - starts[across])
        is_right = ((turn > 0) == (ends[across, 1] > starts[across, 1])) & (turn != 0)
        keys, count = np.unique((owner[across] * len(rings) + inner)[is_right], return_counts=True)
        outer, inner = np.divmod(keys[count % 2 == 1], len(rings))
        pairs.update(zip(outer.tolist(), inner.tolist(), strict=True))
    return {(outer, inner) for outer, inner in pairs if outer != inner}


def _edges(rings: Sequence[Ring]) -> tuple[IntArray, IntArray, IntArray]:
    """Starts and ends of the edges of all rings, each (k, 2), and (k,) the ring of each."""
    starts = np.concatenate(rings).astype(np.int64)
    ends = np.concatenate([_from(1, ring) for ring in rings]).astype(np.int64)
    return starts, ends, np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
