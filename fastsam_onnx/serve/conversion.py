"""A result in our JSON, from its bytes to its answer in another format; no network looks at anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.native import read_json, with_photo
from fastsam_onnx.images.load import load_image
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.outline import count_corners, count_parts
from fastsam_onnx.masks.shown import Shown
from fastsam_onnx.serve.answer import SHOWN, WRITTEN, Answer, answer, read_shown, written_options
from fastsam_onnx.serve.memory import Memory
from fastsam_onnx.serve.negotiate import Representation, negotiate
from fastsam_onnx.serve.received import (
    KEY_FIELD,
    PHOTO_FIELD,
    READING,
    Limits,
    RawRequest,
    check_names,
    check_photo,
    read_value,
    receive,
    refusal,
)

RESULT_FIELD = "result"
PARAMETERS = ("format", *SHOWN, *WRITTEN, *READING, KEY_FIELD)
MOST_RESULT_BYTES = 4 << 20
"""Maximum size of a result, which may take 25 times as much once it is read; 77 objects in 5 million pixels have 66 kB.
"""
MASK_PHOTOS = 4
"""Of the rectangles around all masks the most pixels together, in photos of the largest size.

Those of the objects of 150 photos have 2.1 times their photo's pixels in the median, 4.2 at most.
"""
MOST_CORNERS = 500_000
"""Maximum number of points of all outlines together; objects of photos of 2 million pixels have 11,000."""
MOST_PARTS = 10_000
"""Maximum number of islands and holes of all masks together that are drawn as outlines, which objects of photos have no
more than 50 of. To join 80,000 of them to one ring, as YOLO has it, takes over a minute.
"""


@dataclass(frozen=True)
class ConvertRequest:
    """A request that was read, but for what the result and the photo hold.

    Attributes:
        result: Our JSON.
        photo: Bytes of a picture file; None without.
        key: Key of a photo that is remembered; None without.
        representation: Form of the answer.
        shown: What is left of the objects.
        written: Options of its format that say how it is written, as far as they were given.
        reading: Options of how the photo is read, as far as they were given.
    """

    result: bytes
    photo: bytes | None
    key: str | None
    representation: Representation
    shown: Shown
    written: Mapping[str, Any]
    reading: Mapping[str, Any]


def convert(raw: RawRequest, limits: Limits, memory: Memory, most: int) -> Answer:
    """Take a request all the way. Cut-outs and outlines may take seconds, so it is for a worker thread.

    Args:
        raw: The request.
        limits: Limits on pixels.
        memory: Photos that are remembered.
        most: Maximum number of objects.

    Raises:
        HTTPException: If the request is refused, with status and reason.
    """
    request = parse(raw)
    if request.photo is not None:
        check_photo(request.photo, limits)
    try:
        found = request.shown.of(_read(request, limits, memory, most))
        return answer(found, request.representation, request.written, limits.pixels)
    except FastSAMError as error:
        raise refusal(error, request.photo) from error


def parse(raw: RawRequest) -> ConvertRequest:
    """Read a request and check everything but the result and the photo themselves.

    Raises:
        HTTPException: 400 for a damaged form, 406 if no form of the answer is accepted, 413 for too long a result, 415
            for another kind of body, 422 for what is in it.
    """
    received = receive(raw, RESULT_FIELD, "application/json", optional=[PHOTO_FIELD], parameters=PARAMETERS)
    given, result, photo = received.parameters, received.files[RESULT_FIELD].content, received.content(PHOTO_FIELD)
    key = given.get(KEY_FIELD)
    if len(result) > MOST_RESULT_BYTES:
        raise HTTPException(413, f"a result must have at most {MOST_RESULT_BYTES} bytes, got {len(result)}")
    form = negotiate(raw.accept, given.get("format"))
    if form.format in formats.OF_THE_PHOTO and photo is None and key is None:
        raise HTTPException(422, f"{form.format} shows the photo; send it, too, in a field named {PHOTO_FIELD!r}")
    reading = {name: read_value(name, given[name], READING[name]) for name in READING if name in given}
    if reading and photo is None and key is None:
        raise HTTPException(
            422, f"{next(iter(reading))} is for the photo; send it, too, in a field named {PHOTO_FIELD!r}"
        )
    return ConvertRequest(result, photo, key, form, read_shown(given), written_options(given, form.format), reading)


def _read(request: ConvertRequest, limits: Limits, memory: Memory, most: int) -> Instances:
    """The objects, with their photo if it was sent, or is remembered."""
    found = read_json(request.result, pixel_limit=limits.pixels, masks_limit=MASK_PHOTOS * limits.pixels)
    if len(found) > most:
        raise HTTPException(422, f"a result must have at most {most} objects here, got {len(found)}")
    check_names('"source" and each of "names"', (found.source or "", *(found.names or {}).values()))
    if request.representation.format in formats.OUTLINES:
        _check_outlines(found)
    photo = _photo(request, limits, memory)
    if request.representation.format == "labelme" and photo is None and found.source is None:
        raise HTTPException(
            422,
            f"labelme opens a file only with its photo; send it, too, in a field named {PHOTO_FIELD!r}, or say its "
            'name as "source" in the result',
        )
    return found if photo is None else with_photo(found, photo)


def _photo(request: ConvertRequest, limits: Limits, memory: Memory) -> ByteArray | None:
    """The photo as it is to be read, one that is remembered by default as the last answer had it; None without."""
    photo = request.photo
    if request.key is not None:
        seen = memory.recall(request.key)
        if not request.reading:
            return seen.image
        photo = seen.photo
    return None if photo is None else load_image(photo, pixel_limit=limits.pixels, **request.reading)


def _check_outlines(found: Instances) -> None:
    """Refuse masks such as noise, whose outlines would take minutes."""
    corners = parts = 0
    for mask in found.masks:
        corners += count_corners(mask.crop)
        parts += count_parts(mask.crop) if corners <= MOST_CORNERS else 0
        if corners > MOST_CORNERS or parts > MOST_PARTS:
            raise HTTPException(
                422,
                f"outlines must have at most {MOST_PARTS} islands and holes and {MOST_CORNERS} points together, and "
                "the objects have more; give fewer or smoother ones, or take a format without outlines, such as coco",
            )
