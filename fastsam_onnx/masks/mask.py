"""One object's mask: a crop and where it lies in the photo.

Everything here costs the size of the crop, not of the photo. Coordinates are continuous image pixels: pixel (0, 0)
covers [0, 1) x [0, 1).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import elsewhere
from fastsam_onnx.arrays import BoolArray, FloatArray, IntArray, array_of, zeros_and_ones
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.filled import filled, rings_of
from fastsam_onnx.masks.polygon import Polygon
from fastsam_onnx.masks.preview import png_preview
from fastsam_onnx.masks.rle import LARGEST_SIDE, RLE, decode_crop, encode_crop, pack_counts, read_rle
from fastsam_onnx.masks.smoothing import MAX_RADIUS, check_smoothing, closed_and_opened, without_holes, without_specks
from fastsam_onnx.options import DEFAULT_PIXEL_LIMIT, fraction, integer, number, pair, shown

FAR = 2**31
"""Outside of every photo."""


@elsewhere.telling(elsewhere.MASK)
@dataclass(frozen=True, eq=False)
class Mask:
    """The pixels of one object. Masks are equal if they have the same pixels in photos of one size.

    Attributes:
        crop: (h, w) bool, read-only: the part of the photo that can hold pixels of the object. An array that is given
            is kept, not copied, as far as it lies row by row: do not fill it with the next mask.
        left: The column of the photo where the crop begins.
        top: The row of the photo where the crop begins.
        image_size: (width, height) of the photo in pixels, each 2^24 at most.
        predicted_iou: IoU with the thing that it shows that the decoder expects which drew it, 0 to 1; None of every
            other mask, and of what was made from this one.

    Raises:
        OptionError: If the crop is no (h, w) bool array or outside the photo, or another one outside its range.
    """

    crop: BoolArray
    left: int
    top: int
    image_size: tuple[int, int]
    predicted_iou: float | None = None

    def __post_init__(self) -> None:
        width, height = pair("image_size", self.image_size, maximum=LARGEST_SIDE)
        left, top = integer("left", self.left, -FAR, FAR), integer("top", self.top, -FAR, FAR)
        crop = self.crop
        if not isinstance(crop, np.ndarray) or crop.ndim != 2 or crop.dtype != np.bool_:
            found = f"{crop.dtype} of shape {crop.shape}" if isinstance(crop, np.ndarray) else type(crop).__name__
            raise OptionError(f"a mask's crop must be an (h, w) bool array, got {found}")
        bottom, right = top + crop.shape[0], left + crop.shape[1]
        if left < 0 or top < 0 or right > width or bottom > height:
            raise OptionError(
                f"the crop x {left}..{right}, y {top}..{bottom} reaches outside the {width}x{height} photo"
            )
        view = np.ascontiguousarray(zeros_and_ones(crop)).view()
        view.flags.writeable = False
        for name, value in (("crop", view), ("left", left), ("top", top), ("image_size", (width, height))):
            object.__setattr__(self, name, value)
        if self.predicted_iou is not None:
            object.__setattr__(self, "predicted_iou", fraction("predicted_iou", self.predicted_iou))

    @classmethod
    def from_dense(cls, dense: npt.ArrayLike) -> Mask:
        """Make a mask from a whole picture, cropped to the pixels that are set.

        Args:
            dense: (H, W) bool or numbers of two values: 0, and another one where the object is (of floats 1 or 255).

        Raises:
            OptionError: If it has another shape, or holds something else, such as probabilities or several objects.
        """
        try:
            given = array_of(dense)
        except ValueError as error:
            raise OptionError(f"a dense mask must be an array of shape (H, W) ({error})") from error
        if given.ndim != 2 or given.dtype.kind not in "biuf":
            raise OptionError(
                f"a dense mask must be bool or numbers of shape (H, W), got {given.dtype} of shape {given.shape}"
            )
        _check_two_values(given)
        full = np.array(given, bool)  # a copy: the caller's array may change later
        return cls(full, 0, 0, (full.shape[1], full.shape[0])).tight()

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any], *, pixel_limit: int | None = DEFAULT_PIXEL_LIMIT) -> Mask:
        """Read COCO's RLE.

        Args:
            rle: {"size": [height, width], "counts"}: compressed as `rle` gives it, a text or bytes, or a list of run
                lengths as COCO's crowds have it.
            pixel_limit: Maximum of the pixels in the columns that the object spans, which are made; None for no limit.

        Raises:
            OptionError: If it is something else, its runs do not cover its size, or the object spans more pixels.
        """
        runs, size = read_rle(rle)
        crop, left = decode_crop(runs, size[1], None if pixel_limit is None else integer("pixel_limit", pixel_limit))
        return cls(crop, left, 0, size).tight()

    @classmethod
    def from_polygons(
        cls,
        polygons: Sequence[Any],
        image_size: tuple[int, int],
        *,
        pixel_limit: int | None = DEFAULT_PIXEL_LIMIT,
    ) -> Mask:
        """Fill outlines: the pixels whose middles lie in one of the polygons; what `polygons` gave is the same mask.

        Args:
            polygons: Outlines, each (k, 2) x, y in image pixels or flat, x, y, x, y, as COCO has them; or `Polygon`
                with holes, also as {"exterior", "holes"}. What an outline goes around twice is outside of it.
                A warning is logged where all lie between 0 and 1, as shares of the photo do (YOLO's outlines).
            image_size: (width, height) of the photo; what lies outside is left out, with a warning where all would lie
                in (height, width).
            pixel_limit: Maximum of the pixels in the rectangle around all; None for no limit.

        Raises:
            OptionError: If they are something else, or span more pixels.
        """
        if not isinstance(polygons, Sequence) or isinstance(polygons, str | bytes):
            raise OptionError(f"polygons must be a list of outlines, also of a single one, got {shown(polygons)}")
        size = pair("image_size", image_size, maximum=LARGEST_SIDE)
        limit = None if pixel_limit is None else integer("pixel_limit", pixel_limit)
        return cls(*filled([rings_of(each) for each in polygons], size, limit), size).tight()

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Mask:
        """A mask without pixels; OptionError unless the size is two integers from 0 to 2^24."""
        return cls(np.zeros((0, 0), bool), 0, 0, image_size)

    def __reduce__(self) -> tuple[type[Mask], tuple[BoolArray, int, int, tuple[int, int], float | None]]:
        # read-only again after pickling
        return Mask, (self.crop, self.left, self.top, self.image_size, self.predicted_iou)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """`np.asarray(mask)` is `mask.dense()`, (H, W) bool."""
        if copy is False:
            raise OptionError("a mask is held as a crop: its array is always a copy, so copy=False cannot be met")
        dense = self.dense()
        return dense if dtype is None else dense.astype(dtype, copy=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        one, two = self.tight(), other.tight()
        return (one.image_size, one.bounds) == (two.image_size, two.bounds) and np.array_equal(one.crop, two.crop)

    def __hash__(self) -> int:
        return hash((self.image_size, self.area))

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

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of the crop, which holds all the pixels."""
        height, width = self.crop.shape
        return self.left, self.top, self.left + width, self.top + height

    @property
    def rotated_box(self) -> FloatArray:
        """(4, 2) float32 x, y: the corners of the smallest rectangle, at any angle, that holds all pixels.

        Clockwise on the screen from the uppermost corner, of two of them the left one; zeros for a mask without pixels.
        """
        from fastsam_onnx.masks.rotated import smallest_rectangle

        if not self.area:
            return np.zeros((4, 2), np.float32)
        return smallest_rectangle(self.crop) + np.array([self.left, self.top], np.float32)

    @property
    def inner_point(self) -> tuple[float, float] | None:
        """(x, y) of the middle of the pixel with most steps to the background; None without pixels."""
        import cv2

        if not self.area:
            return None
        # Whole steps and the first maximum: the same pixel with every build of OpenCV.
        depth = cv2.distanceTransform(np.pad(self.crop.view(np.uint8), 1), cv2.DIST_L1, 3)
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
        return self.left + float(column) - 0.5, self.top + float(row) - 0.5

    def render(self) -> Mask:
        """Itself: a mask that is made already answers like one that is still to be made."""
        return self

    def tight(self) -> Mask:
        """The same pixels in the smallest crop."""
        x1, y1, x2, y2 = (int(edge) for edge in self.box)
        if x1 == x2:
            return Mask.empty(self.image_size)
        crop = self.crop[y1 - self.top : y2 - self.top, x1 - self.left : x2 - self.left]
        return Mask(crop, x1, y1, self.image_size, self.predicted_iou)

    def contains(self, x: float, y: float) -> bool:
        """True if the pixel that holds (x, y) is set; outside the photo none is. OptionError unless both are finite."""
        column, row = math.floor(number("x", x)) - self.left, math.floor(number("y", y)) - self.top
        height, width = self.crop.shape
        return 0 <= row < height and 0 <= column < width and bool(self.crop[row, column])

    def sample(self, columns: IntArray, rows: IntArray) -> BoolArray:
        """(len(rows), len(columns)) bool: the pixels where these rows and columns of the photo, ascending, cross."""
        picked = np.zeros((rows.size, columns.size), bool)
        height, width = self.crop.shape
        left, right = np.searchsorted(columns, (self.left, self.left + width))
        top, bottom = np.searchsorted(rows, (self.top, self.top + height))
        inside = np.ix_(rows[top:bottom] - self.top, columns[left:right] - self.left)
        picked[top:bottom, left:right] = self.crop[inside]
        return picked

    def area_inside(self, x1: int, y1: int, x2: int, y2: int) -> int:
        """The number of pixels in columns x1 .. x2 - 1 and rows y1 .. y2 - 1; OptionError unless these are integers."""
        x1, y1, x2, y2 = (integer("an edge", edge, -sys.maxsize) for edge in (x1, y1, x2, y2))
        rows = slice(max(y1 - self.top, 0), max(y2 - self.top, 0))
        columns = slice(max(x1 - self.left, 0), max(x2 - self.left, 0))
        return int(np.count_nonzero(self.crop[rows, columns]))

    def _repr_png_(self) -> bytes | None:
        """The mask in white on black, for notebooks; None of a photo without pixels."""
        if 0 in self.image_size:
            return None
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
        """The number of pixels that both masks hold.

        Raises:
            OptionError: If the masks are of photos of different sizes, or the other is no mask.
        """
        self._check_same_photo(other)
        return shared_area(self.crop, (self.left, self.top), other.crop, (other.left, other.top))

    def iou(self, other: Mask) -> float:
        """Intersection over union of the pixels, 0 to 1; 0 when both are empty.

        Raises:
            OptionError: If the masks are of photos of different sizes, or the other is no mask.
        """
        both = self.intersection_area(other)
        either = self.area + other.area - both
        return both / either if either else 0.0

    def union(self, other: Mask) -> Mask:
        """The pixels of either mask.

        Raises:
            OptionError: If the masks are of photos of different sizes, or the other is no mask.
        """
        return union([self, other])

    def difference(self, other: Mask) -> Mask:
        """The pixels of this mask that the other does not hold.

        Raises:
            OptionError: If the masks are of photos of different sizes, or the other is no mask.
        """
        self._check_same_photo(other)
        frame = self.crop.copy()
        _paint(frame, self.left, self.top, other, value=False)
        return Mask(frame, self.left, self.top, self.image_size)

    def inverse(self) -> Mask:
        """All pixels of the photo that this mask does not hold."""
        return Mask.from_dense(~self.dense())

    def moved(self, x: int, y: int) -> Mask:
        """The mask moved right and down; what leaves the photo is cut off. OptionError unless both are integers."""
        x, y = integer("x", x, -FAR), integer("y", y, -FAR)
        height, width = self.crop.shape
        left, top = self.left + x, self.top + y
        x1, y1 = min(max(left, 0), self.image_size[0]), min(max(top, 0), self.image_size[1])
        x2, y2 = max(min(left + width, self.image_size[0]), x1), max(min(top + height, self.image_size[1]), y1)
        return Mask(self.crop[y1 - top : y2 - top, x1 - left : x2 - left], x1, y1, self.image_size)

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

        Raises:
            OptionError: If one of the two is not an integer of at least 0, or the radius is above 1000.
        """
        min_area, radius = check_smoothing(min_area, radius)
        frame, left, top = self._framed(2 * radius + 1)
        frame = without_holes(without_specks(frame, min_area), min_area)
        if radius and frame.size:
            frame = closed_and_opened(frame, radius)
        return Mask(frame, left, top, self.image_size).tight()

    def grown(self, radius: int) -> Mask:
        """All pixels of the photo whose middles lie within a distance of the middle of one of its own.

        Args:
            radius: The distance in pixels; 0 leaves the mask as it is.

        Raises:
            OptionError: If it is not an integer from 0 to 1000.
        """
        import cv2

        radius = integer("radius", radius, 0, MAX_RADIUS)
        if not radius or not self.area:
            return self
        frame, left, top = self.tight()._framed(radius)
        far = cv2.distanceTransform((~frame).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return Mask(far <= radius, left, top, self.image_size)

    def polygons(self, tolerance: float = 0.0) -> list[Polygon]:
        """The outlines along the edges of the pixels, islands and holes apart.

        With tolerance 0 they enclose exactly the pixels: the area of a polygon less its holes is its number of pixels.
        Diagonal neighbours are islands of their own, so that every ring is simple.

        Args:
            tolerance: Distance in pixels by which an outline may stray to save points (Douglas and Peucker). Outlines
                stay valid: where they would cross or lose their area, they keep more points.

        Raises:
            OptionError: If the tolerance is not a number of at least 0.
        """
        from fastsam_onnx.masks.outline import trace_outlines
        from fastsam_onnx.masks.simplify import simplify_outlines

        tolerance = min(number("tolerance", tolerance, 0), FAR)  # OpenCV refuses 1e30
        offset = np.array([self.left, self.top], np.float32)
        found = []
        for exterior, holes in simplify_outlines(trace_outlines(self.crop), tolerance):
            found.append(Polygon(exterior + offset, tuple(hole + offset for hole in holes)))
        return found

    def rle(self) -> RLE:
        """COCO's compressed run-length encoding of the whole photo, as pycocotools writes it."""
        width, height = self.image_size
        return {"size": [height, width], "counts": pack_counts(self.run_lengths())}

    def run_lengths(self) -> IntArray:
        """The lengths of the runs down the columns of the whole photo, background first (COCO's uncompressed RLE)."""
        return encode_crop(self.crop, self.left, self.top, self.image_size)

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
        if not isinstance(other, Mask):
            raise OptionError(f"a mask can be compared and joined with masks alone, got {type(other).__name__}")
        if self.image_size != other.image_size:
            raise OptionError(f"masks of photos of different sizes: {self.image_size} and {other.image_size}")


def depth_map(inside: BoolArray) -> FloatArray:
    """(h, w) float32: the distance of each cell of a mask to the nearest that is not set; beyond the array none is."""
    import cv2

    framed = np.pad(inside, 1).view(np.uint8)
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1], np.float32)


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
    """The pixels of any of the masks.

    Raises:
        OptionError: If there is none, which leaves the photo's size open, or they are of photos of different sizes.
    """
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


