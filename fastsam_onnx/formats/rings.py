"""Outlines with holes and islands as one ring each, for formats that know nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.masks.mask import Polygon

Ring = npt.NDArray[np.float64]


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
    path = np.asarray(rings[0], np.float64)
    for ring in rings[1:]:
        added = np.asarray(ring, np.float64)
        at, start = _closest_corners(path, added)
        detour = np.concatenate([added[start:], added[: start + 1], path[at : at + 1]])
        path = np.concatenate([path[: at + 1], detour, path[at + 1 :]])
    return path


def _closest_corners(path: Ring, ring: Ring) -> tuple[int, int]:
    """Indices of the two corners, one of each, with the smallest distance; row by row, to save memory."""
    best, pair = np.inf, (0, 0)
    for index, corner in enumerate(ring):
        squared = ((path - corner) ** 2).sum(axis=1)
        nearest = int(squared.argmin())
        if squared[nearest] < best:
            best, pair = squared[nearest], (nearest, index)
    return pair
