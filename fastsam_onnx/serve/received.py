"""A request as it came: the files that it brings and its parameters, each once.

What a client sends is refused here with a status and a reason that it is told, if it is not in this form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from fastsam_onnx.errors import FastSAMError, ImageError, OptionError
from fastsam_onnx.images.header import read_header
from fastsam_onnx.images.load import source_name
from fastsam_onnx.options import MIN_WHITE, bands_from_text, integer, number, number_from_text
from fastsam_onnx.serve.form import Part, read_form

READING: Mapping[str, Callable[[str, str], Any]] = {
    "bands": bands_from_text,
    "white": partial(number_from_text, minimum=MIN_WHITE),
}
"""Options of how a photo is read, each with the function that reads it from its name and its text."""
PHOTO_FIELD, KEY_FIELD, KEY_HEADER = "photo", "photo_key", "Photo-Key"
MOST_LETTERS = 1000
"""Maximum length of a name: many formats say it with every object, and an overlay writes it there."""
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
        remembered: Maximum number of photos that are remembered for clients that ask for it.
        remembered_seconds: Time for which a photo that nobody uses is remembered.
    """

    body_bytes: int = 32 << 20
    pixels: int = 50_000_000
    prompts: int = 200
    queue: int = 32
    held_bytes: int = 256 << 20
    body_seconds: float = 30.0
    remembered: int = 4
    remembered_seconds: float = 600.0

    def __post_init__(self) -> None:
        """Raise an OptionError if one can be no limit."""
        for name in ("body_bytes", "pixels", "held_bytes"):
            integer(name, getattr(self, name))
        for name in ("prompts", "queue", "remembered"):
            integer(name, getattr(self, name), 0)
        for name in ("body_seconds", "remembered_seconds"):
            number(name, getattr(self, name), 0)


@dataclass(frozen=True)
class RawRequest:
    """A request as it came.

    Attributes:
        body: A file, or a multipart form with one.
        content_type: Content type of the body; may be empty.
        accept: The header Accept; may be empty.
        query: Names and values behind the address.
    """

    body: bytes
    content_type: str = ""
    accept: str = ""
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Received:
    """What a request holds.

    Attributes:
        files: By the name of the field.
        parameters: Those of the form and of the query.
    """

    files: Mapping[str, Part]
    parameters: Mapping[str, str]

    def content(self, name: str) -> bytes | None:
        """Bytes of a file; None if it did not come."""
        return self.files[name].content if name in self.files else None


def receive(
    raw: RawRequest,
    needed: str,
    media_type: str,
    *,
    optional: Sequence[str] = (),
    parameters: Sequence[str],
) -> Received:
    """The files and the parameters of a request; the key of a photo may stand in the place of its file.

    Args:
        raw: The request.
        needed: Field of the file without which there is nothing to do; it may be the body, too.
        media_type: Kind of file that it is, such as "image/*".
        optional: Fields of further files.
        parameters: Names of the parameters that there are.

    Raises:
        HTTPException: 400 for a damaged form, 415 for another kind of body, 422 for a file that is missing, for what is
            not known, there twice, or no text.
    """
    in_query = KEY_FIELD in dict(raw.query)
    if not raw.body and not (in_query and needed == PHOTO_FIELD):
        raise HTTPException(422, f"the request is empty; send a {needed} as its body, or in a multipart form")
    parts = _parts(raw, needed, media_type) if raw.body else []
    names = [part.name for part in parts]
    has_key = in_query or KEY_FIELD in names
    if has_key and PHOTO_FIELD in names:
        raise HTTPException(422, f"there must be a {PHOTO_FIELD} or a {KEY_FIELD}, got both")
    for name in (needed, *optional):
        may_lack = name in optional or (name == PHOTO_FIELD and has_key)
        if (count := names.count(name)) > 1 or not (count or may_lack):
            raise HTTPException(422, f"there must be one {name}, in a field named {name!r}, got {count}")
    files = {part.name: part for part in parts if part.name in (needed, *optional)}
    fields = [part for part in parts if part.name not in files]
    _check_names([*(name for name, _ in raw.query), *(part.name for part in fields)], parameters)
    return Received(files, {**dict(raw.query), **{part.name: _text(part) for part in fields}})


def _parts(raw: RawRequest, field: str, media_type: str) -> list[Part]:
    kind, options = parse_options_header(raw.content_type)
    if kind == b"multipart/form-data":
        return read_form(raw.body, options.get(b"boundary", b""))
    if kind in (b"", b"application/octet-stream") or fnmatchcase(kind.decode("latin-1"), media_type):
        return [Part(field, raw.body)]
    raise HTTPException(
        415,
        f"the body must be a {field}, {media_type} or application/octet-stream, or multipart/form-data with a field "
        f"{field!r}, got Content-Type {raw.content_type[:80]!r}",
    )


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    """Raise unless every name is known and there once."""
    for name in names:
        if name not in known:
            raise HTTPException(422, f"parameters must be among {', '.join(known)}, got {name[:80]!r}")
        if names.count(name) > 1:
            raise HTTPException(422, f"{name} is given {names.count(name)} times")


def _text(part: Part) -> str:
    if len(part.content) > _MAX_FIELD_BYTES:
        raise HTTPException(422, f"{part.name[:80]!r} must have at most {_MAX_FIELD_BYTES} bytes")
    try:
        return part.content.decode("utf-8-sig")  # editors of Windows put a mark before the text
    except UnicodeDecodeError as error:
        raise HTTPException(422, f"{part.name[:80]!r} must be UTF-8 text") from error


def read_value(name: str, text: str, read: Callable[[str, str], Any]) -> Any:
    """A parameter's value, by the function that reads it from its name and its text.

    Raises:
        HTTPException: 422, if it means nothing.
    """
    try:
        return read(name, text[:200])
    except OptionError as error:
        raise refusal(error) from error


def file_name(part: Part) -> str | None:
    """The last part of an uploaded file's path, without control characters; None if nothing is left."""
    name = re.split(r"[/\\]", part.filename or "")[-1]
    return "".join(filter(str.isprintable, name))[:_MAX_FILENAME] or None


def check_photo(photo: bytes, limits: Limits) -> None:
    """Refuse what is no photo, or too large a one, before its pixels are decoded.

    Raises:
        HTTPException: 413 for too many pixels, 422 for what cannot be read.
    """
    try:
        header = read_header(photo)
    except ImageError as error:
        raise HTTPException(422, f"the photo cannot be read: {error}") from error
    if header.width * header.height > limits.pixels:
        raise HTTPException(
            413, f"a photo must have at most {limits.pixels} pixels, got {header.width} x {header.height} pixels"
        )


def check_names(what: str, names: Iterable[str]) -> None:
    """Refuse names that would make an answer a hundred times as large as the request.

    Raises:
        HTTPException: 422, if one is too long; the reason begins with `what`, the fields that they stand in.
    """
    longest = max(map(len, names), default=0)
    if longest > MOST_LETTERS:
        raise HTTPException(422, f"{what} must have at most {MOST_LETTERS} letters here, got {longest}")


def refusal(error: FastSAMError, photo: bytes | None = None) -> HTTPException:
    """What the client is told of an error that is its own: 422, and the reason."""
    reason = str(error)
    if isinstance(error, ImageError) and photo is not None:
        reason = f"the photo cannot be read: {reason.removeprefix(f'cannot read {source_name(photo)}: ')}"
    return HTTPException(422, reason[:_MAX_REASON])
