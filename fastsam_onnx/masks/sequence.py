"""The masks of a photo's objects, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastsam_onnx import elsewhere, options
from fastsam_onnx.arrays import BoolArray, ByteArray, FloatArray, IntArray, array_of, ceil_div
from fastsam_onnx.errors import ObjectIndexError, OptionError
from fastsam_onnx.masks.mask import Mask, union
from fastsam_onnx.masks.mask_like import MaskLike
from fastsam_onnx.masks.rle import LARGEST_SIDE

OneIndex = int | np.integer[Any]


@elsewhere.telling(elsewhere.MASKS)
class Masks(Sequence[Mask]):
    """The masks of a photo's objects. Each is rendered when asked for, and again when asked again: nothing is kept.

    Attributes:
        lazy: The masks as they are held, most of them not rendered yet.
        image_size: (width, height) of the photo in pixels.
    """

    def __init__(self, lazy: Iterable[MaskLike], image_size: tuple[int, int]) -> None:
        """OptionError if something is no mask, or a mask is of a photo of another size."""
        try:
            self.lazy: tuple[MaskLike, ...] = tuple(lazy)
        except TypeError as error:
            raise OptionError(f"Masks must be of a list of masks, got {options.shown(lazy)}") from error
        self.image_size = options.pair("image_size", image_size, maximum=LARGEST_SIDE)
        for one in self.lazy:
            if not hasattr(one, "render"):
                raise OptionError(f"Masks must be of Mask objects (see Mask.from_dense), got {options.shown(one)}")
            if isinstance(one, Mask) and one.image_size != self.image_size:
                raise OptionError(f"masks and photo of different sizes: {one.image_size} and {self.image_size}")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for value in state.values():  # what was measured is read-only again after pickling
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __len__(self) -> int:
        return len(self.lazy)

    @overload
    def __getitem__(self, index: OneIndex) -> Mask: ...

    @overload
    def __getitem__(self, index: slice) -> Masks: ...

    def __getitem__(self, index: OneIndex | slice) -> Mask | Masks:
        try:
            if isinstance(index, bool | np.bool_):
                raise TypeError("a bool is not an index")
            chosen = self.lazy[index]
        except IndexError:
            raise ObjectIndexError(
                f"index {options.shown(index)} is out of range: there are {len(self)} masks"
            ) from None
        except (TypeError, ValueError) as error:
            raise ObjectIndexError(
                f"an index of masks must be an integer or a slice, got {options.shown(index)}; "
                "masks.take() takes a bool mask or integers"
            ) from error
        return Masks(chosen, self.image_size) if isinstance(chosen, tuple) else chosen.render()

    def __iter__(self) -> Iterator[Mask]:
        return (mask.render() for mask in self.lazy)

    def __repr__(self) -> str:
        width, height = self.image_size
        return f"Masks({len(self)} in {width}x{height})"

    def take(self, index: Sequence[int] | Sequence[bool] | npt.NDArray[Any]) -> Masks:
        """The masks with these indices, in this order, or those of a bool mask of length n.

        Raises:
            ObjectIndexError: If an index is outside -n .. n - 1, or a bool mask has another length.
        """
        return Masks((self.lazy[row] for row in rows_of(index, len(self)).tolist()), self.image_size)

    @overload
    def dense(self, *, packed: Literal[False] = False) -> BoolArray: ...

    @overload
    def dense(self, *, packed: Literal[True]) -> ByteArray: ...

    def dense(self, *, packed: bool = False) -> BoolArray | ByteArray:
        """All masks as one array of the photo's size; `Mask.dense()` makes one at a time.

        Args:
            packed: True for eight pixels in a byte, an eighth of the memory, and quicker by that:
                `np.unpackbits(packed, axis=2, count=W).view(bool)` are all masks, `packed[3]` is one.

        Returns:
            (n, H, W) bool, n photos' worth of memory; packed (n, H, ceil(W / 8)) uint8, as `np.packbits` makes it: the
            first pixel is the highest bit, and what is beyond the last one is 0.

        Raises:
            OptionError: If `packed` is neither True nor False.
        """
        if options.boolean("packed", packed):
            return _stack_packed(self, self.image_size)
        return _stack_dense(self, self.image_size)

    def union(self) -> Mask:
        """The pixels of any mask; empty if there is none."""
        return union(self) if len(self) else Mask.empty(self.image_size)

    @cached_property
    def areas(self) -> IntArray:
        """(n,) int64 pixels of each mask. The first time all masks are rendered, one after another."""
        areas = np.array([mask.area for mask in self.lazy], np.int64)
        areas.flags.writeable = False
        return areas

    @cached_property
    def boxes(self) -> FloatArray:
        """(n, 4) float32 x1, y1, x2, y2: the masks' own bounding boxes, from their pixels."""
        boxes = np.array([mask.box for mask in self.lazy], np.float32).reshape(-1, 4)
        boxes.flags.writeable = False
        return boxes

    @cached_property
    def bounds(self) -> IntArray:
        """(n, 4) int64 x1, y1, x2, y2: rectangles that hold the masks, known without rendering them."""
        bounds = np.array([mask.bounds for mask in self.lazy], np.int64).reshape(-1, 4)
        bounds.flags.writeable = False
        return bounds


def rows_of(index: Any, count: int) -> IntArray:
    """The rows of objects that an index list or a bool mask chooses.

    Args:
        index: (k,) integers, or (count,) bool.
        count: Number of objects.

    Raises:
        ObjectIndexError: If it is something else, or one is outside -count .. count - 1.
    """
    try:
        chosen = array_of(index)
    except ValueError as error:
        raise ObjectIndexError(f"indices must be a flat list, got {options.shown(index)} ({error})") from error
    if not chosen.size and chosen.dtype != np.bool_:
        chosen = chosen.astype(np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iub":
        raise ObjectIndexError(
            f"an index must be an integer, a slice, a bool mask or integers, got {options.shown(index)}"
        )
    if chosen.dtype == np.bool_:
        if chosen.size != count:
            raise ObjectIndexError(f"a bool mask must have one entry per object, {count}, got {chosen.size}")
        return np.flatnonzero(chosen)
    for wrong in chosen[(chosen < -count) | (chosen >= count)].tolist():
        raise ObjectIndexError(f"index {wrong} is out of range: the result has {count} objects")
    return chosen.astype(np.int64)


def _stack_dense(masks: Sequence[Mask], image_size: tuple[int, int]) -> BoolArray:
    """(n, H, W) bool of the whole photo's size: n * H * W bytes."""
    width, height = image_size
    stack = np.zeros((len(masks), height, width), bool)
    for plane, mask in zip(stack, masks, strict=True):
        plane[mask.slices] = mask.crop
    return stack


def _stack_packed(masks: Sequence[Mask], image_size: tuple[int, int]) -> ByteArray:
    """(n, H, ceil(W / 8)) uint8: `np.packbits(dense, axis=2)` of a `_stack_dense` that is never made."""
    width, height = image_size
    stack = np.zeros((len(masks), height, ceil_div(width, 8)), np.uint8)
    for plane, mask in zip(stack, masks, strict=True):
        rows, columns = mask.slices
        first, rest = divmod(columns.start, 8)
        crop = np.pad(mask.crop, ((0, 0), (rest, 0))) if rest else mask.crop  # so that bytes of both begin together
        plane[rows, first : first + ceil_div(crop.shape[1], 8)] = np.packbits(crop, axis=1)
    return stack
