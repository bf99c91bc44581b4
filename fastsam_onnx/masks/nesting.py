"""Which object lies in which: things, their parts, and parts of these."""

from __future__ import annotations

import math

import numpy as np

from fastsam_onnx.arrays import FloatArray, IntArray
from fastsam_onnx.masks.sequence import Masks

NOWHERE = -1
LESS = 1 - 1e-12
"""Of a share of pixels, so that rounding asks for none more."""


def parents_of(masks: Masks, share: float) -> IntArray:
    """(n,) int64: the index of the smallest mask that is larger and holds so much of each, NOWHERE without one.

    Of equally large ones that hold each other the first lies in the second, the second in the third. A mask without
    pixels lies nowhere.
    """
    areas = masks.areas
    order = np.argsort(areas, kind="stable")
    sides = np.ascontiguousarray(masks.boxes[order].T)
    parents = np.full(len(masks), NOWHERE, np.int64)
    for place, index in enumerate(order):
        if not areas[index]:
            continue
        least = math.ceil(share * areas[index] * LESS)  # 0.55 * 100 is a little more than 55
        for other in order[place + 1 + _with_room(sides[:, place], sides[:, place + 1 :], least)]:
            if masks[int(index)].intersection_area(masks[int(other)]) >= least:
                parents[index] = other
                break
    return parents


def _with_room(box: FloatArray, others: FloatArray, least: float) -> IntArray:
    """The indices of boxes, x1, y1, x2 and y2 (4, k), that share at least so many pixels with one (4,), above 0."""
    near = (others[0] < box[2]) & (others[2] > box[0])
    near &= others[1] < box[3]
    near &= others[3] > box[1]
    indices = np.flatnonzero(near)
    x1, y1, x2, y2 = others[:, indices].astype(np.float64)
    shared = (np.minimum(x2, box[2]) - np.maximum(x1, box[0])) * (np.minimum(y2, box[3]) - np.maximum(y1, box[1]))
    with_room: IntArray = indices[shared >= least]
    return with_room
