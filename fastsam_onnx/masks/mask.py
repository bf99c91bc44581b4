"""One object's mask: a crop and where it lies in the photo.

Everything here costs the size of the crop, not of the photo. Coordinates are continuous image pixels: pixel (0, 0)
covers [0, 1) x [0, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.preview import png_preview


class RLE(TypedDict):
    """COCO's compressed run-length encoding, column by column, the first run background."""

    size: list[int]
    counts: str


@dataclass(frozen=True)
class Polygon:
    """One island of a mask: its outline and the outlines of its holes.

    Attributes:
        exterior: (k, 2) float32 x, y in image pixels, clockwise on the screen, not closed (the first point is not
            repeated).
        holes: The same for every hole, counter-clockwise.
    """

    exterior: FloatArray
    holes: tuple[FloatArray, ...] = ()


@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of one object.

    Attributes:
        crop: (h, w) bool, read-only: the part of the photo that can hold pixels of the object.
        left: The column of the photo where the crop begins.
        top: The row of the photo where the crop begins.
        image_size: (width, height) of the photo in pixels.
    """

    crop: BoolArray
    left: int
    top: int
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        width, height = self.image_size
        crop = self.crop
        if crop.ndim != 2 or crop.dtype != np.bool_:
            raise OptionError(f"a mask's crop is a (h, w) bool array; found {crop.dtype} of shape {crop.shape}")
        bottom, right = self.top + crop.shape[0], self.left + crop.shape[1]
        if self.left < 0 or self.top < 0 or right > width or bottom > height:
            raise OptionError(
                f"the crop x {self.left}..{right}, y {self.top}..{bottom} reaches outside the {width}x{height} photo"
            )
        view = np.ascontiguousarray(crop).view()
        view.flags.writeable = False
        object.__setattr__(self, "crop", view)

    @classmethod
    def from_dense(cls, dense: npt.ArrayLike) -> Mask:
        """Make a mask from a whole picture, cropped to the pixels that are set.

        Args:
            dense: (H, W), true or non-zero where the object is.
        """
        full = np.array(dense, bool)  # a copy: the caller's array may change later
        if full.ndim != 2:
            raise OptionError(f"a dense mask has shape (H, W); found {full.shape}")
        size = (full.shape[1], full.shape[0])
        return cls(full, 0, 0, size).tight()

    @classmethod
    def from_rle(cls, rle: RLE) -> Mask:
        """Read COCO's compressed RLE; see `rle`."""
        height, width = rle["size"]
        runs = _counts_from_string(rle["counts"])
        covered = sum(runs.tolist())  # in whole numbers that do not overflow
        if covered != height * width or (runs < 0).any():
            raise OptionError(f"the RLE covers {covered} pixels; its size {width}x{height} has {height * width}")
        values = np.zeros(runs.size, bool)
        values[1::2] = True
        return cls.from_dense(np.repeat(values, runs).reshape(width, height).T)

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Mask:
        """A mask without pixels."""
        return cls(np.zeros((0, 0), bool), 0, 0, image_size)

    def __reduce__(self) -> tuple[type[Mask], tuple[BoolArray, int, int, tuple[int, int]]]:
        return Mask, (self.crop, self.left, self.top, self.image_size)  # read-only again after pickling

    def __repr__(self) -> str:
        x1, y1, x2, y2 = (int(edge) for edge in self.box)
        width, height = self.image_size
        return f"Mask({self.area} pixels, box ({x1}, {y1}, {x2}, {y2}) of {width}x{height})"

    @property
    def area(self) -> int:
        """The number of pixels."""
        return int(np.count_nonzero(self.crop))

    @property
    def box(self) -> FloatArray:
        """(4,) float32 x1, y1, x2, y2 of the pixels, islands merged, right and bottom exclusive; zeros if empty.

        The same as the merged bounding rectangles of the external contours, which the references take.
        """
        import cv2

        if not self.crop.size:
            return np.zeros(4, np.float32)
        x, y, width, height = cv2.boundingRect(self.crop.view(np.uint8))
        if not width:
            return np.zeros(4, np.float32)
        x, y = x + self.left, y + self.top
        return np.array([x, y, x + width, y + height], np.float32)

    def render(self) -> Mask:
        """Itself: a mask that is made already answers like one that is still to be made."""
        return self

    def tight(self) -> Mask:
        """The same pixels in the smallest crop."""
        x1, y1, x2, y2 = (int(edge) for edge in self.box)
        if x1 == x2:
            return Mask.empty(self.image_size)
        crop = self.crop[y1 - self.top : y2 - self.top, x1 - self.left : x2 - self.left]
        return Mask(crop, x1, y1, self.image_size)

    def contains(self, x: float, y: float) -> bool:
        """Whether the pixel that holds the point (x, y) is set; outside the photo nothing is."""
        column, row = int(np.floor(x)) - self.left, int(np.floor(y)) - self.top
        height, width = self.crop.shape
        return 0 <= row < height and 0 <= column < width and bool(self.crop[row, column])

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in the rectangle of columns x1 .. x2 - 1 and rows y1 .. y2 - 1."""
        rows = slice(max(y1 - self.top, 0), max(y2 - self.top, 0))
        columns = slice(max(x1 - self.left, 0), max(x2 - self.left, 0))
        return int(np.count_nonzero(self.crop[rows, columns]))

    def _repr_png_(self) -> bytes:
        """The mask in white on black, for notebooks."""
        return png_preview(self.dense().view(np.uint8) * np.uint8(255))

    def dense(self) -> BoolArray:
        """(H, W) bool: the whole photo's size."""
        width, height = self.image_size
        full = np.zeros((height, width), bool)
        full[self.slices] = self.crop
        return full

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the crop in the photo: `photo[mask.slices]`."""
        height, width = self.crop.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def intersection_area(self, other: Mask) -> int:
        """The number of pixels that both masks hold."""
        self._check_same_photo(other)
        return shared_area(self.crop, (self.left, self.top), other.crop, (other.left, other.top))

    def iou(self, other: Mask) -> float:
        """Intersection over union of the pixels, 0 to 1; 0 when both are empty."""
        both = self.intersection_area(other)
        either = self.area + other.area - both
        return both / either if either else 0.0

    def union(self, other: Mask) -> Mask:
        """The pixels of either mask."""
        return union([self, other])

    def difference(self, other: Mask) -> Mask:
        """The pixels of this mask that the other does not hold."""
        self._check_same_photo(other)
        frame = self.crop.copy()
        _paint(frame, self.left, self.top, other, value=False)
        return Mask(frame, self.left, self.top, self.image_size)

    def components(self) -> list[Mask]:
        """The connected islands (8 neighbours), largest first."""
        import cv2

        if not self.crop.size:
            return []
        count, labels, stats, _ = cv2.connectedComponentsWithStats(self.crop.view(np.uint8), connectivity=8)
        parts = []
        for label in range(1, count):
            x, y, width, height, _ = (int(value) for value in stats[label])
            part = labels[y : y + height, x : x + width] == label
            parts.append(Mask(part, self.left + x, self.top + y, self.image_size))
        return sorted(parts, key=lambda part: -part.area)

    def smooth(self, min_area: int = 64, radius: int = 1) -> Mask:
        """Drop islands and fill holes below an area, then close and open with a disc.

        The official code's `better_quality` with an area that is named and a kernel that does not shift the mask.

        Args:
            min_area: Islands and holes of fewer pixels go; 0 keeps all.
            radius: The disc's radius in pixels; 0 leaves the outline as it is.
        """
        if min_area < 0 or radius < 0:
            raise OptionError(f"min_area and radius are at least 0; found {min_area} and {radius}")
        frame, left, top = self._framed(2 * radius + 1)
        frame = _without_specks(frame, min_area)
        frame = _without_holes(frame, min_area)
        if radius:
            frame = _closed_and_opened(frame, radius)
        return Mask(frame, left, top, self.image_size).tight()

    def polygons(self, tolerance: float = 0.0) -> list[Polygon]:
        """The outlines along the edges of the pixels, islands and holes apart.

        With tolerance 0 they enclose exactly the pixels: the area of a polygon less its holes is its number of pixels.
        Diagonal neighbours are islands of their own, so that every ring is simple.

        Args:
            tolerance: How far, in pixels, an outline may stray to save points (Douglas and Peucker). Islands that
                would lose their area are left as they are.
        """
        from fastsam_onnx.masks.outline import trace

        offset = np.array([self.left, self.top], np.float32)
        found = []
        for exterior, holes in trace(self.crop, tolerance):
            found.append(Polygon(exterior + offset, tuple(hole + offset for hole in holes)))
        return found

    def rle(self) -> RLE:
        """COCO's compressed run-length encoding of the whole photo, as pycocotools writes it."""
        width, height = self.image_size
        return {"size": [height, width], "counts": _counts_to_string(self.run_lengths())}

    def run_lengths(self) -> IntArray:
        """The lengths of the runs down the columns of the whole photo, background first (COCO's uncompressed RLE)."""
        import cv2

        width, height = self.image_size
        if not self.crop.size:
            return np.array([width * height], np.int64)
        # The columns one after another, a background pixel before the first and after each, so that every run has two
        # ends; bytes all along, and a transposition that suits the cache.
        rows, columns = self.crop.shape
        line = np.zeros(1 + columns * (rows + 1), np.uint8)
        line[1:].reshape(columns, rows + 1)[:, :-1] = cv2.transpose(self.crop.view(np.uint8))
        column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), rows + 1)
        positions = (self.left + column) * height + self.top + row
        begins, ends = positions[::2], positions[1::2]
        # A run that ends at the bottom of one column and the next that begins at the top of the next are one.
        joined = np.flatnonzero(ends[:-1] == begins[1:])
        begins, ends = np.delete(begins, joined + 1), np.delete(ends, joined)
        edges = np.stack([begins, ends], axis=1).reshape(-1)
        lengths = np.diff(np.concatenate([[0], edges, [width * height]]))
        return lengths if lengths[-1] or lengths.size == 1 else lengths[:-1]

    def _framed(self, margin: int) -> tuple[BoolArray, int, int]:
        """The crop with a margin of background, but not beyond the photo: there the picture goes on unseen."""
        width, height = self.image_size
        left, top = max(self.left - margin, 0), max(self.top - margin, 0)
        right = min(self.left + self.crop.shape[1] + margin, width)
        bottom = min(self.top + self.crop.shape[0] + margin, height)
        frame = np.zeros((bottom - top, right - left), bool)
        _paint(frame, left, top, self, value=True)
        return frame, left, top

    def _check_same_photo(self, other: Mask) -> None:
        if self.image_size != other.image_size:
            raise OptionError(f"masks of photos of different sizes: {self.image_size} and {other.image_size}")


