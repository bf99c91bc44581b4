"""Rings joined to one."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fastsam_onnx.formats import rings as module
from fastsam_onnx.formats.rings import joined
from fastsam_onnx.masks.mask import Mask


def noise(seed, side):
    """The rings of a mask in which every second pixel is set, by chance: islands in holes, corners that touch."""
    mask = Mask.from_dense(np.random.default_rng(seed).random((side, side)) < 0.5)
    return [ring for polygon in mask.polygons() for ring in (polygon.exterior, *polygon.holes)]


def perimeter(ring):
    return np.hypot(*(ring - np.roll(ring, 1, axis=0)).T).sum()


def one_by_one(rings):
    """Every ring put in between the two closest corners, all of which are compared."""
    path = rings[0].astype(np.float64)
    for ring in rings[1:]:
        squared = ((ring[:, None].astype(np.float64) - path) ** 2).sum(axis=2)
        start, at = np.unravel_index(squared.argmin(), squared.shape)
        path = np.concatenate([path[: at + 1], ring[start:], ring[: start + 1], path[at:]])
    return path


def test_two_rings():
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], np.float32)
    joint = joined([square, square + np.float32((6, 1))])
    assert joint.tolist() == [
        *([0, 0], [4, 0]),  # the corner next to (6, 1), as far as (4, 4) is from (6, 5)
        *([6, 1], [10, 1], [10, 5], [6, 5], [6, 1]),
        *([4, 0], [4, 4], [0, 4]),
    ]
    assert joined([square]).tolist() == square.tolist()


@pytest.mark.parametrize("sizes", [(64, 64), (3, 2)], ids=["blocks", "groups of blocks"])
@pytest.mark.parametrize("seed", range(5))
def test_cuts_are_as_short_as_can_be(seed, sizes, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", sizes[0])
    monkeypatch.setattr(module, "GROUP", sizes[1])
    rings = noise(seed, 24)
    joint = joined(rings)
    assert len(joint) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    assert perimeter(joint) == pytest.approx(perimeter(one_by_one(rings)))


def test_thousands_of_rings_take_seconds():
    """All corners were compared with all: 43 s in place of 1.3."""
    rings = noise(0, 200)
    assert len(rings) > 3000
    began = time.process_time()
    joined(rings)
    assert time.process_time() - began < 10


def test_long_rings_side_by_side_take_seconds():
    """The boxes of slanted stripes overlap, so that all their corners were compared: 19 s in place of 2.6."""
    x, y = np.meshgrid(range(240), range(240))
    rings = [polygon.exterior for polygon in Mask.from_dense((x + y) % 4 < 2).polygons()]
    began = time.process_time()
    joined(rings)
    assert time.process_time() - began < 9
