"""The representation of a result that a client accepts (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from fastsam_onnx.formats import FORMATS


@dataclass(frozen=True)
class Representation:
    """A form in which a result can be sent.

    Attributes:
        media_type: As in Accept and Content-Type.
        format: A name in `formats.FORMATS`.
        suffix: Kind of file, where the format has several.
    """

    media_type: str
    format: str
    suffix: str


REPRESENTATIONS = tuple(
    Representation(media_type, name, suffix)
    for name, kind in sorted(FORMATS.items(), key=lambda item: item[0] != "json")  # ours first
    for suffix, media_type in kind.media_types.items()
)
"""Of those that a client likes equally well, the first is sent."""
FORMAT_NAMES = tuple(dict.fromkeys(one.format for one in REPRESENTATIONS))
_ALIASES = {"image/jpg": "image/jpeg"}
"""Names that media types go by although nobody registered them."""
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""An element of a list in a header; commas inside quotes separate nothing."""
MOST_ACCEPT = 4096
"""Characters of an Accept header that are read: browsers send 150, and each media type costs time."""


@dataclass(frozen=True)
class MediaRange:
    """An element of an Accept header.

    Attributes:
        media_type: Such as "image/png", "image/*" or "*/*".
        format: Value of a parameter `format`, which tells formats of one media type apart; None without.
        quality: Preference, 0 (not accepted) to 1.
    """

    media_type: str
    format: str | None = None
    quality: float = 1.0

    def specificity(self, representation: Representation) -> int:
        """Precision with which the range names a representation, 1 to 4; 0 if it does not fit."""
        if self.format not in (None, representation.format):
            return 0
        kind = representation.media_type.partition("/")[0]
        levels = {"*/*": 1, f"{kind}/*": 2, representation.media_type: 3}
        level = levels.get(self.media_type, 0)
        return level + 1 if level and self.format else level


def negotiate(accept: str, asked_format: str | None) -> Representation:
    """Choose the representation of the answer.

    Args:
        accept: The header; a media type may carry `format=`, as in "image/png;format=labels".
        asked_format: Value of the parameter `format`, which comes first.

    Raises:
        HTTPException: 422 for a format that is not known, 406 if nothing fits, 431 for too long a header.
    """
    if len(accept) > MOST_ACCEPT:
        raise HTTPException(431, f"Accept must have at most {MOST_ACCEPT} characters, got {len(accept)}")
    names = ", ".join(FORMAT_NAMES)
    offered = [one for one in REPRESENTATIONS if asked_format in (None, one.format)]
    if not offered:
        raise HTTPException(422, f"format must be one of {names}, got {asked_format[:80]!r}")  # type: ignore[index]
    ranges = _media_ranges(accept) or [MediaRange("*/*")]
    best = max(offered, key=lambda one: _preference(one, ranges))
    if _preference(best, ranges) <= (0, 0):
        types = ", ".join(dict.fromkeys(one.media_type for one in offered))
        raise HTTPException(406, f"Accept must allow one of {types} (format is one of {names}), got {accept[:80]!r}")
    return best


def _media_ranges(accept: str) -> list[MediaRange]:
    ranges = []
    for element in _ELEMENT.findall(accept):
        kind, parameters = parse_options_header(element.strip())
        media_type, format_name = kind.decode("latin-1").lower(), parameters.get(b"format")
        if media_type:
            ranges.append(
                MediaRange(
                    _ALIASES.get(media_type, media_type),
                    None if format_name is None else format_name.decode("latin-1"),
                    _quality(parameters.get(b"q", b"1")),
                )
            )
    return ranges


def _quality(text: bytes) -> float:
    """The value of `q`; a malformed one is 0, but for .2, which Java sends."""
    return float(text) if re.fullmatch(rb"0(\.[0-9]{0,3})?|\.[0-9]{1,3}|1(\.0{0,3})?", text) else 0.0


def _preference(representation: Representation, ranges: Sequence[MediaRange]) -> tuple[float, int]:
    """Quality that the most specific fitting range gives a representation, and how specific that is."""
    fitting = [(one.specificity(representation), one.quality) for one in ranges]
    specificity, quality = max(fitting)
    return (quality, specificity) if specificity and quality else (0.0, 0)
