"""One object of what several views show of it.

An object that a tile's edge cuts is joined with its other parts where two tiles agree about it in the strip that they
share; what still ends at such an edge is no object. Objects that two views found are kept once, the tiles' finer masks
before those of the whole view. Masks are compared on samples, so that memory and time depend on the number of objects
and not on their size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import cv2
import numpy as np

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray, ceil_div
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.refine import EVERYTHING_SHARE
from fastsam_onnx.tiling.masks import JoinedMask, PlacedMask, Samples, TiledMask, fitting_level
from fastsam_onnx.tiling.tiles import Tile

JOIN_IOU = 0.5
"""Two parts are one object if their masks agree at least this well in the strip that their tiles share."""
DUPLICATE_IOU = 0.6
"""Of two objects from different views with a greater mask IoU one is dropped."""
EDGE_PIXELS = 2
"""A box that ends nearer to its tile's edge than this is cut by it."""
MOST_OPEN = 0.02
"""Maximum share of an object's outline that may lie along the edge of a tile, cut; chosen on train_validation."""
CELL = 256
"""Side in pixels of the cells in which objects are looked up."""

LEFT, TOP, RIGHT, BOTTOM = range(4)


@dataclass(frozen=True, eq=False)
class Part:
    """An object, or the part of one that a tile shows.

    Attributes:
        mask: Its mask in the photo.
        box: (4,) float32 x1, y1, x2, y2 in pixels of the photo.
        score: 0 to 1.
        view: Tile, or whole photo, in which the network saw it; None if it was joined.
        cut: True for each of left, top, right, bottom where it goes on beyond its tile.
        label: Index of its class.
    """

    mask: TiledMask
    box: FloatArray
    score: float
    view: Tile | None
    cut: tuple[bool, bool, bool, bool] = (False, False, False, False)
    label: int = 0

    @cached_property
    def samples(self) -> Samples:
        """Pixels that it is compared by."""
        return Samples.enough(self.mask, self.box)


def put_together(parts: Sequence[Part], whole: Tile, *, agnostic: bool = True, fillers: bool = True) -> list[Part]:
    """The objects of a photo from those of its views, best first.

    Args:
        parts: The objects of every view.
        whole: The view of the whole photo.
        agnostic: True for one object in one place, whatever the class; False to join and to compare within each class.
        fillers: False to leave out what was joined to all of the photo.
    """
    classes = [None] if agnostic else sorted({part.label for part in parts})
    groups = [[part for part in parts if label is None or part.label == label] for label in classes]
    objects = [one for group in groups for one in _put_together(group, whole, fillers)]
    return sorted(objects, key=lambda part: -part.score)


def _put_together(parts: Sequence[Part], whole: Tile, fillers: bool) -> list[Part]:
    objects = [(joined(group), group) for group in grouped([part for part in parts if part.view != whole])]
    in_tiles = [one for one, group in objects if open_share(one, group) <= MOST_OPEN]
    if not fillers:
        in_tiles = [part for part in in_tiles if not _fills(part, whole)]
    return _without_duplicates([*in_tiles, *(part for part in parts if part.view == whole)], whole)


def _fills(part: Part, view: Tile) -> bool:
    """True if a part covers nearly all of a view."""
    samples = part.samples.within(view)
    step = 1 << samples.level
    columns = ceil_div(view.right, step) - ceil_div(view.left, step)
    rows = ceil_div(view.bottom, step) - ceil_div(view.top, step)
    return samples.count > EVERYTHING_SHARE * columns * rows


# --- Objects that tiles cut ---


