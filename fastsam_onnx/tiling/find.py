"""Large photos: tiles that overlap, one view of the whole, and their objects put together.

Each tile is a photo to the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.images.rows import ImageRows
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.tiling.joining import EDGE_PIXELS, Part, put_together
from fastsam_onnx.tiling.masks import PlacedMask
from fastsam_onnx.tiling.tiles import Tile, grid

Find = Callable[[ByteArray, tuple[int, int], bool], Segmentation]


def find_in_tiles(
    find: Find, photo: ImageRows, *, tile: int, overlap: float, agnostic: bool, refine: bool
) -> Segmentation:
    """The objects of a photo from its tiles and the view of the whole.

    Args:
        find: The objects of a picture, (H, W, 3) uint8 RGB, with masks still to be made, for a photo whose size,
            (width, height), the picture may fall short of; the third argument is True for a tile.
        photo: The rows of the photo.
        tile: Side of the tiles in pixels of the photo.
        overlap: Minimum share of the side that neighbours have in common.
        agnostic: True for one object in one place; False to join and to compare objects of one class only.
        refine: True if what covers the whole photo is no object.
    """
    image_size = photo.image_size
    parts: list[Part] = []
    speed: dict[str, float] = {}
    tiles = grid(image_size, tile, overlap)
    for (top, bottom), beside in groupby(tiles, key=lambda view: (view.top, view.bottom)):
        band = photo.band(top, bottom)
        for view in beside if len(tiles) > 1 else ():
            seen = find(np.ascontiguousarray(band[:, view.left : view.right]), view.size, True)
            parts += _parts_of(seen, view, image_size)
            speed = _sum(speed, seen.speed)
    everything = find(photo.overview(), image_size, False)
    if len(tiles) == 1:
        return everything
    whole = Tile(0, 0, *image_size)
    parts += _parts_of(everything, whole, image_size)
    speed = _sum(speed, everything.speed)
    began = time.perf_counter()
    objects = put_together(parts, whole, agnostic=agnostic, fillers=not refine)
    speed["postprocess"] += 1000 * (time.perf_counter() - began)
    return replace(
        everything,
        boxes=np.array([part.box for part in objects], np.float32).reshape(-1, 4),
        scores=np.array([part.score for part in objects], np.float32),
        masks=Masks((part.mask for part in objects), image_size),
        labels=None if everything.labels is None else np.array([part.label for part in objects], np.int64),
        candidates=None,
        speed=speed,
    )


def _sum(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {stage: a.get(stage, 0) + milliseconds for stage, milliseconds in b.items()}


def _parts_of(seen: Segmentation, view: Tile, image_size: tuple[int, int]) -> Iterator[Part]:
    """The objects of a view as parts of the photo."""
    inner = np.array(view.inner_sides(image_size))
    offset = np.array([view.left, view.top] * 2, np.float32)
    edges = np.array([view.left, view.top, view.right, view.bottom], np.float32)
    labels = [0] * len(seen) if seen.labels is None else seen.labels.tolist()
    for mask, box, score, label in zip(seen.masks.lazy, seen.boxes + offset, seen.scores.tolist(), labels, strict=True):
        assert isinstance(mask, PendingMask)
        left, top, right, bottom = (inner & (np.abs(box - edges) <= EDGE_PIXELS)).tolist()
        yield Part(
            PlacedMask(mask, view.left, view.top, image_size), box, score, view, (left, top, right, bottom), label
        )
