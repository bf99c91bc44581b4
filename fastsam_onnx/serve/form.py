"""The parts of a multipart/form-data body.

Starlette's own reader is for bodies that still arrive, and writes what is large to temporary files. Here the body is
complete and in memory, bounded in size, and nothing is written; python-multipart does the parsing for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

_MAX_PARTS = 16
_EXTENDED = re.compile(rb";\s*filename\*=[^;]*", re.IGNORECASE)
_EXTENDED_NAME = re.compile(rb";\s*filename\*=(UTF-8|ISO-8859-1)'[^']*'([^;\s\"]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: Name of the field.
        content: Bytes of the value.
        filename: Name of the file that was uploaded; None for a plain value.
    """

    name: str
    content: bytes
    filename: str | None = None


def read_form(body: bytes, boundary: bytes) -> list[Part]:
    """The parts of a form, in order. A preamble and an epilogue, which RFC 2046 allows, are skipped.

    Args:
        body: The whole body of a request.
        boundary: As in its Content-Type.

    Raises:
        HTTPException: 400, if it is not a multipart form, or has too many parts.
    """
    if not boundary:
        raise HTTPException(
            400,
            "Content-Type must name the boundary of the multipart form, got none; clients add it where the header is "
            "left to them",
        )
    reader = _PartReader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
        parser.write(body[_preamble(body, boundary) :])
        parser.finalize()
    except FormParserError as error:
        raise HTTPException(400, f"the multipart form is damaged: {error}") from error
    if not reader.ended:
        raise HTTPException(400, "the multipart form is cut short, or its boundary is not the one in Content-Type")
    return reader.parts


def _preamble(body: bytes, boundary: bytes) -> int:
    """Number of bytes before the first delimiter, which begins a line; 0 if there is none."""
    delimiter = b"--" + boundary
    if body.startswith(delimiter):
        return 0
    return max(body.find(b"\r\n" + delimiter), 0)


class _PartReader:
    """Takes the parser's callbacks and puts parts together."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._content: list[bytes] = []
        self._header_name = b""
        self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._filename: str | None = None

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise HTTPException(400, f"the multipart form has more than {_MAX_PARTS} parts")
        self._content, self._disposition, self._filename = [], {}, None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            # Some versions of the parser put the extended name, in whatever characters, in the plain one's place.
            _, self._disposition = parse_options_header(_EXTENDED.sub(b"", self._header_value))
            self._filename = _filename(self._header_value, self._disposition.get(b"filename"))
        self._header_name = self._header_value = b""

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end_part(self) -> None:
        name = self._disposition.get(b"name")
        if name is None:
            raise HTTPException(400, "a part of the multipart form has no Content-Disposition with a name")
        self.parts.append(Part(_text(name), b"".join(self._content), self._filename))

    def _end(self) -> None:
        self.ended = True


def _filename(header: bytes, plain: bytes | None) -> str | None:
    """The name of a file, also as .NET writes one that is not ASCII: by RFC 5987, and beside it by RFC 2047."""
    if told := _EXTENDED_NAME.search(header):
        charset, quoted = told.groups()
        return unquote_to_bytes(quoted).decode(charset.decode("ascii"), "replace")
    if plain is None:
        return None
    name = _text(plain)
    if not name.startswith("=?"):
        return name
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, UnicodeError):
        return name


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