def grouped(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts of each object: those that neighbouring tiles show together, each of the others alone."""
    cut: dict[Tile, list[int]] = {}
    for index, part in enumerate(parts):
        if part.view is not None and any(part.cut):
            cut.setdefault(part.view, []).append(index)
    links: list[tuple[float, int, int]] = []
    for a, b in combinations(cut, 2):
        zone = a.overlap(b)
        if zone is not None:
            ours = [index for index in cut[a] if _goes_on(parts[index], a, b)]
            theirs = [index for index in cut[b] if _goes_on(parts[index], b, a)]
            links += _links(parts, ours, theirs, zone)
    groups = {index: {index} for index in range(len(parts))}
    for _, first, second in sorted(links, reverse=True):
        together = groups[first] | groups[second]
        if len({parts[index].view for index in together}) == len(together):  # two in one tile are two objects
            groups.update(dict.fromkeys(together, together))
    distinct = {id(group): sorted(group) for group in groups.values()}
    return [[parts[index] for index in group] for group in distinct.values()]


def _links(
    parts: Sequence[Part], ours: Sequence[int], theirs: Sequence[int], zone: Tile
) -> Iterator[tuple[float, int, int]]:
    """(agreement, part, part) where each is the other's best in the strip that their tiles share."""
    if not ours or not theirs:
        return
    near = box_iou(*(_clipped(np.stack([parts[index].box for index in side]), zone) for side in (ours, theirs)))
    agreement = np.zeros(near.shape)
    for i, j in np.argwhere(near > JOIN_IOU / 2).tolist():
        agreement[i, j] = iou(parts[ours[i]].samples, parts[theirs[j]].samples, zone)
    for i, j in enumerate(agreement.argmax(axis=1).tolist()):
        if agreement[i, j] >= JOIN_IOU and agreement[:, j].argmax() == i:
            yield float(agreement[i, j]), ours[i], theirs[j]


def _goes_on(part: Part, tile: Tile, other: Tile) -> bool:
    """True if a part is cut on a side of its tile beyond which the other tile reaches."""
    reaches = other.left < tile.left, other.top < tile.top, other.right > tile.right, other.bottom > tile.bottom
    return any(cut and beyond for cut, beyond in zip(part.cut, reaches, strict=True))


def joined(parts: Sequence[Part]) -> Part:
    """One object of its parts."""
    if len(parts) == 1:
        return parts[0]
    boxes = np.stack([part.box for part in parts])
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    masks = tuple(part.mask for part in parts if isinstance(part.mask, PlacedMask))
    best = max(parts, key=lambda part: part.score)
    return Part(JoinedMask(masks), box, best.score, None, label=best.label)


def open_share(one: Part, parts: Sequence[Part]) -> float:
    """Share of an object's outline, about, where a tile cuts it and no other one shows how it goes on.

    Args:
        one: The object.
        parts: What tiles show of it.
    """
    x1, y1, x2, y2 = one.box.tolist()
    length = 0
    for part in parts:
        others = [other.view for other in parts if other is not part and other.view is not None]
        length += sum(_open_length(part, side, one.mask, others) for side in range(4) if part.cut[side])
    return length / float(max(2 * (x2 - x1 + y2 - y1), 1))


def _open_length(part: Part, side: int, whole: TiledMask, others: Sequence[Tile]) -> int:
    """Pixels along a side of its tile up to which a part reaches, and beyond which nothing shows the object or its end.

    That is where the whole mask does not go on, and none of the other views that show the object would show it.
    """
    assert part.view is not None
    inside, beyond = part.view.lines_beside(side, EDGE_PIXELS)
    x1, y1, x2, y2 = (math.ceil(edge) for edge in part.box.tolist())
    (first, last), across = ((y1, y2), (x1, x2)) if side in (LEFT, RIGHT) else ((x1, x2), (y1, y2))
    inside = min(max(inside, across[0]), across[1] - 1)  # of a sliver the last line that it has
    step = 1 << fitting_level(last - first)
    along = np.arange(first, last, step, dtype=np.int64)

    def on(mask: TiledMask, line: int) -> BoolArray:
        one = np.array([line])
        return (mask.sample(one, along) if side in (LEFT, RIGHT) else mask.sample(along, one)).ravel()

    reach = math.ceil(abs(beyond - inside) / step)  # a slanting outline goes on a little beside
    near = cv2.dilate(on(whole, beyond).astype(np.uint8)[None], np.ones((1, 2 * reach + 1), np.uint8))[0] > 0
    for view in others:
        low, high, begin, end = view.left, view.right, view.top, view.bottom
        if side in (TOP, BOTTOM):
            low, high, begin, end = begin, end, low, high
        if low <= beyond < high:
            near |= (along >= begin) & (along < end)
    return step * int(np.count_nonzero(on(part.mask, inside) & ~near))


# --- Objects that several views show ---


def _without_duplicates(parts: Sequence[Part], whole: Tile) -> list[Part]:
    """Keep each object once: those of tiles first, then those of the whole view."""
    boxes = np.array([part.box for part in parts], np.float32).reshape(-1, 4)
    areas = np.array([part.samples.count << 2 * part.samples.level for part in parts], np.float32)
    ranks = np.array([part.view == whole for part in parts])
    scores = np.array([part.score for part in parts])
    kept: list[int] = []
    in_cell: dict[tuple[int, int], list[int]] = {}
    for index in np.lexsort((-scores, ranks)).tolist():
        cells = list(_cells(boxes[index]))
        near = {other for cell in cells for other in in_cell.get(cell, ())}
        alike = _alike(index, np.array(sorted(near), np.int64), boxes, areas)
        if not any(_is_superfluous(parts[index], parts[other]) for other in alike):
            kept.append(index)
            for cell in cells:
                in_cell.setdefault(cell, []).append(index)
    return [parts[index] for index in kept]


def _cells(box: FloatArray) -> Iterator[tuple[int, int]]:
    """The cells of `CELL` pixels that a box touches: only objects with a cell in common can be alike."""
    left, top, right, bottom = (int(edge) // CELL for edge in box.tolist())
    return product(range(left, right + 1), range(top, bottom + 1))


def _alike(index: int, others: IntArray, boxes: FloatArray, areas: FloatArray) -> list[int]:
    """The others that by box and area may show the same object; the likeliest first."""
    sides = np.minimum(boxes[others, 2:], boxes[index, 2:]) - np.maximum(boxes[others, :2], boxes[index, :2])
    shared, enough = np.maximum(sides, 0).prod(axis=1), DUPLICATE_IOU / 2 * areas[index]
    likely = np.flatnonzero((shared > enough) & (areas[others] > enough))
    return [int(others[place]) for place in likely[np.argsort(-shared[likely], kind="stable")]]


def _is_superfluous(one: Part, other: Part) -> bool:
    if one.view is not None and one.view == other.view:
        return False  # the network and its NMS told them apart
    return iou(one.samples, other.samples) > DUPLICATE_IOU


def iou(a: Samples, b: Samples, frame: Tile | None = None) -> float:
    """IoU of two masks, or of their parts in a frame, about."""
    level = max(a.level, b.level)
    a, b = a.at(level), b.at(level)
    if frame is not None:
        a, b = a.within(frame), b.within(frame)
    both = a.shared(b)
    either = a.count + b.count - both
    return both / either if either else 0.0


def _clipped(boxes: FloatArray, zone: Tile) -> FloatArray:
    low, high = np.array([zone.left, zone.top], np.float32), np.array([zone.right, zone.bottom], np.float32)
    return np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)
