"""Which object lies in which: things, their parts, and parts of these."""

from __future__ import annotations

import numpy as np

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.sequence import Masks

NOWHERE = -1


def parents_of(masks: Masks, share: float) -> IntArray:
    """(n,) int64: the index of the smallest mask that is larger and holds so much of each, NOWHERE without one.

    Of equally large ones that hold each other the first lies in the second, the second in the third. A mask without
    pixels lies nowhere.
    """
    areas, rooms = masks.areas, _shared_rooms(masks.boxes)
    order = np.argsort(areas, kind="stable")
    parents = np.full(len(masks), NOWHERE, np.int64)
    for place, index in enumerate(order):
        least = share * areas[index]
        larger = order[place + 1 :]
        for other in larger[rooms[index, larger] >= least] if areas[index] else ():
            if masks[int(index)].intersection_area(masks[int(other)]) >= least:
                parents[index] = other
                break
    return parents


def _shared_rooms(boxes: FloatArray) -> FloatArray:
    """(n, n) pixels that the boxes of each two share: as many as the masks may."""
    corners = boxes.astype(np.float64)
    sides = np.minimum(corners[:, None, 2:], corners[:, 2:]) - np.maximum(corners[:, None, :2], corners[:, :2])
    rooms: FloatArray = np.clip(sides, 0, None).prod(axis=2)
    return rooms
