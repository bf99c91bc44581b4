"""A request from its bytes to its answer: a photo, prompts, options, and the format that is wanted.

Everything a client sends is checked here, and refused with a status and a reason that it is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from fastsam_onnx.errors import FastSAMError, ImageError, ModelError, OptionError
from fastsam_onnx.images.header import read_header
from fastsam_onnx.images.load import source_name
from fastsam_onnx.options import (
    MIN_WHITE,
    bands_from_text,
    boolean_from_text,
    input_size_from_text,
    integer_from_text,
    number_from_text,
)
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.serve.answer import WRITTEN, Answer, answer, written_options
from fastsam_onnx.serve.form import Part, read_form
from fastsam_onnx.serve.negotiate import Representation, negotiate

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM

PHOTO_FIELD = "photo"
_fraction = partial(number_from_text, minimum=0, maximum=1)
OPTIONS: Mapping[str, Callable[[str, str], Any]] = {
    "conf": _fraction,
    "iou": _fraction,
    "max_det": integer_from_text,
    "imgsz": input_size_from_text,
    "refine": boolean_from_text,
    "redraw": boolean_from_text,
    "bands": bands_from_text,
    "white": partial(number_from_text, minimum=MIN_WHITE),
}
"""Options of a call of the model, each with the function that reads it from its name and its text."""
PARAMETERS = ("prompts", "format", *WRITTEN, *OPTIONS)
_MAX_FIELD_BYTES = 1 << 20
_MAX_REASON = 500
_MAX_FILENAME = 255


@dataclass(frozen=True)
class Limits:
    """Limits of what the server accepts.

    Attributes:
        body_bytes: Maximum size of one request.
        pixels: Maximum width times height of a photo.
        prompts: Maximum number of points, boxes, masks and texts of one request, together.
        queue: Maximum number of requests that wait for a worker.
        held_bytes: Maximum size of all requests that are being received or wait.
        body_seconds: Time within which a request must arrive.
    """

    body_bytes: int = 32 << 20
    pixels: int = 50_000_000
    prompts: int = 200
    queue: int = 32
    held_bytes: int = 256 << 20
    body_seconds: float = 30.0


@dataclass(frozen=True)
class RawRequest:
    """A request as it came.

    Attributes:
        body: A picture file, or a multipart form with one.
        content_type: Content type of the body; may be empty.
        accept: The header Accept; may be empty.
        query: Names and values behind the address.
    """

    body: bytes
    content_type: str = ""
    accept: str = ""
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class SegmentRequest:
    """A request that was read and checked, but for the photo.

    Attributes:
        photo: Bytes of a picture file.
        source: File name of the photo, if it came with one.
        prompts: Which objects are wanted.
        options: Values of `OPTIONS`, as far as they were given.
        representation: Form of the answer.
        written: Option of its format that says how outlines or cut-outs are written, if it was given.
    """

    photo: bytes
    source: str | None
    prompts: Prompts
    options: Mapping[str, Any]
    representation: Representation
    written: Mapping[str, Any]


def respond(model: FastSAM, raw: RawRequest, limits: Limits) -> Answer:
    """Take a request all the way. This costs what a photo costs, so it is for a worker thread.

    Args:
        model: Finds the objects.
        raw: The request.
        limits: Limits on pixels and prompts.

    Raises:
        HTTPException: If the request is refused, with status and reason.
    """
    request = parse(raw, model, limits)
    _check_photo(request.photo, limits)
    form = request.representation
    try:
        wanted = {} if request.prompts.needs_objects else {"redraw": False}  # nobody sees them
        found = model(request.photo, pixel_limit=limits.pixels, **{**wanted, **request.options})
        chosen = request.prompts.choose(replace(found, source=request.source))
        shown = request.prompts.format_options(form.format)
        return answer(chosen, form, request.written, limits.pixels, shown=shown)
    except ModelError:
        raise  # not the client's fault
    except FastSAMError as error:
        reason = str(error).removeprefix(f"cannot read {source_name(request.photo)}: ")
        if isinstance(error, ImageError):
            reason = f"the photo cannot be read: {reason}"
        raise HTTPException(422, reason[:_MAX_REASON]) from error


def parse(raw: RawRequest, model: FastSAM, limits: Limits) -> SegmentRequest:
    """Read a request and check everything but the photo itself.

    Raises:
        HTTPException: 400 for a damaged form, 415 for another kind of body, 406 if no form of the answer is accepted,
            422 for what is in it.
    """
    if not raw.body:
        raise HTTPException(422, "the request is empty; send a photo as its body, or in a multipart form")
    parts = _parts(raw)
    photos = [part for part in parts if part.name == PHOTO_FIELD]
    if len(photos) != 1:
        raise HTTPException(422, f"there must be one photo, in a field named {PHOTO_FIELD!r}, got {len(photos)}")
    fields = [(part.name, _text(part)) for part in parts if part.name != PHOTO_FIELD]
    given = _parameters([*raw.query, *fields])
    form = negotiate(raw.accept, given.get("format"))
    return SegmentRequest(
        photo=photos[0].content,
        source=_file_name(photos[0].filename),
        prompts=read_prompts(given["prompts"], limits, has_texts=has_texts(model)) if "prompts" in given else Prompts(),
        options={name: _option(name, given[name], model) for name in OPTIONS if name in given},
        representation=form,
        written=written_options(given, form.format),
    )


def read_prompts(text: str, limits: Limits, *, has_texts: bool) -> Prompts:
    """Prompts from JSON, as `Prompts.from_json` reads them, checked.

    Args:
        text: The JSON.
        limits: Limits on their number.
        has_texts: Whether texts can be answered.

    Raises:
        HTTPException: 422, if they are malformed, too many, or texts without CLIP.
    """
    try:
        prompts = Prompts.from_json(text).limited(limits.pixels)
        prompts.check()
    except FastSAMError as error:
        raise HTTPException(422, str(error)[:_MAX_REASON]) from error
    if prompts.count > limits.prompts:
        raise HTTPException(
            422, f"there must be at most {limits.prompts} points, boxes, masks and texts together, got {prompts.count}"
        )
    if prompts.needs_clip and not has_texts:
        raise HTTPException(
            422, "this server has no CLIP model, so it takes no texts, similar or classify; see text in /info"
        )
    return prompts


def has_texts(model: FastSAM) -> bool:
    """True if the model has CLIP, and so takes texts."""
    return getattr(model, "clip", None) is not None


def _parts(raw: RawRequest) -> list[Part]:
    kind, options = parse_options_header(raw.content_type)
    if kind == b"multipart/form-data":
        return read_form(raw.body, options.get(b"boundary", b""))
    if kind in (b"", b"application/octet-stream") or kind.startswith(b"image/"):
        return [Part(PHOTO_FIELD, raw.body)]
    raise HTTPException(
        415,
        "the body must be a photo, image/* or application/octet-stream, or multipart/form-data with a field 'photo', "
        f"got Content-Type {raw.content_type[:80]!r}",
    )


def _check_photo(photo: bytes, limits: Limits) -> None:
    try:
        header = read_header(photo)
    except ImageError as error:
        raise HTTPException(422, f"the photo cannot be read: {error}") from error
    if header.width * header.height > limits.pixels:
        raise HTTPException(
            413, f"a photo must have at most {limits.pixels} pixels, got {header.width} x {header.height} pixels"
        )


def _parameters(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in given]
    for name in names:
        if name not in PARAMETERS:
            raise HTTPException(422, f"parameters must be among {', '.join(PARAMETERS)}, got {name[:80]!r}")
        if names.count(name) > 1:
            raise HTTPException(422, f"{name} is given {names.count(name)} times")
    return dict(given)


def _option(name: str, text: str, model: FastSAM) -> Any:
    """An option's value, which must not ask for more than the server's own."""
    try:
        value = OPTIONS[name](name, text[:200])
    except OptionError as error:
        raise HTTPException(422, str(error)) from error
    if name == "max_det" and value > (maximum := model.options[name]):
        raise HTTPException(422, f"max_det must be at most {maximum} here, got {value}")
    if name == "imgsz":
        maximum = model.options[name]
        height, width = (value, value) if isinstance(value, int) else value
        if height > maximum[0] or width > maximum[1]:
            raise HTTPException(422, f"imgsz must be at most {maximum[1]}x{maximum[0]} here, got {width}x{height}")
    return value


def _text(part: Part) -> str:
    if len(part.content) > _MAX_FIELD_BYTES:
        raise HTTPException(422, f"{part.name[:80]!r} must have at most {_MAX_FIELD_BYTES} bytes")
    try:
        return part.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HTTPException(422, f"{part.name[:80]!r} must be UTF-8 text") from error


def _file_name(given: str | None) -> str | None:
    """The last part of an uploaded file's path, without control characters; None if nothing is left."""
    name = re.split(r"[/\\]", given or "")[-1]
    return "".join(filter(str.isprintable, name))[:_MAX_FILENAME] or None
