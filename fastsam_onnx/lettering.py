"""Words in pictures: in any script where OpenCV has the letters, which OpenCV 4 has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from fastsam_onnx.arrays import ByteArray

_HERSHEY_CAPITAL = 22  # pixels of a capital of OpenCV's Hershey font at scale 1
_UNICODE_FONT = "uni"  # of OpenCV 5: Latin, Greek, Cyrillic, Hebrew, Arabic, Chinese, Japanese, Korean
_UNICODE_CAPITAL = 0.76  # share of that font's size


class _Write(Protocol):
    def __call__(self, picture: ByteArray, at: tuple[int, int], ink: tuple[int, int, int]) -> None: ...


@dataclass(frozen=True)
class Lettering:
    """A text, ready to be written.

    Attributes:
        across: Width in pixels.
        above: Height over the base line.
        below: Depth under it.
        write: Writes it into a picture (H, W, 3), the base line beginning at x, y.
    """

    across: int
    above: int
    below: int
    write: _Write


def lettering(text: str, height: int) -> Lettering:
    """The text with capitals `height` pixels high; "?" stands for what the font has not, and for what is no letter.

    OpenCV 5 crashes at a lone surrogate.
    """
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    font = None if text.isascii() else _unicode_font()
    return _hershey(text, height) if font is None else _unicode(text, font, height)


def _hershey(text: str, height: int) -> Lettering:
    """In OpenCV's oldest font, which is the same in all of its versions and has ASCII alone."""
    import cv2

    text = text.encode("ascii", "replace").decode()
    font, scale, width = cv2.FONT_HERSHEY_SIMPLEX, height / _HERSHEY_CAPITAL, max(1, round(height / 9))
    (across, _), below = cv2.getTextSize(text, font, scale, width)

    def write(picture: ByteArray, at: tuple[int, int], ink: tuple[int, int, int]) -> None:
        cv2.putText(picture, text, at, font, scale, ink, width, cv2.LINE_AA)

    return Lettering(across, height, below, write)


def _unicode(text: str, font: Any, height: int) -> Lettering:
    """In a font of OpenCV 5."""
    import cv2

    size = round(height / _UNICODE_CAPITAL)
    _, top, across, high = cv2.getTextSize((0, 0), text, (0, 0), font, size)

    def write(picture: ByteArray, at: tuple[int, int], ink: tuple[int, int, int]) -> None:
        cv2.putText(picture, text, at, ink, font, size)

    return Lettering(across, -top, top + high, write)


def _unicode_font() -> Any | None:
    """OpenCV's font with all scripts; None where there is none."""
    import cv2

    font = cv2.FontFace(_UNICODE_FONT) if hasattr(cv2, "FontFace") else None
    return font if font is not None and font.getName() == _UNICODE_FONT else None
