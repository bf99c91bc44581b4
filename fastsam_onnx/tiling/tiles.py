"""Where tiles lie in a photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastsam_onnx.options import MAX_TILE, check_tiles, pair


@dataclass(frozen=True)
class Tile:
    """A rectangle of the photo, in its pixels; right and bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    def overlap(self, other: Tile) -> Tile | None:
        """The rectangle that both cover, None if there is none."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Tile(left, top, right, bottom) if left < right and top < bottom else None

    def inner_sides(self, image_size: tuple[int, int]) -> tuple[bool, bool, bool, bool]:
        """True for each of left, top, right, bottom that lies inside the photo, where it can cut an object."""
        return self.left > 0, self.top > 0, self.right < image_size[0], self.bottom < image_size[1]

    def lines_beside(self, side: int, distance: int) -> tuple[int, int]:
        """The columns, for top and bottom (sides 1 and 3) the rows, that far inside and that far outside of a side."""
        edge = (self.left, self.top, self.right, self.bottom)[side]
        return (edge + distance, edge - 1 - distance) if side < 2 else (edge - 1 - distance, edge + distance)


def grid(image_size: tuple[int, int], tile: int, overlap: float) -> list[Tile]:
    """Tiles row by row, all of one size, at equal distances, overlapping by at least the share `overlap`.

    Raises:
        OptionError: If the size, the tile or the overlap is outside its range.
    """
    check_tiles(tile, overlap)
    (width, height), shared = pair("image_size", image_size, maximum=MAX_TILE), round(tile * overlap)
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
