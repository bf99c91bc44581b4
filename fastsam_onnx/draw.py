"""Pictures of a result: the overlay, the label map, the cut-out.

Everything is painted into one label map of the photo's size and blended once through look-up tables, so that the cost
hardly grows with the number of objects and no float image of the photo's size is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import BoolArray, ByteArray, IntArray
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.lettering import lettering
from fastsam_onnx.masks.classes import class_name
from fastsam_onnx.masks.disjoint import number_map
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.instances import Instances, check_found, check_photo
from fastsam_onnx.masks.mask import Mask

Corners = tuple[int, int, int, int]
"""x1, y1, x2, y2 of a rectangle of whole pixels, right and bottom exclusive."""
Place = tuple[slice, slice]
"""Rows and columns of a photo."""
LabelMap = npt.NDArray[np.uint16]

MAX_LABELS = 65535
MAX_SEED = 2**32 - 1
MAX_COLOURS = 2**24  # as many as 8-bit RGB has
LEAST_ALPHA = 127
"""Alpha above which a pixel of a soft cut-out is more than half the object's."""
_BAND_ROWS = 256
_GOLDEN_RATIO = 0.6180339887498949
# (saturation, value) of successive colours. Five of them, because golden-ratio hues come close again after 8, 13, 21
# and 34 steps, none of which is a multiple of five; none is so dark or so pale that it is lost on a photo.
_TONES = ((0.85, 1.0), (0.6, 1.0), (0.95, 0.66), (0.75, 0.88), (0.38, 1.0))
_FIRST_HUE = 0.56  # blue: red and green are the prompts'
_GREEN, _RED, _WHITE, _BLACK = (0, 190, 60), (225, 30, 40), (255, 255, 255), (0, 0, 0)
_BRIGHTNESS = (0.299, 0.587, 0.114)
_BRIGHT = 130  # black text is better to read on a colour above


def overlay(
    found: Instances,
    *,
    image: npt.ArrayLike | None = None,
    alpha: float = 0.5,
    contours: bool = True,
    points: npt.ArrayLike | None = None,
    point_labels: npt.ArrayLike | None = None,
    boxes: npt.ArrayLike | None = None,
    seed: int = 0,
    colours: npt.ArrayLike | None = None,
    names: bool = True,
) -> ByteArray:
    """Draw the objects over the photo, each in its own colour, the smallest on top.

    Args:
        found: The objects.
        image: (H, W, 3) uint8 RGB, the photo; by default the one that `found` carries.
        alpha: Share of the colour in what is shown, from 0 (photo only) to 1 (colour only).
        contours: True to outline the objects, in a width that grows with the photo.
        points: (2,), (k, 2) or (g, k, 2) x, y in image pixels, prompts to draw: green for foreground, on top, red for
            background.
        point_labels: One for every point: 1 for foreground, 0 for background; by default all foreground.
        boxes: (4,) or (k, 4) x1, y1, x2, y2 in image pixels, prompts to draw.
        seed: Another integer of at least 0 gives other colours; the colour of an object depends on this and its number
            or index alone.
        colours: (n,) integers of at least 0, the place of each object's colour in `palette`, so that objects of one
            class have the same; by default 0, 1, 2, ..., and for objects that were tracked their numbers less one, so
            that one object has one colour in all frames.
        names: True to write the number of each object that was tracked, and the name of its class, where its network
            tells classes apart, beside it. The best objects come first; a name without a free place at its object is
            left out.

    Returns:
        (H, W, 3) uint8 RGB, a new array.

    Raises:
        OptionError: If no photo is known, it does not fit, or alpha, seed or colours are outside their range.
        PromptError: If the points, their labels or the boxes are malformed.
    """
    photo = photo_of(found, image)
    alpha = options.fraction("alpha", alpha)
    contours = options.boolean("contours", contours)
    labels = label_map(found)
    shades = own_shades(found, seed) if colours is None else _chosen_shades(colours, len(found), seed)
    names = options.boolean("names", names)
    unit = max(photo.shape[:2]) / 1000
    picture = _blend(photo, labels, shades, alpha)
    if contours:
        _outline(picture, labels, shades, width=max(1, round(unit)))
    if names and (found.labels is not None or found.track_ids is not None):
        _write_names(picture, found, shades, height=max(8, round(16 * unit)))
    if boxes is not None:
        _draw_boxes(picture, _prompt_array("boxes", boxes, 4).reshape(-1, 4), width=max(1, round(2 * unit)))
    if points is not None:
        places = _prompt_array("points", points, 2)
        signs = _foreground(point_labels, places.shape[:-1])
        _draw_points(picture, places.reshape(-1, 2), signs, radius=max(5, round(8 * unit)))
    elif point_labels is not None:
        raise PromptError("point_labels is given without points")
    return picture


