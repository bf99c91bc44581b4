"""COCO's instances file: photos, boxes and classes in one JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastsam_onnx import options
from fastsam_onnx.errors import PromptError
from fastsam_onnx.labels.entries import (
    Box,
    Entry,
    LeftOut,
    around,
    coordinates,
    list_of,
    object_of,
    side,
    size_of,
    text_of,
)


@dataclass(frozen=True)
class CocoFile:
    """What a file holds.

    Attributes:
        entries: The photos.
        names: Names of the classes by index, their place among the ids.
        category_ids: Their ids, by index.
    """

    entries: list[Entry]
    names: dict[int, str]
    category_ids: tuple[int, ...]


def is_coco(document: Any) -> bool:
    """True for an object with images and annotations."""
    return isinstance(document, dict) and {"images", "annotations"} <= document.keys()


def read_coco(document: Mapping[str, Any], place: str, left_out: LeftOut) -> CocoFile:
    """The photos, boxes and classes of a file.

    Args:
        document: Its JSON.
        place: Its path, for messages.
        left_out: Counts crowds, and boxes without area.

    Raises:
        PromptError: If something is missing or malformed.
    """
    annotations = list_of(f"{place}: annotations", document["annotations"])
    entries = _entries(list_of(f"{place}: images", document["images"]), place)
    names = _names(list_of(f"{place}: categories", document.get("categories")), annotations, place)
    index = {id_: place for place, id_ in enumerate(names)}
    for number, one in enumerate(annotations):
        where = f"{place}: annotation {number}"
        annotation = object_of(where, one)
        entry = entries.get(_id(f"{where}: image_id", annotation.get("image_id")))
        if entry is None:
            raise PromptError(f"{where}: image_id must be one of images, got {options.shown(annotation['image_id'])}")
        category = annotation.get("category_id")
        if isinstance(category, bool) or not isinstance(category, int) or category not in index:
            raise PromptError(f"{where}: category_id must be one of categories, got {options.shown(category)}")
        if annotation.get("iscrowd") in (1, True):
            left_out.add("crowds", where)
            continue
        entry.add(_box(annotation, where), index[category], where, left_out)
    return CocoFile(list(entries.values()), dict(enumerate(names.values())), tuple(names))


def _entries(images: list[Any], place: str) -> dict[int | str, Entry]:
    """An entry for each photo, by its id."""
    entries: dict[int | str, Entry] = {}
    for number, one in enumerate(images):
        where = f"{place}: image {number}"
        image = object_of(where, one)
        id_ = _id(f"{where}: id", image.get("id"))
        if id_ in entries:
            raise PromptError(f"{where}: every photo must have an id of its own, got {options.shown(id_)} again")
        name = text_of(f"{where}: file_name", image.get("file_name")).replace("\\", "/")
        size = size_of(*(side(f"{where}: {key}", image.get(key)) for key in ("width", "height")))
        entries[id_] = Entry(name, place, size, id_)
    return entries


def _id(name: str, value: Any) -> int | str:
    """An id of a photo: some programs write texts."""
    return value if isinstance(value, str) else options.integer(name, value, 0, options.MOST_INDEX, error=PromptError)


def _names(categories: list[Any], annotations: list[Any], place: str) -> dict[int, str]:
    """The names of the classes, by their ids, sorted; of two of one name the one that has objects (Roboflow's root)."""
    names: dict[int, str] = {}
    for number, one in enumerate(categories):
        where = f"{place}: category {number}"
        category = object_of(where, one)
        id_ = options.integer(f"{where}: id", category.get("id"), 0, options.MOST_INDEX, error=PromptError)
        if id_ in names:
            raise PromptError(f"{where}: every category must have an id of its own, got {id_} again")
        names[id_] = text_of(f"{where}: name", category.get("name"))
    count = Counter(names.values())
    used = {one["category_id"] for one in annotations if isinstance(one, dict) and _is_integer(one.get("category_id"))}
    kept = {id_: name for id_, name in sorted(names.items()) if count[name] == 1 or id_ in used}
    for id_, name in kept.items():
        if count[name] > 1 and (twin := next((k for k, n in kept.items() if n == name and k < id_), None)) is not None:
            raise PromptError(f"{place}: categories {twin} and {id_} have one name, {name!r}; give one of them another")
    return kept


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _box(annotation: Mapping[str, Any], where: str) -> Box:
    bbox, outlines = annotation.get("bbox"), annotation.get("segmentation")
    if bbox:
        values = coordinates(f"{where}: bbox", bbox)
        if len(values) != 4 or min(values[2:]) < 0:
            raise PromptError(
                f"{where}: bbox must be [x, y, width, height] in pixels, width and height of at least 0, got "
                f"{options.shown(bbox)}"
            )
        x, y, width, height = values
        if (width and height) or not isinstance(outlines, list) or not outlines:  # some write zeros for no box
            return x, y, x + width, y + height
    if not isinstance(outlines, list) or not outlines:
        raise PromptError(f"{where} must have a bbox, or a segmentation of polygons, got {options.shown(annotation)}")
    points = []
    for one in outlines:
        values = coordinates(f"{where}: an outline", one)
        if len(values) < 6 or len(values) % 2:
            raise PromptError(f"{where}: an outline must be [x, y, x, y, x, y, ...], got {options.shown(one)}")
        points += values
    return around(points)
