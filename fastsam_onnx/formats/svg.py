"""SVG: vector outlines in image pixels."""

from __future__ import annotations

import os
import re
from html import escape
from urllib.parse import quote

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.draw import own_shades
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.text import PIXEL_DECIMALS, numbers, rounded_score, title
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.polygon import Polygon

_NOT_OF_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_svg(found: Instances, *, tolerance: float = 0.0, link: str | None = None, seed: int = 0) -> str:
    """An SVG drawing in image pixels, one even-odd path per object, the smallest on top.

    Of equally large ones the first is.

    Args:
        found: The objects.
        tolerance: Distance in pixels by which an outline may stray to save points; 0 is exact.
        link: File name of a photo to show below, relative to the drawing.
        seed: Another integer of at least 0 gives other colours.

    Raises:
        OptionError: If an option is outside its range.
    """
    check_found(found)
    tolerance = options.number("tolerance", tolerance, 0)
    href = None if link is None else _href(options.text("link", link))
    width, height = found.image_size
    paths = []
    for index, (instance, colour) in enumerate(zip(found, own_shades(found, seed), strict=True)):
        red, green, blue = (int(channel) for channel in colour)
        outline = "".join(_rings(polygon) for polygon in instance.mask.polygons(tolerance))
        path = (
            f'<path id="object-{index}" fill="#{red:02x}{green:02x}{blue:02x}" d="{outline}">'
            f"<title>{_escaped(title(index, instance))}, score {rounded_score(instance.score)}</title></path>"
        )
        paths.append((-instance.mask.area, -index, path))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    ]
    if href is not None:
        lines.append(f'<image href="{href}" width="{width}" height="{height}"/>')
    lines.append(
        '<g fill-rule="evenodd" fill-opacity="0.5" stroke="#000" stroke-opacity="0.6" stroke-linejoin="round" '
        f'stroke-width="{max(1, round(max(width, height) / 1000))}">'
    )
    lines += [path for _, _, path in sorted(paths)]
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _escaped(text: str) -> str:
    """A text in XML; characters that XML cannot hold, not even as references, become U+FFFD."""
    return escape(_NOT_OF_XML.sub("\ufffd", text))


def _href(link: str) -> str:
    """A link to a file name, which may be of bytes that are no text; OptionError if no file can have it."""
    try:
        return quote(os.fsencode(link))
    except UnicodeEncodeError as error:
        raise OptionError(f"link must be a file name, got {link!r}: {error}") from error


def _rings(polygon: Polygon) -> str:
    return "".join(_ring(ring) for ring in (polygon.exterior, *polygon.holes))


def _ring(ring: FloatArray) -> str:
    """A closed path in relative steps; across and down where it can be, which is short for outlines of pixels."""
    corners = np.round(np.asarray(ring, np.float64), PIXEL_DECIMALS)
    (x, y), steps = numbers(corners[0]), numbers(np.diff(corners, axis=0))
    parts = [f"M{x} {y}"]
    for across, down in steps:
        if not down:
            parts.append(f"h{across}")
        elif not across:
            parts.append(f"v{down}")
        else:
            parts.append(f"l{across} {down}")
    return "".join([*parts, "z"])