def own_shades(found: Instances, seed: int) -> ByteArray:
    """(n, 3) uint8 RGB: each object's colour by its number in a video, or else by its index."""
    colours = numbered_colours(found)
    return palette(len(found), seed) if colours is None else _shades(colours.tolist(), seed)


def numbered_colours(found: Instances) -> IntArray | None:
    """(n,) the place in `palette` that each object's number in a video gives its colour; None without numbers."""
    return None if found.track_ids is None else (found.track_ids - 1) % MAX_LABELS


def label_map(found: Instances) -> LabelMap:
    """Number the pixels by their object.

    Returns:
        (H, W) uint16: 0 where no object is, k + 1 where object k is. Where objects overlap the smallest shows; of
        equally large ones the first.

    Raises:
        OptionError: If there are more than 65535 objects.
    """
    check_found(found)
    if len(found) > MAX_LABELS:
        raise OptionError(f"a 16-bit label map holds at most {MAX_LABELS} objects, got {len(found)}")
    return number_map(found.masks).astype(np.uint16, copy=False)


def cutout(chosen: Instance | Instances, image: npt.ArrayLike, *, soft: bool = False, whole: bool = False) -> ByteArray:
    """Cut one object out of the photo, or several together.

    Args:
        chosen: An object such as `found[0]`, or the objects of a result, which lie in the picture as they lay.
        image: (H, W, 3) uint8 RGB, the photo.
        soft: False cuts along the mask's pixels. True follows the photo's own edges near them: pixels on the edge have
            their share of the object as alpha, and its colour without that of what is behind, for pasting; see
            `matting`. Some 30 ms for an object of 240 pixels, 160 for one of 3 million. Objects that touch are
            cut out as one: there is no edge between them. What would fade, with no pixel that is more than half its
            own, is cut along the mask's pixels.
        whole: True gives a picture of the photo's size, in which the object lies where it lay.

    Returns:
        (h, w, 4) uint8 RGBA in the size of the object's pixels, with soft edges some more: alpha is 255 on the object,
        its share on a soft edge; elsewhere all four are 0, so that nothing else of the photo is in it. (0, 0, 4) for
        masks without pixels, unless it is `whole`.

    Raises:
        OptionError: If the photo does not have the masks' size, or `soft` or `whole` is neither True nor False.
    """
    if not isinstance(chosen, Instance | Instances):
        raise OptionError(f"what is cut out must be found[0], found or the like, got {options.shown(chosen)}")
    options.boolean("soft", soft)
    if isinstance(chosen, Instance):
        photo = check_photo(image, chosen.mask.image_size)
        cut, place = cut_out(chosen.mask, photo, soft=soft)
    else:
        photo = check_photo(image, chosen.image_size)
        covered = chosen.masks.union()  # neighbours have no edge between them
        pieces = covered.components() if soft else [covered]  # islands are looked at as closely as they are small
        cut, place = _together((cut_out(piece, photo, soft=soft) for piece in pieces), photo.shape[:2])
    if not options.boolean("whole", whole):
        return cut
    picture = np.zeros((*photo.shape[:2], 4), np.uint8)
    picture[place] = cut
    return picture


def cut_out(mask: Mask, photo: ByteArray, *, soft: bool) -> tuple[ByteArray, Place]:
    """RGBA of an object in the size of its pixels, and its place."""
    mask = mask.tight()
    if soft and mask.area:
        from fastsam_onnx.matting import soft_cutout

        cut, place = soft_cutout(mask, photo)
        if cut.size and cut[..., 3].max() > LEAST_ALPHA:
            return cut, place
    cut = np.zeros((*mask.crop.shape, 4), np.uint8)
    np.copyto(cut[..., :3], photo[mask.slices], where=mask.crop[..., None])
    cut[..., 3] = mask.crop * np.uint8(255)
    return cut, mask.slices


def _together(pieces: Iterable[tuple[ByteArray, Place]], size: tuple[int, ...]) -> tuple[ByteArray, Place]:
    """RGBA of several parts of a photo (H, W) in the size of all their pixels, and its place."""
    picture = np.zeros((*size, 4), np.uint8)
    places = []
    for cut, place in pieces:
        if cut.size:
            _add(picture[place], cut)
            places.append(place)
    place = _around(places)
    return picture[place].copy(), place


