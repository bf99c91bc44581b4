"""The objects of one photo as data: a box, a score and a mask each.

Drawing and writing objects needs no more than this, so masks of any origin will do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray, FloatArray, IntArray, array_of
from fastsam_onnx.errors import ObjectIndexError, OptionError
from fastsam_onnx.log import warn
from fastsam_onnx.masks.classes import class_indices, class_name, joined_classes
from fastsam_onnx.masks.disjoint import without_overlaps
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.nesting import parents_of
from fastsam_onnx.masks.rle import LARGEST_SIDE
from fastsam_onnx.masks.sequence import Masks, OneIndex, rows_of
from fastsam_onnx.masks.smoothing import check_smoothing

if TYPE_CHECKING:
    from fastsam_onnx.images.geotiff import Georeference
    from fastsam_onnx.masks.candidates import Candidates

Known = TypeVar("Known", bound=npt.NDArray[Any])
Index = slice | Sequence[int] | Sequence[bool] | npt.NDArray[Any]
"""A choice of several objects."""
COLUMNS = ("boxes", "scores", "prompt_index", "similarity", "labels", "track_ids")
"""What there is for each object, beside its mask."""
NEEDED = ("boxes", "scores")
"""What is never None of these."""
ARRAYS = (*COLUMNS, "image")
MOST_COORDINATE = float(np.finfo(np.float32).max)
"""Beyond, boxes would be infinite."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Instances:
    """The objects of one photo, best first. Arrays are read-only: change copies.

    Attributes:
        boxes: (n, 4) float32 x1, y1, x2, y2 in image pixels, from the network, or around masks that grew beyond
            theirs; the masks lie inside them, to the pixels that their sides cut.
        scores: (n,) float32, 0 to 1; of answers to prompts those of the candidates that they were drawn from.
        masks: A sequence of n `Mask`, rendered when asked for; `masks.dense()` is (n, H, W) bool.
        prompt_index: (n,) int64 index of the prompt that each object answers; None where there was no prompt.
        similarity: (n,) float32 cosine with the text that each object answers; None where there was no text.
        labels: (n,) int64 index of each object's class; None where the network does not tell classes apart.
        names: Name of each class by index, from the network's file; None where there are no classes.
        track_ids: (n,) int64 number that each object has in every frame of a video, from 1; None where objects were not
            tracked.
        image: (H, W, 3) uint8 RGB, the upright photo.
        source: File name of the photo, if it had one.
        georeference: Place of a GeoTIFF on a map; None for other photos.
        candidates: Everything that the network offered, where prompts look; None in a selection, in results of tiles
            and of tracking, and in those made of masks or JSON.
    """

    boxes: FloatArray
    scores: FloatArray
    masks: Masks = field(repr=False)
    prompt_index: IntArray | None = None
    similarity: FloatArray | None = None
    labels: IntArray | None = None
    names: Mapping[int, str] | None = field(default=None, repr=False)
    track_ids: IntArray | None = None
    image: ByteArray | None = field(default=None, repr=False)
    source: str | None = None
    georeference: Georeference | None = field(default=None, repr=False)
    candidates: Candidates | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """OptionError if there is not one of everything for each mask; `from_masks` checks the values, too."""
        if not isinstance(self.masks, Masks):
            raise OptionError(
                f"masks must be Masks(list_of_masks, image_size), got {type(self.masks).__name__}; "
                f"{type(self).__name__}.from_masks takes a list"
            )
        n = len(self.masks)
        for name in COLUMNS:
            values, shape = getattr(self, name), (n, 4) if name == "boxes" else (n,)
            if values is None and name not in NEEDED:
                continue
            given = values.shape if isinstance(values, np.ndarray) else options.shown(values)
            if given != shape:
                raise OptionError(f"{n} masks need {name} of shape {shape}, an array, got {given}")
        if self.image is not None:
            _photo(self.image, self.image_size)
        for name in ARRAYS:
            values = getattr(self, name)
            if isinstance(values, np.ndarray) and values.flags.writeable:  # the caller's own stays so
                view = values.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ARRAYS:  # read-only again after pickling, and the arrays that others in the pickle know
            if isinstance(self.__dict__[name], np.ndarray):
                self.__dict__[name].flags.writeable = False

    @classmethod
    def from_masks(
        cls,
        masks: Sequence[Mask],
        scores: npt.ArrayLike | None = None,
        boxes: npt.ArrayLike | None = None,
        *,
        image_size: tuple[int, int] | None = None,
        image: ByteArray | None = None,
        source: str | None = None,
        prompt_index: npt.ArrayLike | None = None,
        labels: npt.ArrayLike | None = None,
        names: Mapping[int, str] | None = None,
    ) -> Self:
        """Objects from masks that exist already.

        Args:
            masks: At least one, or the photo or its size is needed.
            scores: (n,), 1 by default.
            boxes: (n, 4), the masks' own by default.
            image_size: (width, height).
            image: (H, W, 3) uint8 RGB, the photo; kept, not copied.
            source: File name of the photo.
            prompt_index: (n,) integers of at least 0.
            labels: (n,) index of each object's class.
            names: Name of each class by index; for labels alone.

        Raises:
            OptionError: If the masks are of different photos, or of one without pixels, there are not as many scores,
                boxes, indices or labels, one of them is outside its range (scores: 0 to 1), or the photo has another
                size.
        """
        image_size = cls._photo_size(masks, image_size, image)
        n = len(masks)
        own = np.array([mask.box for mask in masks]).reshape(n, 4)
        checked = {
            "boxes": own if boxes is None else options.numbers("boxes", boxes),
            "scores": np.ones(n) if scores is None else options.numbers("scores", scores),
            "prompt_index": np.zeros(n) if prompt_index is None else options.numbers("prompt_index", prompt_index),
            "labels": np.zeros(n) if labels is None else options.numbers("labels", labels),
        }
        for name, values in checked.items():
            shape = (n, 4) if name == "boxes" else (n,)
            if values.shape != shape and (values.size or n):
                raise OptionError(f"{n} masks need {name} of shape {shape}, got {values.shape}")
        sizes = {mask.image_size for mask in masks} | {image_size}
        if len(sizes) > 1:
            raise OptionError(f"masks and photo of different sizes: {sorted(sizes)}")
        _check_values(**checked)
        if source is not None:
            source = options.text("source", os.fspath(source) if isinstance(source, os.PathLike) else source)
        return cls(
            boxes=checked["boxes"].astype(np.float32).reshape(n, 4),
            scores=checked["scores"].astype(np.float32),
            masks=Masks(masks, image_size),
            prompt_index=None if prompt_index is None else checked["prompt_index"].astype(np.int64),
            labels=None if labels is None else checked["labels"].astype(np.int64),
            names=None if labels is None else _checked_names({} if names is None else names),
            image=None if image is None else check_photo(image, image_size),
            source=source,
        )

    @classmethod
    def _photo_size(
        cls, masks: Sequence[Mask], image_size: tuple[int, int] | None, image: ByteArray | None
    ) -> tuple[int, int]:
        """The size that is given, else the first mask's, else the photo's; OptionError if they are no masks of one."""
        wrong = [masks] if not isinstance(masks, Sequence) else [mask for mask in masks if not isinstance(mask, Mask)]
        if wrong:
            hint = "found.masks" if isinstance(masks, Instances) else "[Mask.from_dense(one) for one in masks]"
            raise OptionError(f"masks must be a list of Mask, such as {hint}, got {type(wrong[0]).__name__}")
        if image_size is None:
            if not len(masks) and image is None:
                raise OptionError(f"a {cls.__name__} of no masks needs image=photo or image_size=(width, height)")
            image_size = masks[0].image_size if len(masks) else _size_of(image)
        size = options.pair("image_size", image_size, maximum=LARGEST_SIDE)
        if 0 in size:
            raise OptionError(f"a {cls.__name__} must be of a photo with pixels, got image_size {size}")
        return size

    @classmethod
    def concatenate(cls, parts: Iterable[Self]) -> Self:
        """The objects of several results of one photo, one after another.

        What only some of them know of their objects (prompts, similarities, classes, tracks) is left out; a warning is
        logged where these are classes. Classes of the same name are one class, and others stay apart, so that an index
        that means something else in an earlier result becomes another one. What is known of the photo is that of the
        first one that knows it.

        Raises:
            OptionError: If there is none, or they are of different photos, by their sizes, their `source`, `image` or
                `georeference`.
        """
        parts = list(parts) if isinstance(parts, Iterable) and not isinstance(parts, np.ndarray) else []
        if not parts or not all(isinstance(part, cls) for part in parts):
            raise OptionError(f"give a list of at least one {cls.__name__}, and nothing else, to concatenate")
        sizes = {part.image_size for part in parts}
        if len(sizes) > 1:
            raise OptionError(f"{cls.__name__}s of photos of different sizes: {sorted(sizes)}")
        _check_one_photo(parts)
        telling = [part for part in parts if len(part)] or parts  # of no objects nothing is unknown
        labels, names = _all_classes(telling)
        known = {each.name: _first_known(parts, each.name) for each in fields(parts[0])}
        columns: dict[str, Any] = {
            "boxes": np.concatenate([part.boxes for part in parts]),
            "scores": np.concatenate([part.scores for part in parts]),
            "masks": Masks((mask for part in parts for mask in part.masks.lazy), parts[0].image_size),
            "prompt_index": _all_known([part.prompt_index for part in telling]),
            "similarity": _all_known([part.similarity for part in telling]),
            "labels": labels,
            "track_ids": _all_known([part.track_ids for part in telling]),
            "names": names,
        }
        return replace(parts[0], **known | columns | {"candidates": None})

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[Instance]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        width, height = self.image_size
        objects = "1 object" if len(self) == 1 else f"{len(self)} objects"
        answers = "" if self.prompt_index is None else ", answers of prompts"
        name = f" of {self.source}" if self.source else ""
        return f"{type(self).__name__}({objects} in {width}x{height}{name}{self._quality()}{answers})"

    def _quality(self) -> str:
        """How good the objects are, in words: of answers what counts for them, where it is known."""
        if not len(self):
            return ""
        words, values = "scores" if len(self) > 1 else "score", self.scores
        if self.similarity is not None:
            words, values = "similarity", self.similarity
        elif self.prompt_index is not None and not np.isnan(self.predicted_iou).any():
            words, values = "predicted IoU", self.predicted_iou
        best, worst = f"{values.max():.2f}", f"{values.min():.2f}"
        return f", {words} {best}" if len(self) == 1 else f", {words} {best} to {worst}"

    @overload
    def __getitem__(self, index: OneIndex) -> Instance: ...

    @overload
    def __getitem__(self, index: Index) -> Self: ...

    def __getitem__(self, index: OneIndex | Index) -> Instance | Self:
        """`found[3]` is an Instance; a slice, index list or bool mask of length n gives those objects.

        Raises:
            ObjectIndexError: If an index is outside -n .. n - 1, or a bool mask has another length; it is an
                IndexError.
        """
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            rows_of(np.array([index]), len(self))
            label = None if self.labels is None else int(self.labels[index])
            return Instance(
                mask=self.masks[int(index)],
                box=self.boxes[index].copy(),
                score=float(self.scores[index]),
                prompt_index=None if self.prompt_index is None else int(self.prompt_index[index]),
                similarity=None if self.similarity is None else float(self.similarity[index]),
                label=label,
                name=None if label is None else class_name(label, self.names or {}),
                track_id=None if self.track_ids is None else int(self.track_ids[index]),
            )
        if not isinstance(index, slice):
            return self.take(rows_of(index, len(self)))
        try:
            return self.take(np.arange(len(self))[index])
        except (TypeError, ValueError) as error:
            raise ObjectIndexError(
                f"the ends of a slice must be integers, its step not 0, got {options.shown(index)}"
            ) from error

    def take(self, index: Sequence[int] | Sequence[bool] | npt.NDArray[Any]) -> Self:
        """The objects with these indices, in this order, or those of a bool mask of length n.

        Raises:
            ObjectIndexError: As in `found[index]`.
        """
        rows = rows_of(index, len(self))
        columns = {name: getattr(self, name) for name in COLUMNS}
        taken = {name: values[rows] for name, values in columns.items() if values is not None}
        return replace(self, masks=self.masks.take(rows), candidates=None, **taken)

    def of_class(self, *names: str | int) -> Self:
        """The objects of these classes, best first.

        Args:
            names: Names as in `names`, or indices; also those of classes without a name that objects have.

        Raises:
            OptionError: If the network does not tell classes apart, or one is not known.
        """
        if self.labels is None:
            return self.take(np.array(class_indices(names, None), np.int64))
        known = dict(self.names or {})
        if known:
            known |= {label: class_name(label, known) for label in np.unique(self.labels).tolist()}
        return self.take(np.flatnonzero(np.isin(self.labels, class_indices(names, known))))

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the photo in pixels."""
        return self.masks.image_size

    @property
    def areas(self) -> IntArray:
        """(n,) int64 pixels of each mask. The first time all masks are rendered, one after another."""
        return self.masks.areas

    @property
    def predicted_iou(self) -> FloatArray:
        """(n,) float32, 0 to 1: IoU of each mask with the thing that it shows, as the decoder expects; NaN of others.

        The bundled models' decoder tells it of all that it draws: answers to prompts, and objects with `redraw`. It
        tells how good an outline is, not whether this is the thing that a point meant: of a click several may be.
        Segment Anything's `predicted_iou` and `iou_predictions`.
        """
        return np.array([mask.predicted_iou for mask in self.masks.lazy], np.float32)

    @property
    def mask_boxes(self) -> FloatArray:
        """(n, 4) float32 x1, y1, x2, y2: the masks' own bounding boxes, from their pixels."""
        return self.masks.boxes

    def parents(self, share: float = 0.9) -> IntArray:
        """The object that each lies in: a nose in a head, a head in a person.

        It is the smallest of those that are larger and hold `share` of its pixels. Of equally large ones that hold each
        other the earlier lies in the later, so that nothing lies in itself, nor in what lies in it.

        Args:
            share: Share of an object's pixels that another one must have for it to lie in that, 0.5 to 1.

        Returns:
            (n,) int64 indices of these objects; -1 for what lies in none, so that `found[found.parents() == 3]` are
            the parts of object 3. It is a matter of pixels alone: a cup that lies on a tray before it lies in it, if
            the tray's mask has these pixels, too.

        Raises:
            OptionError: If `share` is outside its range.
        """
        return parents_of(self.masks, options.number("share", share, 0.5, 1))

    def without_parts(self, share: float = 0.9) -> Self:
        """The objects that lie in no larger one, see `parents`: a face without its nose, a coat without its buttons.

        Raises:
            OptionError: If `share` is outside its range.
        """
        return self[self.parents(share) < 0]

    def union(self) -> Mask:
        """The pixels of any object; empty if there is none."""
        return self.masks.union()

    def smooth(self, min_area: int = 64, radius: int = 1) -> Self:
        """The same objects without small islands and holes and with smoother outlines.

        Objects that lose all their pixels are dropped.

        Args:
            min_area: Islands and holes of fewer pixels go; 0 keeps all.
            radius: Radius in pixels of the disc that outlines are closed and opened with; 0 leaves them as they are.

        Raises:
            OptionError: If one of the two is outside its range.
        """
        check_smoothing(min_area, radius)
        return self._with([mask.smooth(min_area, radius) for mask in self.masks])

    def disjoint(self, min_area: int = 64) -> Self:
        """The same objects with each pixel in one at most: in the smallest that has it, as in a label map.

        Boxes are those of what is left. Objects that lose all their pixels to others, such as their own parts, are
        dropped.

        Args:
            min_area: What smaller objects leave of a larger one in islands of fewer pixels goes; 0 keeps all.

        Raises:
            OptionError: If it is not an integer of at least 0.
        """
        left = self._with(without_overlaps(self.masks, options.integer("min_area", min_area, 0)))
        return replace(left, boxes=left.mask_boxes)

    def _with(self, masks: Sequence[Mask]) -> Self:
        """The objects with other masks, less those that have no pixels."""
        changed = replace(self, masks=Masks(masks, self.image_size))
        return changed.take(changed.areas > 0)


