"""One object of what several views show of it.

An object that a tile's edge cuts is joined with its other parts where two tiles agree about it in the strip that they
share. Objects that two views found are kept once, the tiles' finer masks before those of the whole view. Masks are
compared on samples, so that memory and time depend on the number of objects and not on their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np

from fastsam_onnx.arrays import FloatArray, IntArray, ceil_div
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.refine import EVERYTHING_SHARE
from fastsam_onnx.tiling.masks import JoinedMask, PlacedMask, Samples, TiledMask
from fastsam_onnx.tiling.tiles import Tile

JOIN_IOU = 0.5
"""Two parts are one object if their masks agree at least this well in the strip that their tiles share."""
DUPLICATE_IOU = 0.6
"""Of two objects from different views with a greater mask IoU one is dropped."""
CONTAINED_SHARE = 0.8
"""An incomplete part is dropped if this share of it lies inside another object."""
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
        return Samples.from_mask(self.mask, self.box)


def put_together(parts: Sequence[Part], whole: Tile, *, agnostic: bool = True, fillers: bool = True) -> list[Part]:
    """The objects of a photo from those of its views, best first.

    Args:
        parts: The objects of every view.
        whole: The view of the whole photo.
        agnostic: True for one object in one place, whatever the class; False to join and to compare within each class.
        fillers: False to leave out what was joined to all of the photo, and what fills a tile and was not joined.
    """
    classes = [None] if agnostic else sorted({part.label for part in parts})
    groups = [[part for part in parts if label is None or part.label == label] for label in classes]
    objects = [one for group in groups for one in _put_together(group, whole, fillers)]
    return sorted(objects, key=lambda part: -part.score)


def _put_together(parts: Sequence[Part], whole: Tile, fillers: bool) -> list[Part]:
    in_tiles = join_parts([part for part in parts if part.view != whole])
    if not fillers:
        in_tiles = [part for part in in_tiles if not _fills(part, part.view or whole)]
    return _without_duplicates([*in_tiles, *(part for part in parts if part.view == whole)], whole)


def _fills(part: Part, view: Tile) -> bool:
    """True if a part covers nearly all of a view."""
    samples = part.samples.within(view)
    step = 1 << samples.level
    columns = ceil_div(view.right, step) - ceil_div(view.left, step)
    rows = ceil_div(view.bottom, step) - ceil_div(view.top, step)
    return samples.count > EVERYTHING_SHARE * columns * rows


# --- Objects that tiles cut ---


def join_parts(parts: Sequence[Part]) -> list[Part]:
    """Make one object of the parts that neighbouring tiles show; the others as they are."""
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
    return [_joined([parts[index] for index in group]) for group in distinct.values()]


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


def _joined(parts: Sequence[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    boxes = np.stack([part.box for part in parts])
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    masks = tuple(part.mask for part in parts if isinstance(part.mask, PlacedMask))
    tiles = [part.view for part in parts if part.view is not None]
    left, top, right, bottom = (
        any(part.cut[side] and not _continues(tile, tiles, side) for part, tile in zip(parts, tiles, strict=True))
        for side in (LEFT, TOP, RIGHT, BOTTOM)
    )
    best = max(parts, key=lambda part: part.score)
    return Part(JoinedMask(masks), box, best.score, None, (left, top, right, bottom), best.label)


def _continues(tile: Tile, others: Sequence[Tile], side: int) -> bool:
    """True if one of the others shows what lies beyond a side of a tile."""
    beyond = {
        LEFT: Tile(tile.left - 1, tile.top, tile.left, tile.bottom),
        TOP: Tile(tile.left, tile.top - 1, tile.right, tile.top),
        RIGHT: Tile(tile.right, tile.top, tile.right + 1, tile.bottom),
        BOTTOM: Tile(tile.left, tile.bottom, tile.right, tile.bottom + 1),
    }[side]
    return any(other.overlap(beyond) is not None for other in others)


# --- Objects that several views show ---


def _without_duplicates(parts: Sequence[Part], whole: Tile) -> list[Part]:
    """Keep each object once: complete ones of tiles first, then those of the whole view, then what is left cut."""
    boxes = np.array([part.box for part in parts], np.float32).reshape(-1, 4)
    areas = np.array([part.samples.count << 2 * part.samples.level for part in parts], np.float32)
    ranks = np.array([2 if any(part.cut) else int(part.view == whole) for part in parts])
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
    """The others that by box and area may show the same object, or one that holds it; the likeliest first."""
    sides = np.minimum(boxes[others, 2:], boxes[index, 2:]) - np.maximum(boxes[others, :2], boxes[index, :2])
    shared, enough = np.maximum(sides, 0).prod(axis=1), DUPLICATE_IOU / 2 * areas[index]
    likely = np.flatnonzero((shared > enough) & (areas[others] > enough))
    return [int(others[place]) for place in likely[np.argsort(-shared[likely], kind="stable")]]


def _is_superfluous(one: Part, other: Part) -> bool:
    if one.view is not None and one.view == other.view:
        return False  # the network and its NMS told them apart
    if any(one.cut):
        return contained_share(one, other) > CONTAINED_SHARE
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


def contained_share(one: Part, other: Part) -> float:
    """Share of an object's mask that another one holds, 0 to 1, about."""
    mine, theirs = one.samples, other.samples
    if theirs.level > mine.level:  # at its level little may be left of the smaller one
        theirs = Samples.from_mask(other.mask, one.box, mine.level)
    theirs = theirs.at(mine.level)
    return mine.shared(theirs) / mine.count if mine.count else 0.0


def _clipped(boxes: FloatArray, zone: Tile) -> FloatArray:
    low, high = np.array([zone.left, zone.top], np.float32), np.array([zone.right, zone.bottom], np.float32)
    return np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)