def _add(picture: ByteArray, cut: ByteArray) -> None:
    """Add a part's RGBA to what is there: shares add up, and colours are their means by these.

    A pixel that is all of one part has the photo's own colour, whatever share of it another one has.
    """
    for top in range(0, len(cut), _BAND_ROWS):
        below, above = picture[top : top + _BAND_ROWS], cut[top : top + _BAND_ROWS]
        held, share = below[..., 3], above[..., 3]
        mixed = (held % 255 > 0) & (share % 255 > 0)  # few pixels, and floats are slow
        mixture = _mixture(below[mixed], above[mixed])
        np.copyto(below, above, where=((held == 0) | (share == 255))[..., None])
        below[mixed] = mixture


def _mixture(one: ByteArray, other: ByteArray) -> ByteArray:
    """(k, 4) RGBA of pixels that have a part of both."""
    both = np.stack([one, other]).astype(np.float32)
    shares = both[..., 3:]
    total = shares.sum(axis=0)
    colours = (both[..., :3] * shares).sum(axis=0) / total
    mixture: ByteArray = np.rint(np.concatenate([colours, np.minimum(total, 255)], axis=-1)).astype(np.uint8)
    return mixture


def _around(places: Sequence[Place]) -> Place:
    """The place that holds all of these."""
    if not places:
        return slice(0, 0), slice(0, 0)
    rows, columns = (
        slice(min(span.start for span in along), max(span.stop for span in along))
        for along in zip(*places, strict=True)
    )
    return rows, columns


def palette(count: int, seed: int = 0) -> ByteArray:
    """Colours that are easy to tell apart: golden-ratio hues in five tones.

    Args:
        count: Number of colours.
        seed: Another integer of at least 0 gives other colours.

    Returns:
        (count, 3) uint8 RGB; the first colours are the same for every count.

    Raises:
        OptionError: If one of the two is not an integer of at least 0, or too large.
    """
    return _shades(range(options.integer("count", count, 0, MAX_COLOURS)), seed)


def _shades(places: Iterable[int], seed: int) -> ByteArray:
    """(n, 3) uint8 RGB at these places of the palette."""
    import colorsys

    start = _FIRST_HUE + options.integer("seed", seed, 0, MAX_SEED) * 0.37
    colours = []
    for place in places:
        saturation, value = _TONES[place % len(_TONES)]
        rgb = colorsys.hsv_to_rgb((start + place * _GOLDEN_RATIO) % 1, saturation, value)
        colours.append([round(255 * channel) for channel in rgb])
    return np.array(colours, np.uint8).reshape(-1, 3)


def _chosen_shades(colours: npt.ArrayLike, count: int, seed: int) -> ByteArray:
    """(count, 3) uint8 RGB at these places of the palette."""
    places = options.numbers("colours", colours)
    if places.shape != (count,) or (places % 1).any() or not ((places >= 0) & (places < MAX_LABELS)).all():
        raise OptionError(
            f"colours must be {count} integers from 0 to {MAX_LABELS - 1}, each the place of an object's colour in the "
            f"palette, no RGB; got {options.shown(colours)}"
        )
    return _shades(places.astype(int).tolist(), seed)


def photo_of(found: Instances, image: npt.ArrayLike | None) -> ByteArray:
    """The given photo or the one that `found` carries, checked: (H, W, 3) uint8 RGB.

    Raises:
        OptionError: If there is none, or it does not fit.
    """
    check_found(found)
    photo = found.image if image is None else image
    if photo is None:
        raise OptionError("the result does not carry its photo; pass it as image= (an (H, W, 3) uint8 RGB array)")
    return check_photo(photo, found.image_size)


def _blend(photo: ByteArray, labels: LabelMap, colours: ByteArray, alpha: float) -> ByteArray:
    """The photo, mixed with the colour of the label where there is one."""
    import cv2

    picture = photo.copy()
    table = np.concatenate([np.zeros((1, 3), np.uint8), colours])
    for top in range(0, len(labels), _BAND_ROWS):
        band = slice(top, top + _BAND_ROWS)
        colour = np.take(table, labels[band], axis=0)
        mixed = cv2.addWeighted(photo[band], 1 - alpha, colour, alpha, 0)
        cv2.copyTo(mixed, (labels[band] > 0).view(np.uint8), picture[band])
    return picture


def _outline(picture: ByteArray, labels: LabelMap, colours: ByteArray, width: int) -> None:
    """Line what shows of the objects, `width` pixels wide on their inner side; not along the border of the photo."""
    import cv2

    window = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * width + 1, 2 * width + 1))
    edge = (cv2.dilate(labels, window) != cv2.erode(labels, window)) & (labels > 0)
    tints = np.concatenate([np.zeros((1, 3), np.uint8), _tint(colours)])
    picture[edge] = tints[labels[edge]]