def _all_known(values: Sequence[Known | None]) -> Known | None:
    """The arrays one after another, if none of them is missing."""
    known = [value for value in values if value is not None]
    return cast(Known, np.concatenate(known)) if len(known) == len(values) else None


def _first_known(parts: Sequence[Instances], name: str) -> Any:
    """The first value that is not None."""
    return next((value for part in parts if (value := getattr(part, name)) is not None), None)


def _check_one_photo(parts: Sequence[Instances]) -> None:
    """OptionError if what some of them know of their photo differs."""
    for name in ("source", "georeference"):
        known = {getattr(part, name) for part in parts} - {None}
        if len(known) > 1:
            raise OptionError(f"{type(parts[0]).__name__}s of different photos: {sorted(map(str, known))}")
    images = [part.image for part in parts if part.image is not None]
    for image in images:
        if image is not images[0] and not np.array_equal(image, images[0]):
            raise OptionError(f"{type(parts[0]).__name__}s of different photos: their images differ")


def _all_classes(parts: Sequence[Instances]) -> tuple[IntArray | None, Mapping[int, str] | None]:
    """The classes of all objects and their names; None if one result has none."""
    labels = [part.labels for part in parts if part.labels is not None]
    if len(labels) == len(parts):
        return joined_classes([part.names or {} for part in parts], labels)
    if labels:
        warn("classes are left out: only %d of %d results have any", len(labels), len(parts))
    return None, None