def shared_area(a: BoolArray, a_corner: tuple[int, int], b: BoolArray, b_corner: tuple[int, int]) -> int:
    """The number of pixels that two crops, (h, w) bool at their corners x, y, both hold."""
    left, top = max(a_corner[0], b_corner[0]), max(a_corner[1], b_corner[1])
    right = min(a_corner[0] + a.shape[1], b_corner[0] + b.shape[1])
    bottom = min(a_corner[1] + a.shape[0], b_corner[1] + b.shape[0])
    if left >= right or top >= bottom:
        return 0
    parts = [crop[top - y : bottom - y, left - x : right - x] for crop, (x, y) in ((a, a_corner), (b, b_corner))]
    return int(np.count_nonzero(parts[0] & parts[1]))


def union(masks: Iterable[Mask]) -> Mask:
    """The pixels of any of the masks; at least one mask is needed to know the photo's size."""
    masks = list(masks)
    if not masks:
        raise OptionError("the union of no masks has no size; give at least one mask")
    for mask in masks[1:]:
        masks[0]._check_same_photo(mask)
    filled = [mask for mask in masks if mask.crop.size]
    if not filled:
        return Mask.empty(masks[0].image_size)
    left, top = min(mask.left for mask in filled), min(mask.top for mask in filled)
    right = max(mask.left + mask.crop.shape[1] for mask in filled)
    bottom = max(mask.top + mask.crop.shape[0] for mask in filled)
    frame = np.zeros((bottom - top, right - left), bool)
    for mask in filled:
        _paint(frame, left, top, mask, value=True)
    return Mask(frame, left, top, masks[0].image_size)


