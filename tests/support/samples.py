"""Results to write out, and readings of what was written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation

WIDTH, HEIGHT = 48, 36


def make_sample() -> Segmentation:
    """A ring with an island in its hole, a disc, two touching rectangles, two pixels that meet at a corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    photo = np.stack([x * 5, y * 7, (x + y) * 3], axis=2).astype(np.uint8)
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[3:17, 4:20], ring[6:14, 7:17], ring[9:11, 10:13] = True, False, True
    disc = (x - 31) ** 2 + (y - 12) ** 2 < 81
    low, right, corner = np.zeros((3, HEIGHT, WIDTH), bool)
    low[20:36, 0:24], right[20:30, 24:40] = True, True
    corner[32, 42] = corner[33, 43] = True
    return Segmentation.from_masks(
        [Mask.from_dense(dense) for dense in (ring, disc, low, right, corner)],
        [0.98765432, 0.9, 0.75, 0.5, 0.123456],
        [(4, 3, 20, 17), (22.254, 3.996, 40, 21), (0, 20, 24, 36), (24, 20, 40, 30), (42, 32, 44, 34)],
        image=photo,
        source="photo.jpg",
    )


def random_instances(seed: int, count: int = 3) -> Segmentation:
    rng = np.random.default_rng(seed)
    masks = [Mask.from_dense(rng.random((11, 13)) < rng.random()) for _ in range(count)]
    return Segmentation.from_masks(masks, rng.random(count), image_size=(13, 11))


def fill_rings(rings: list[Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Even-odd filling of rings along the edges of pixels: every vertical edge flips what lies on its right."""
    canvas = np.zeros((size[1], size[0]), bool)
    for ring in rings:
        corners = np.asarray(ring, int)
        for (x, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            assert x == x2 or y1 == y2
            canvas[min(y1, y2) : max(y1, y2), x:] ^= True
    return canvas


def ring_area(ring: list[Any]) -> float:
    """Positive for a ring that runs counter-clockwise in its own axes."""
    x, y = np.asarray(ring, float).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def ascii_json(data: bytes) -> Any:
    return json.loads(data.decode("ascii"))