def check_found(found: object) -> None:
    """OptionError if it is not the objects of one photo."""
    if not isinstance(found, Instances):
        raise OptionError(f"found must be the objects of one photo, such as model(photo), got {options.shown(found)}")


def _size_of(image: npt.ArrayLike | None) -> tuple[int, int]:
    """(width, height) of a photo; (0, 0), which no photo has, of what is none."""
    return image.shape[1::-1] if isinstance(image, np.ndarray) and image.ndim == 3 else (0, 0)


def check_photo(image: npt.ArrayLike, image_size: tuple[int, int]) -> ByteArray:
    """The photo of (width, height) as a contiguous (H, W, 3) uint8 array; OptionError if it is not one."""
    return np.ascontiguousarray(_photo(image, image_size))


def _photo(image: npt.ArrayLike, image_size: tuple[int, int]) -> ByteArray:
    """As `check_photo`, wherever its pixels lie in memory."""
    try:
        photo = array_of(image)
    except ValueError as error:
        raise OptionError(f"image must be an (H, W, 3) uint8 RGB array, the photo ({error})") from error
    width, height = image_size
    if photo.shape != (height, width, 3) or photo.dtype != np.uint8:
        raise OptionError(
            f"image must be the photo, ({height}, {width}, 3) uint8 RGB, got {photo.dtype} of shape {photo.shape}"
        )
    return photo