def _paint(frame: BoolArray, left: int, top: int, mask: Mask, *, value: bool) -> None:
    """Set the pixels of the mask in a frame that begins at (left, top); what lies outside the frame is left out."""
    rows, columns = mask.slices
    y1, y2 = max(rows.start, top), min(rows.stop, top + frame.shape[0])
    x1, x2 = max(columns.start, left), min(columns.stop, left + frame.shape[1])
    if y1 >= y2 or x1 >= x2:
        return
    crop = mask.crop[y1 - mask.top : y2 - mask.top, x1 - mask.left : x2 - mask.left]
    frame[y1 - top : y2 - top, x1 - left : x2 - left][crop] = value


def _check_two_values(dense: npt.NDArray[Any]) -> None:
    """OptionError unless all that is not 0 is alike: all of a label map, or of probabilities, would be the object."""
    if dense.dtype.kind == "f" and not np.isfinite(dense).all():
        raise OptionError("a dense mask must hold finite numbers, got NaN or infinity")
    if dense.dtype.kind == "b" or not dense.size:
        return
    low, high = dense.min(), dense.max()
    one = high if high > 0 else low
    if dense.dtype.kind == "f" and one not in (0, 1, 255):
        raise OptionError(
            f"a dense mask of floats must hold 0 and 1, got values from {low:g} to {high:g}; compare them with a "
            "threshold first: probabilities > 0.5"
        )
    if not ((dense == 0) | (dense == one)).all():
        raise OptionError(
            f"a dense mask must hold 0 and one other value, got several from {low:g} to {high:g}; compare first: "
            "labels == 3 for one object of a label map, picture > 127 for soft edges, probabilities > 0.5"
        )