def stack_dense(masks: Sequence[Mask], image_size: tuple[int, int]) -> BoolArray:
    """(n, H, W) bool of the whole photo's size: n * H * W bytes."""
    width, height = image_size
    stack = np.zeros((len(masks), height, width), bool)
    for plane, mask in zip(stack, masks, strict=True):
        plane[mask.slices] = mask.crop
    return stack


def _paint(frame: BoolArray, left: int, top: int, mask: Mask, *, value: bool) -> None:
    """Set the pixels of the mask in a frame that begins at (left, top); what lies outside the frame is left out."""
    rows, columns = mask.slices
    y1, y2 = max(rows.start, top), min(rows.stop, top + frame.shape[0])
    x1, x2 = max(columns.start, left), min(columns.stop, left + frame.shape[1])
    if y1 >= y2 or x1 >= x2:
        return
    crop = mask.crop[y1 - mask.top : y2 - mask.top, x1 - mask.left : x2 - mask.left]
    frame[y1 - top : y2 - top, x1 - left : x2 - left][crop] = value


def _without_specks(frame: BoolArray, min_area: int) -> BoolArray:
    """The frame without connected regions of fewer than min_area pixels."""
    import cv2

    if min_area <= 1 or not frame.size:
        return frame
    _, labels, stats, _ = cv2.connectedComponentsWithStats(frame.view(np.uint8), connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area
    keep[0] = False
    return np.asarray(keep[labels], bool)


def _without_holes(frame: BoolArray, min_area: int) -> BoolArray:
    """The frame with enclosed background regions of fewer than min_area pixels filled.

    A region that touches the frame's edge is no hole: it goes on beyond the frame or, unseen, beyond the photo.
    """
    import cv2

    if min_area <= 1 or not frame.size:
        return frame
    height, width = frame.shape
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~frame).view(np.uint8), connectivity=8)
    left, top, right, bottom = stats[:, 0], stats[:, 1], stats[:, 0] + stats[:, 2], stats[:, 1] + stats[:, 3]
    enclosed = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    fill = enclosed & (stats[:, cv2.CC_STAT_AREA] < min_area)
    fill[0] = False
    return np.asarray(frame | fill[labels], bool)


