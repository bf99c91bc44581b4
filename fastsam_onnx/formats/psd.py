"""Photoshop's PSD: the photo, and above it every object as a layer with a mask, to go on with in a picture editor.

By Adobe's "Photoshop File Formats Specification". Colours are stored as they are, masks as PackBits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.draw import cut_out, photo_of
from fastsam_onnx.errors import OutputError
from fastsam_onnx.formats.text import title
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.mask import Mask

LONGEST_SIDE = 30_000
"""Pixels that a side may have in such a file."""
MOST_LAYERS = 8_000
MOST_BYTES = 2**31 - 1
ROOM = 0.02
"""Pixels of the photo around an object that its layer has, too, hidden by the mask, in shares of the photo's long side:
who paints on the mask finds them there."""
_LONGEST_NAME = 255
_LONGEST_RUN = 128
_AS_IT_IS, _PACKBITS = 0, 1  # kinds of compression
_TRANSPARENCY, _MASK = -1, -2  # channels; colours are 0, 1 and 2
_VISIBLE = 8


@dataclass(frozen=True)
class Layer:
    """Pixels somewhere in the picture.

    Attributes:
        name: What the editor calls it.
        left: Image pixels.
        top: Image pixels.
        colours: (h, w, 3) uint8 RGB.
        shown: (h, w) uint8, the mask: 0 hides, 255 shows; None for a layer without one.
    """

    name: str
    left: int
    top: int
    colours: ByteArray
    shown: ByteArray | None = None


def to_psd(found: Instances, *, image: npt.ArrayLike | None = None, soft: bool = False) -> list[Layer]:
    """The photo as the lowest layer, and above it one for every object, the smallest on top.

    An object's layer has the photo's pixels in and around its box, and a mask that shows the object. Objects without
    pixels are left out. All layers together look like the photo.

    Args:
        found: The objects.
        image: (H, W, 3) uint8 RGB, the photo; by default the one that `found` carries.
        soft: True for masks as soft as the photo's edges, and colours without what lies behind, as in `draw.cutout`.

    Raises:
        OptionError: If no photo is known, or it does not fit, or `soft` is neither True nor False.
        OutputError: If the photo or its objects are more than such a file may have.
    """
    photo = photo_of(found, image)
    options.boolean("soft", soft)
    objects = [(index, instance) for index, instance in enumerate(found) if instance.mask.area]
    objects.sort(key=lambda one: (-one[1].mask.area, -one[0]))
    _check_room(photo, [instance.mask for _, instance in objects])
    return [Layer("photo", 0, 0, photo), *(_layer(index, one, photo, soft=soft) for index, one in objects)]


def _check_room(photo: ByteArray, masks: Sequence[Mask]) -> None:
    """OutputError if such a file cannot have so much, before that fills the memory."""
    height, width = photo.shape[:2]
    if max(height, width) > LONGEST_SIDE:
        raise OutputError(
            f"a {width}x{height} photo cannot be written as .psd: its sides must be at most {LONGEST_SIDE} pixels"
        )
    if len(masks) >= MOST_LAYERS:
        raise OutputError(
            f"{len(masks)} objects cannot be written as .psd: it must have fewer than {MOST_LAYERS} layers"
        )
    _check_length(3 * (2 * height * width + sum(mask.crop.size for mask in masks)))


def _check_length(length: int) -> None:
    if length > MOST_BYTES:
        raise OutputError(
            f"the objects cannot be written as .psd: {length} bytes are more than the {MOST_BYTES} of such a file; "
            "choose fewer objects"
        )


def _layer(index: int, instance: Instance, photo: ByteArray, *, soft: bool) -> Layer:
    cut, (rows, columns) = cut_out(instance.mask, photo, soft=soft)
    room = round(ROOM * max(photo.shape[:2]))
    top, left = max(0, rows.start - room), max(0, columns.start - room)
    colours = photo[top : rows.stop + room, left : columns.stop + room].copy()
    shown = np.zeros(colours.shape[:2], np.uint8)
    inside = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    shown[inside] = cut[..., 3]
    np.copyto(colours[inside], cut[..., :3], where=cut[..., 3:] > 0)
    return Layer(title(index, instance), left, top, colours, shown)


def psd_bytes(layers: Sequence[Layer], _suffix: str) -> bytes:
    """The file of a picture's layers, from the lowest, which is what programs show that know none, to the topmost.

    Raises:
        OutputError: If it would be longer than such a file may be.
    """
    parts = list(_parts(layers))
    _check_length(sum(map(len, parts)))
    return b"".join(parts)


def _parts(layers: Sequence[Layer]) -> Iterator[bytes]:
    photo = layers[0].colours
    height, width = photo.shape[:2]
    eight_bits, rgb = 8, 3
    yield struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, eight_bits, rgb)
    yield bytes(8)  # neither a palette nor further information
    channels = [_channels(layer) for layer in layers]
    records = [_record(layer, own) for layer, own in zip(layers, channels, strict=True)]
    info = [struct.pack(">h", len(records)), *records, *(data for own in channels for _, data in own)]
    length = sum(map(len, info))
    info.append(bytes(length % 2))
    length += length % 2
    yield struct.pack(">II", 4 + length + 4, length)
    yield from info
    yield bytes(4)  # no mask of all layers
    yield struct.pack(">H", _AS_IT_IS)
    yield from (photo[..., channel].tobytes() for channel in range(3))


def _channels(layer: Layer) -> list[tuple[int, bytes]]:
    """Kind and data of each channel."""
    as_it_is = struct.pack(">H", _AS_IT_IS)
    channels = [(number, as_it_is + layer.colours[..., number].tobytes()) for number in range(3)]
    if layer.shown is not None:
        opaque = np.full(layer.shown.shape, 255, np.uint8)
        channels += [(_TRANSPARENCY, packed(opaque)), (_MASK, packed(layer.shown))]
    return channels


def packed(plane: ByteArray) -> bytes:
    """A channel's data as PackBits: the kind, the number of bytes of each row, the rows.

    Every run is told as one, at most 128 pixels long, also a run of one pixel: short for masks, not for photos.
    """
    height, width = plane.shape
    starts_run = np.ones((height, width), bool)
    starts_run[:, 1:] = plane[:, 1:] != plane[:, :-1]
    starts = np.flatnonzero(starts_run)
    lengths = np.diff(starts, append=plane.size)
    pieces = -(-lengths // _LONGEST_RUN)
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)  # of each piece in its run
    length = np.minimum(np.repeat(lengths, pieces) - number * _LONGEST_RUN, _LONGEST_RUN)
    start = np.repeat(starts, pieces)
    heads = np.where(length == 1, 0, 257 - length)
    pairs = np.stack([heads, plane.ravel()[start]], axis=1).astype(np.uint8)
    counts = 2 * np.bincount(start // width, minlength=height)
    return struct.pack(">H", _PACKBITS) + counts.astype(">u2").tobytes() + pairs.tobytes()


def _record(layer: Layer, channels: list[tuple[int, bytes]]) -> bytes:
    """What is told of a layer before the data of all."""
    height, width = layer.colours.shape[:2]
    place = struct.pack(">iiii", layer.top, layer.left, layer.top + height, layer.left + width)
    lengths = b"".join(struct.pack(">hI", number, len(data)) for number, data in channels)
    opacity, clipping = 255, 0
    how = struct.pack(">4s4sBBBx", b"8BIM", b"norm", opacity, clipping, _VISIBLE)
    mask = b"" if layer.shown is None else place + bytes(4)  # black outside of it
    more = struct.pack(">I", len(mask)) + mask + bytes(4) + _short_name(layer.name) + _long_name(layer.name)
    return place + struct.pack(">H", len(channels)) + lengths + how + struct.pack(">I", len(more)) + more


def _short_name(name: str) -> bytes:
    """For programs of before Unicode; with its length a multiple of 4 bytes."""
    letters = name.encode("ascii", "replace")[:_LONGEST_NAME]
    return bytes([len(letters)]) + letters + bytes(-(1 + len(letters)) % 4)


def _long_name(name: str) -> bytes:
    letters = name[:_LONGEST_NAME].encode("utf-16-be", "replace")
    text = struct.pack(">I", len(letters) // 2) + letters
    text += bytes(-len(text) % 4)
    return struct.pack(">4s4sI", b"8BIM", b"luni", len(text)) + text