def _tint(colours: ByteArray) -> ByteArray:
    """Light shades, which show on dark photos and between two touching objects."""
    return (0.4 * colours + 0.6 * 255).astype(np.uint8)


def _write_names(picture: ByteArray, found: Instances, colours: ByteArray, height: int) -> None:
    """Write what each object is called, capitals `height` pixels high, on its colour, where nothing else is written."""
    import cv2

    margin = max(2, height // 3)
    taken: list[Corners] = []
    for called, box, colour in zip(_callings(found), found.boxes.tolist(), colours.tolist(), strict=True):
        words = lettering(called, height)
        size = words.across + 2 * margin, words.above + words.below + margin
        place = _free_place(box, size, picture.shape[1::-1], taken)
        if place is None:
            continue
        taken.append(place)
        cv2.rectangle(picture, place[:2], (place[2] - 1, place[3] - 1), colour, -1)
        ink = _BLACK if np.dot(colour, _BRIGHTNESS) > _BRIGHT else _WHITE
        words.write(picture, (place[0] + margin, place[3] - words.below - 1), ink)


def _callings(found: Instances) -> list[str]:
    """The class and the number of each object, as far as they are known: "person 7"."""
    none = [None] * len(found)
    labels: list[Any] = none if found.labels is None else found.labels.tolist()
    numbers: list[Any] = none if found.track_ids is None else found.track_ids.tolist()
    words = [None if label is None else class_name(label, found.names or {}) for label in labels]
    return [" ".join(str(part) for part in pair if part is not None) for pair in zip(words, numbers, strict=True)]


def _free_place(
    box: list[float], size: tuple[int, int], photo_size: tuple[int, int], taken: Sequence[Corners]
) -> Corners | None:
    """The first of some places at a box, moved into the photo, that meets none that is taken; None without."""
    x1, y1, x2, y2 = (round(side) for side in box)
    width, height = size
    middle = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
    for left in (x1, x2 - width, middle[0]):
        for top in (y1 - height, y1, y2, y2 - height, middle[1]):
            x, y = max(0, min(left, photo_size[0] - width)), max(0, min(top, photo_size[1] - height))
            if all(x + width <= a or c <= x or y + height <= b or d <= y for a, b, c, d in taken):
                return x, y, x + width, y + height
    return None


def _draw_boxes(picture: ByteArray, boxes: npt.NDArray[np.float64], width: int) -> None:
    import cv2

    bounds = np.array(picture.shape[1::-1] * 2)
    for corners in np.clip(np.floor(boxes), -4 * width, bounds + 4 * width).astype(int).tolist():
        cv2.rectangle(picture, corners[:2], corners[2:], _BLACK, 3 * width)
        cv2.rectangle(picture, corners[:2], corners[2:], _WHITE, width)


def _draw_points(picture: ByteArray, points: npt.NDArray[np.float64], foreground: BoolArray, radius: int) -> None:
    import cv2

    bounds = np.array(picture.shape[1::-1])
    places = np.clip(np.floor(points), -2 * radius, bounds + 2 * radius).astype(int)
    # What is foreground of one object and background of another shows as foreground: that says where the objects are.
    for index in np.argsort(foreground, kind="stable").tolist():
        place, wanted = places[index].tolist(), foreground[index]
        cv2.circle(picture, place, radius + max(1, radius // 3), _WHITE, -1, cv2.LINE_AA)
        cv2.circle(picture, place, radius, _GREEN if wanted else _RED, -1, cv2.LINE_AA)


def _prompt_array(name: str, values: npt.ArrayLike, columns: int) -> npt.NDArray[np.float64]:
    """Points or boxes in the shapes that prompts have: points may be in groups."""
    array = options.numbers(name, values, error=PromptError)
    if array.shape == (0,):
        return np.zeros((0, columns))
    shapes = [f"({columns},)", f"(k, {columns})", f"(g, k, {columns})"][: 3 if columns == 2 else 2]
    if not 1 <= array.ndim <= len(shapes) or array.shape[-1] != columns:
        raise PromptError(f"{name} to draw must have shape {' or '.join(shapes)}, got {array.shape}")
    return array


def _foreground(labels: npt.ArrayLike | None, shape: tuple[int, ...]) -> BoolArray:
    """(k,) for points of a shape, without its last axis: True for foreground."""
    if labels is None:
        return np.ones(math.prod(shape), bool)
    array = options.numbers("point_labels", labels, error=PromptError)
    if array.shape not in (shape, shape or (1,)) or not np.isin(array, (0, 1)).all():
        given = options.shown(array.tolist())
        raise PromptError(f"point_labels must be {math.prod(shape)} numbers 1 or 0, one for each point, got {given}")
    return array.reshape(-1).astype(bool)
