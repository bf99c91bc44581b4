"""Large photos: tiles that overlap, one view of the whole, and their objects put together.

Each tile is a photo to the network. An object that a tile's edge cuts is joined with its other parts where two tiles
agree about it in the strip that they share. What two views found both is kept once, the tiles' finer masks before
those of the whole view. Masks stay unrendered, and are compared on samples, so that memory and time depend on the
number of objects and not on their size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, groupby, product
from types import MappingProxyType

import numpy as np

from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray
from fastsam_onnx.images.rows import Rows
from fastsam_onnx.masks.detections import box_iou
from fastsam_onnx.masks.instances import Masks
from fastsam_onnx.masks.mask import Mask, shared_area, union
from fastsam_onnx.masks.pending import PendingMask
from fastsam_onnx.options import check_tiles
from fastsam_onnx.results.segmentation import Segmentation

Find = Callable[[ByteArray, tuple[int, int]], Segmentation]

JOIN_IOU = 0.5
"""Two parts are one object if their masks agree so well in the strip that their tiles share."""
DUPLICATE_IOU = 0.6
"""Of two objects from different views with a greater mask IoU one goes."""
CONTAINED_SHARE = 0.8
"""A part that no other tile completes goes if so much of it lies in another object."""
EDGE_PIXELS = 2
"""A box that ends so near to its tile's edge is cut by it."""
MAX_SAMPLES = 48
"""Masks are compared on every 2^k-th pixel, so that there are at most so many a side."""
CELL = 256

LEFT, TOP, RIGHT, BOTTOM = range(4)