def _closed_and_opened(frame: BoolArray, radius: int) -> BoolArray:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    # Closing sees background beyond the frame, so that it never leaves the object's own box; opening sees neither, so
    # that an object at the photo's border keeps its corners there.
    padded = cv2.morphologyEx(np.pad(frame, radius).view(np.uint8), cv2.MORPH_CLOSE, disc)
    closed = np.ascontiguousarray(padded[radius:-radius, radius:-radius])
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc).astype(bool)


def _counts_to_string(runs: IntArray) -> str:
    """COCO's text for run lengths: differences to the run two before, 5 bits a character, low bits first.

    Bit 6 of a character says that more follow; the last one's bit 5 is the sign. Characters begin at "0" (code 48).
    """
    values = runs.copy()
    values[3:] -= runs[1:-2]
    rest, columns, going = values, [], np.ones(values.size, bool)
    while going.any():
        low = rest & 31
        rest = rest >> 5
        more = np.where(low & 16, rest != -1, rest != 0)
        columns.append(np.where(going, low + 48 + 32 * more, 0))
        going &= more
    characters = np.stack(columns, axis=1).astype(np.uint8).reshape(-1)
    return characters[characters > 0].tobytes().decode("ascii")


def _counts_from_string(text: str | bytes) -> IntArray:
    """The inverse of `_counts_to_string`."""
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if codes.size == 0 or (codes < 0).any() or (codes > 63).any() or codes[-1] & 32:
        raise OptionError("the RLE's counts are no COCO run lengths")
    last = np.flatnonzero((codes & 32) == 0)
    start = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(codes.size) - np.repeat(start, last - start + 1)
    if place.max() > 11:
        raise OptionError("the RLE's counts hold a run of more than 60 bits")
    values = np.add.reduceat((codes & 31) << (5 * place), start)
    negative = (codes[last] & 16) != 0
    values[negative] -= np.int64(1) << (5 * (last - start + 1)[negative])
    for parity in (1, 2):
        chain = values[parity::2]
        np.cumsum(chain, out=chain)
    return values