def _check_values(
    boxes: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], **indices: npt.NDArray[np.float64]
) -> None:
    """OptionError if boxes are turned or beyond float32, scores outside 0 to 1, indices not integers of at least 0."""
    boxes = boxes.reshape(-1, 4)
    if (np.abs(boxes) > MOST_COORDINATE).any():
        raise OptionError(f"boxes must be in image pixels, at most {MOST_COORDINATE:g}, got {np.abs(boxes).max():g}")
    if (boxes[:, :2] > boxes[:, 2:]).any():
        raise OptionError("boxes must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")
    if ((scores < 0) | (scores > 1)).any():
        raise OptionError(f"scores must be from 0 to 1, got {scores.min():g} to {scores.max():g}")
    for name, values in indices.items():
        wrong = (values % 1 != 0) | (values < 0) | (values > options.MOST_INDEX)
        if wrong.any():
            raise OptionError(f"{name} must be integers of at least 0, got {values[wrong][0]:g}")


def _checked_names(names: Mapping[int, str]) -> dict[int, str]:
    """A copy of the names of classes; OptionError if it is not names by index."""
    if not isinstance(names, Mapping):
        raise OptionError(f"names must be a dict from the index of a class to its name, got {type(names).__name__}")
    return {
        options.integer("an index in names", index, 0, options.MOST_INDEX): options.text("a name", name)
        for index, name in names.items()
    }