@dataclass(frozen=True)
class Tile:
    """A part of the photo, in its pixels; right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    def overlap(self, other: Tile) -> Tile | None:
        """What both cover, None if nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Tile(left, top, right, bottom) if left < right and top < bottom else None

    def inner_sides(self, image_size: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """Whether left, top, right, bottom lie inside the photo, where they can cut an object."""
        return self.left > 0, self.top > 0, self.right < image_size[0], self.bottom < image_size[1]


@dataclass(frozen=True, eq=False)
class PlacedMask:
    """The mask of an object that a tile shows, as a mask of the photo; made when somebody looks at it.

    Attributes:
        row: The mask in the tile.
        left: The column of the photo where the tile begins.
        top: The row of the photo where it begins.
        image_size: (width, height) of the photo.
    """

    row: PendingMask
    left: int
    top: int
    image_size: tuple[int, int]

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.row.area

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels; zeros if there are none."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        return self.row.box + offset if self.row.area else self.row.box

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle."""
        return self.row.area_inside(x1 - self.left, y1 - self.top, x2 - self.left, y2 - self.top)

    def contains(self, x: float, y: float) -> bool:
        """Whether the pixel that holds the point is set."""
        return self.row.contains(x - self.left, y - self.top)

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        mask = self.row.render()
        return Mask(mask.crop, mask.left + self.left, mask.top + self.top, self.image_size)

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """As in `PendingMask.sample`."""
        return self.row.sample(columns - self.left, rows - self.top)


@dataclass(frozen=True, eq=False)
class JoinedMask:
    """The mask of an object in parts, made when somebody looks at it."""

    parts: tuple[PlacedMask, ...]

    @property
    def area(self) -> int:
        """The number of pixels; the first time the mask is rendered for it."""
        return self._measures[0]

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels; the first time the mask is rendered for it."""
        return self._measures[1]

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in a rectangle."""
        return self.render().area_inside(x1, y1, x2, y2)

    def contains(self, x: float, y: float) -> bool:
        """Whether the pixel that holds the point is set."""
        return any(part.contains(x, y) for part in self.parts)

    def render(self) -> Mask:
        """The mask at the photo's own size."""
        return union(part.render() for part in self.parts).tight()

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """As in `PendingMask.sample`."""
        return np.asarray(np.logical_or.reduce([part.sample(columns, rows) for part in self.parts]), bool)

    @cached_property
    def _measures(self) -> tuple[int, FloatArray]:
        mask = self.render()
        return mask.area, mask.box


@dataclass(frozen=True, eq=False)
class Samples:
    """Every 2^level-th pixel of a mask, in both directions, counted from the photo's corner: levels are nested.

    Attributes:
        pixels: (h, w) bool.
        left: Where they begin, counted in samples.
        top: The same for rows.
        level: See above.
    """

    pixels: BoolArray
    left: int
    top: int
    level: int

    @classmethod
    def of(cls, row: PlacedMask | JoinedMask, box: FloatArray, level: int | None = None) -> Samples:
        """Those of a mask in a box x1, y1, x2, y2; by default at the level that `MAX_SAMPLES` allows."""
        x1, y1, x2, y2 = box.tolist()
        if level is None:
            level = max(0, math.ceil(math.log2(max(x2 - x1, y2 - y1, 1) / MAX_SAMPLES)))
        step = 1 << level
        left, top, right, bottom = (math.ceil(edge / step) for edge in (x1, y1, x2, y2))
        columns, rows = (np.arange(first, end, dtype=np.int64) for first, end in ((left, right), (top, bottom)))
        return cls(row.sample(columns * step, rows * step), left, top, level)

    def at(self, level: int) -> Samples:
        """The samples of a higher level, which are among these."""
        step = 1 << (level - self.level)
        left, top = -(-self.left // step), -(-self.top // step)
        return Samples(self.pixels[top * step - self.top :: step, left * step - self.left :: step], left, top, level)

    def within(self, frame: Tile) -> Samples:
        """Those that lie in a part of the photo."""
        step = 1 << self.level
        left, top = max(-(-frame.left // step), self.left), max(-(-frame.top // step), self.top)
        rows = slice(top - self.top, max(-(-frame.bottom // step) - self.top, 0))
        columns = slice(left - self.left, max(-(-frame.right // step) - self.left, 0))
        return Samples(self.pixels[rows, columns], left, top, self.level)

    def shared(self, other: Samples) -> int:
        """How many samples both masks hold, of the same level."""
        return shared_area(self.pixels, (self.left, self.top), other.pixels, (other.left, other.top))

    @property
    def count(self) -> int:
        """How many samples the mask holds."""
        return int(np.count_nonzero(self.pixels))


@dataclass(frozen=True, eq=False)
class Found:
    """An object, or the part of one that a tile shows.

    Attributes:
        row: Its mask in the photo.
        box: (4,) float32 x1, y1, x2, y2 in pixels of the photo.
        score: 0 to 1.
        view: What its network saw, a tile or the whole photo; None if it was joined.
        cut: Whether it goes on beyond the left, top, right, bottom side of its tile.
    """

    row: PlacedMask | JoinedMask
    box: FloatArray
    score: float
    view: Tile | None
    cut: tuple[bool, bool, bool, bool] = (False, False, False, False)

    @cached_property
    def samples(self) -> Samples:
        """What it is compared by."""
        return Samples.of(self.row, self.box)


def grid(image_size: tuple[int, int], tile: int, overlap: float) -> list[Tile]:
    """Tiles row by row, all of one size, at equal distances, overlapping by at least the share `overlap`.

    Raises:
        OptionError: If the tile or the overlap is outside its range.
    """
    check_tiles(tile, overlap)
    (width, height), shared = image_size, round(tile * overlap)
    return [
        Tile(left, top, min(left + tile, width), min(top + tile, height))
        for top in _starts(height, tile, shared)
        for left in _starts(width, tile, shared)
    ]


def _starts(side: int, tile: int, shared: int) -> list[int]:
    if side <= tile:
        return [0]
    count = max(2, math.ceil((side - shared) / (tile - shared)))
    return [round(index * (side - tile) / (count - 1)) for index in range(count)]


def find_in_tiles(find: Find, rows: Rows, *, tile: int, overlap: float) -> Segmentation:
    """The objects of a photo from its tiles and the view of the whole.

    Args:
        find: The objects of a picture, (H, W, 3) uint8 RGB, with masks still to be made, for a photo whose size,
            (width, height), the picture may fall short of.
        rows: The photo.
        tile: The side of the tiles in pixels of the photo.
        overlap: How much neighbours share at least, as a share of the side.
    """
    image_size = rows.image_size
    found: list[Found] = []
    speed: dict[str, float] = {}
    tiles = grid(image_size, tile, overlap)
    for (top, bottom), beside in groupby(tiles, key=lambda place: (place.top, place.bottom)):
        band = rows.band(top, bottom)
        for place in beside if len(tiles) > 1 else ():
            seen = find(np.ascontiguousarray(band[:, place.left : place.right]), place.size)
            found += _in_photo(seen, place, image_size)
            speed = _sum(speed, seen.speed)
    overview = rows.overview()
    everything = find(overview, image_size)
    if len(tiles) == 1:
        return everything
    whole = Tile(0, 0, *image_size)
    found += _in_photo(everything, whole, image_size)
    speed = _sum(speed, everything.speed)
    began = time.perf_counter()
    objects = put_together(found, whole)
    speed["postprocess"] += 1000 * (time.perf_counter() - began)
    return replace(
        everything,
        boxes=np.array([one.box for one in objects], np.float32).reshape(-1, 4),
        scores=np.array([one.score for one in objects], np.float32),
        masks=Masks((one.row for one in objects), image_size),
        candidates=None,
        image=overview if overview.shape[1::-1] == image_size else None,
        speed=MappingProxyType(speed),
    )


def _sum(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    return {stage: a.get(stage, 0) + milliseconds for stage, milliseconds in b.items()}


def _in_photo(seen: Segmentation, view: Tile, image_size: tuple[int, int]) -> Iterator[Found]:
    """The objects of a view as parts of the photo."""
    inner = np.array(view.inner_sides(image_size))
    offset = np.array([view.left, view.top] * 2, np.float32)
    edges = np.array([view.left, view.top, view.right, view.bottom], np.float32)
    for row, box, score in zip(seen.masks.lazy, seen.boxes + offset, seen.scores.tolist(), strict=True):
        assert isinstance(row, PendingMask)
        left, top, right, bottom = (inner & (np.abs(box - edges) <= EDGE_PIXELS)).tolist()
        yield Found(PlacedMask(row, view.left, view.top, image_size), box, score, view, (left, top, right, bottom))


def put_together(found: Sequence[Found], whole: Tile) -> list[Found]:
    """The objects of a photo from those of its views, best first."""
    in_tiles = join([one for one in found if one.view != whole])
    objects = _without_duplicates([*in_tiles, *(one for one in found if one.view == whole)], whole)
    return sorted(objects, key=lambda one: -one.score)


# --- Objects that tiles cut ---


def join(parts: Sequence[Found]) -> list[Found]:
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
    parts: Sequence[Found], ours: Sequence[int], theirs: Sequence[int], zone: Tile
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


def _goes_on(part: Found, tile: Tile, other: Tile) -> bool:
    """Whether a part is cut on a side of its tile beyond which the other tile reaches."""
    reaches = other.left < tile.left, other.top < tile.top, other.right > tile.right, other.bottom > tile.bottom
    return any(cut and beyond for cut, beyond in zip(part.cut, reaches, strict=True))


def _joined(parts: Sequence[Found]) -> Found:
    if len(parts) == 1:
        return parts[0]
    boxes = np.stack([part.box for part in parts])
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    rows = tuple(part.row for part in parts if isinstance(part.row, PlacedMask))
    tiles = [part.view for part in parts if part.view is not None]
    left, top, right, bottom = (
        any(part.cut[side] and not _continues(tile, tiles, side) for part, tile in zip(parts, tiles, strict=True))
        for side in (LEFT, TOP, RIGHT, BOTTOM)
    )
    return Found(JoinedMask(rows), box, max(part.score for part in parts), None, (left, top, right, bottom))


def _continues(tile: Tile, others: Sequence[Tile], side: int) -> bool:
    """Whether one of the others shows what lies beyond a side of a tile."""
    beyond = {
        LEFT: Tile(tile.left - 1, tile.top, tile.left, tile.bottom),
        TOP: Tile(tile.left, tile.top - 1, tile.right, tile.top),
        RIGHT: Tile(tile.right, tile.top, tile.right + 1, tile.bottom),
        BOTTOM: Tile(tile.left, tile.bottom, tile.right, tile.bottom + 1),
    }[side]
    return any(other.overlap(beyond) is not None for other in others)


# --- Objects that several views show ---


def _without_duplicates(found: Sequence[Found], whole: Tile) -> list[Found]:
    """Keep each object once: complete ones of tiles first, then those of the whole view, then what is left cut."""
    boxes = np.array([one.box for one in found], np.float32).reshape(-1, 4)
    areas = np.array([one.samples.count << 2 * one.samples.level for one in found], np.float32)
    ranks = np.array([2 if any(one.cut) else int(one.view == whole) for one in found])
    scores = np.array([one.score for one in found])
    kept: list[int] = []
    in_cell: dict[tuple[int, int], list[int]] = {}
    for index in np.lexsort((-scores, ranks)).tolist():
        cells = list(_cells(boxes[index]))
        near = {other for cell in cells for other in in_cell.get(cell, ())}
        alike = _alike(index, np.array(sorted(near), np.int64), boxes, areas)
        if not any(_is_superfluous(found[index], found[other]) for other in alike):
            kept.append(index)
            for cell in cells:
                in_cell.setdefault(cell, []).append(index)
    return [found[index] for index in kept]


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


def _is_superfluous(one: Found, other: Found) -> bool:
    if one.view is not None and one.view == other.view:
        return False  # the network and its NMS told them apart
    if any(one.cut):
        return contained_share(one, other) > CONTAINED_SHARE
    return iou(one.samples, other.samples) > DUPLICATE_IOU


def iou(a: Samples, b: Samples, frame: Tile | None = None) -> float:
    """About the IoU of two masks, or of what lies of them in a frame."""
    level = max(a.level, b.level)
    a, b = a.at(level), b.at(level)
    if frame is not None:
        a, b = a.within(frame), b.within(frame)
    both = a.shared(b)
    either = a.count + b.count - both
    return both / either if either else 0.0


def contained_share(one: Found, other: Found) -> float:
    """About how much of an object's mask another one holds, 0 to 1."""
    mine, theirs = one.samples, other.samples
    if theirs.level > mine.level:  # at its level little may be left of the smaller one
        theirs = Samples.of(other.row, one.box, mine.level)
    theirs = theirs.at(mine.level)
    return mine.shared(theirs) / mine.count if mine.count else 0.0


def _clipped(boxes: FloatArray, zone: Tile) -> FloatArray:
    low, high = np.array([zone.left, zone.top], np.float32), np.array([zone.right, zone.bottom], np.float32)
    return np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], axis=1)
