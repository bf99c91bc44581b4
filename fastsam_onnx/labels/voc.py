"""Pascal VOC's files: an XML for each photo, an element for each object."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels.entries import MOST_COORDINATE, Entry, LeftOut, read_bytes, side, size_of

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class _Builder(ElementTree.TreeBuilder):
    """Builds the elements of a text without a document type, whose entities could stand for anything."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type declaration, which is refused; take out <!DOCTYPE ...>")


def read_voc(path: Path, name: str, left_out: LeftOut) -> Entry | None:
    """The boxes of a file: pixels are counted from 1, and the last one is in the box.

    Args:
        path: The file.
        name: The photo's, for the entry.
        left_out: Counts boxes without area.

    Returns:
        None if its root is no annotation.

    Raises:
        PromptError: If it cannot be read, or something is missing or malformed.
    """
    try:
        root = ElementTree.fromstring(read_bytes(path), ElementTree.XMLParser(target=_Builder()))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise PromptError(f"cannot read {path} as XML: {error}") from error
    if root.tag != "annotation":
        return None
    width, height = (_number(root, f"size/{key}", str(path)) for key in ("width", "height"))
    size = size_of(side(f"{path}: size/width", width), side(f"{path}: size/height", height))
    entry = Entry(name, str(path), size)
    for number, found in enumerate(root.findall("object")):
        where = f"{path}: object {number}"
        kind = (found.findtext("name") or "").strip()
        if not kind:
            raise PromptError(f"{where} must have a name")
        x1, y1, x2, y2 = (_corner(found, key, where) for key in CORNERS)
        entry.add((x1 - 1, y1 - 1, x2, y2), kind, where, left_out)
    return entry


def _corner(found: ElementTree.Element, key: str, where: str) -> float:
    value = _number(found, f"bndbox/{key}", where)
    if value is None:
        raise PromptError(f"{where} must have bndbox/{key}, a number of pixels; its box is missing or incomplete")
    return value


def _number(element: ElementTree.Element, path: str, where: str) -> float | None:
    """The number of an element; None if there is none."""
    text = (element.findtext(path) or "").strip()
    if not text:
        return None
    value = options.plain_number(text)
    return options.number(
        f"{where}: {path}", text if value is None else value, -MOST_COORDINATE, MOST_COORDINATE, error=PromptError
    )
