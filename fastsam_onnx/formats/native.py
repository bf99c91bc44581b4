"""The package's own JSON: the objects of a result and what is known of them, written and read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastsam_onnx import options
from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.geojson import six_numbers
from fastsam_onnx.formats.text import Json, json_text, numbers, object_facts
from fastsam_onnx.masks.instances import Instances, check_found
from fastsam_onnx.masks.mask import Mask

if TYPE_CHECKING:
    from fastsam_onnx.images.geotiff import Georeference

MaskForm = Literal["rle", "polygons"]
FACTS = {
    "prompt_index": ("prompt_index", np.int64),
    "similarity": ("similarity", np.float32),
    "track_id": ("track_ids", np.int64),
}
"""What may be known of objects, by its name in their records: the attribute of the result, and its type."""


def to_dict(found: Instances, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> Json:
    """The objects and what is known of them, as plain Python: not the photo, nor what else the network offered.

    Args:
        found: The objects.
        masks: "rle" for COCO's compressed run lengths (exact and small; `Mask.from_rle` and pycocotools read them) or
            "polygons".
        tolerance: Distance in pixels by which the outlines of polygons may stray to save points; 0 is exact.

    Returns:
        {"format": "fastsam-onnx", "version": 1, "source": file name or None, "width", "height": pixels, if the network
        tells classes apart "names" {index as text: name}, if the photo was a GeoTIFF "georeference" (the fields of
        `Georeference`), if there is no object "known" (those of "prompt_index", "similarity" and "track_id" that
        objects would have), "objects": [...]}. An object has "index", "score" (0 to 1), "box" [x1, y1, x2, y2] (the
        detector's, image pixels, right and bottom exclusive), "area" (pixels), "prompt_index" (the prompt it answers,
        or None), if the decoder drew its mask "predicted_iou" (0 to 1, as in `Mask`), if it answers a text "similarity"
        (a cosine, -1 to 1), if the network tells classes apart "label" (the index of its class) and "name" (that of the
        class), if it was tracked "track_id" (its number in every frame, from 1), and either "rle" {"size": [H, W],
        "counts"} or "polygons" [{"exterior": [[x, y], ...], "holes": [[[x, y], ...], ...]}, ...] along the edges of the
        pixels, pixel (0, 0) covering [0, 1) x [0, 1).

    Raises:
        OptionError: If `masks` is neither, or the tolerance is not a number of at least 0, or given for run lengths.
    """
    check_found(found)
    options.choice("masks", masks, get_args(MaskForm))
    tolerance = options.number("tolerance", tolerance, 0)
    if tolerance and masks == "rle":
        raise OptionError(
            f'tolerance is for outlines, and masks="rle" are exact, got {tolerance:g}; say masks="polygons", or leave '
            "it out"
        )
    objects = []
    for index, instance in enumerate(found):
        record = object_facts(index, instance)
        if masks == "rle":
            record["rle"] = instance.mask.rle()
        else:
            record["polygons"] = [
                {"exterior": numbers(polygon.exterior), "holes": [numbers(hole) for hole in polygon.holes]}
                for polygon in instance.mask.polygons(tolerance)
            ]
        objects.append(record)
    width, height = found.image_size
    return {
        "format": "fastsam-onnx",
        "version": 1,
        "source": found.source,
        "width": width,
        "height": height,
        **_photo_facts(found),
        "objects": objects,
    }


def _photo_facts(found: Instances) -> Json:
    """{"names", "georeference", "known"}: what is known of all objects together; without what is not."""
    facts: Json = {}
    if found.labels is not None:
        facts["names"] = {str(index): name for index, name in (found.names or {}).items()}
    if found.georeference is not None:
        facts["georeference"] = asdict(found.georeference)
    known = [name for name, (attribute, _) in FACTS.items() if getattr(found, attribute) is not None]
    if known and not len(found):  # objects say it themselves
        facts["known"] = known
    return facts


def to_json(found: Instances, *, masks: MaskForm = "rle", tolerance: float = 0.0) -> str:
    """`to_dict` as JSON text, one object a line.

    Raises:
        OptionError: As in `to_dict`.
    """
    return json_text(to_dict(found, masks=masks, tolerance=tolerance))


def read_json(
    text: str | bytes,
    *,
    pixel_limit: int | None = options.DEFAULT_PIXEL_LIMIT,
    masks_limit: int | None = None,
) -> Instances:
    """The objects of a JSON text that `to_json` wrote with run lengths.

    Args:
        text: The text, or the bytes of a file.
        pixel_limit: Maximum of width x height; None for no limit.
        masks_limit: As in `from_dict`.

    Raises:
        OptionError: If it is something else, or damaged.
    """
    return from_dict(options.json_value("a result", text), pixel_limit=pixel_limit, masks_limit=masks_limit)


def with_photo(found: Instances, photo: ByteArray, name: str = "the photo") -> Instances:
    """The same objects with their photo, (H, W, 3) uint8 RGB, which messages call `name`.

    Raises:
        OptionError: If it is of another size.
    """
    (width, height), (given_width, given_height) = found.image_size, photo.shape[1::-1]
    if (width, height) != (given_width, given_height):
        raise OptionError(
            f"{name} must be that of the result, {width} x {height} pixels, got {given_width} x {given_height}"
        )
    return replace(found, image=photo)


def from_dict(
    document: Mapping[str, Any],
    *,
    pixel_limit: int | None = options.DEFAULT_PIXEL_LIMIT,
    masks_limit: int | None = None,
) -> Instances:
    """The objects of what `to_dict` gave with run lengths; prompts choose among them alone, as in a selection.

    Args:
        document: As `to_dict` describes it.
        pixel_limit: Maximum of width x height; None for no limit.
        masks_limit: Maximum number of pixels in the rectangles around the masks together, of which each takes a byte;
            None for no limit. Of those that anybody may send, a few characters can mean a mask as large as the photo.

    Raises:
        OptionError: If it is something else, or damaged.
    """
    if not isinstance(document, Mapping) or document.get("format") != "fastsam-onnx" or document.get("version") != 1:
        raise OptionError(
            'a result must be an object with "format": "fastsam-onnx" and "version": 1, as to_json and '
            f"`segment --format json` write it; other formats are not read back; got {_in_words(document)}"
        )
    width, height = (options.integer(name, document.get(name)) for name in ("width", "height"))
    if pixel_limit is not None and width * height > options.integer("pixel_limit", pixel_limit):
        raise OptionError(f"a result must be of a photo of at most {pixel_limit} pixels, got {width} x {height}")
    source = document.get("source")
    records = document.get("objects")
    if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
        raise OptionError(f'"objects" must be a list of objects, got {options.shown(records)}')
    masks = _masks_of(records, (width, height), masks_limit)
    found = Instances.from_masks(
        masks,
        [options.fraction(f"object {index}: score", one.get("score")) for index, one in enumerate(records)],
        np.array([_box_of(index, record) for index, record in enumerate(records)]).reshape(-1, 4),
        image_size=(width, height),
        source=None if source is None else options.text("source", source),
        prompt_index=_all_integers(records, "prompt_index"),
    )
    found = replace(found, georeference=_place_of(document.get("georeference")))
    labels, names = _all_integers(records, "label"), document.get("names")
    if names is None and labels is not None:  # of an earlier version: those of the objects
        names = {label: record["name"] for label, record in zip(labels, records, strict=True) if "name" in record}
    if names is not None:
        if records and labels is None:
            raise OptionError('objects must have a "label" each where there are "names"')
        found = replace(found, labels=np.array(labels or [], np.int64), names=_names_of(names))
    _check_names_of_objects(records, found)
    track_ids = _all_integers(records, "track_id")
    if track_ids is not None:
        found = replace(found, track_ids=np.array(track_ids, np.int64))
    if not records:
        return replace(found, **_known_of_none(document.get("known", [])))
    if not _all_have(records, "similarity"):
        return found
    cosines = [
        options.cosine(f"object {index}: similarity", one.get("similarity")) for index, one in enumerate(records)
    ]
    return replace(found, similarity=np.array(cosines, np.float32))


def _in_words(document: Any) -> str:
    """What a document is that is none of ours, or of another version."""
    if isinstance(document, list):
        return f"a list of length {len(document)}"
    if not isinstance(document, Mapping):
        return options.shown(document)
    if "format" in document:
        return ", ".join(f'"{name}": {options.shown(document.get(name))}' for name in ("format", "version"))
    names = ", ".join(map(options.shown, list(document)[:5]))
    return f"an object with {names}" if names else "an empty object"


def _known_of_none(names: Any) -> dict[str, Any]:
    """The attributes of a result without objects, by the names that would be in their records."""
    if not isinstance(names, list) or any(name not in tuple(FACTS) for name in names):
        raise OptionError(f'"known" must be a list of some of {", ".join(FACTS)}, got {options.shown(names)}')
    return {attribute: np.zeros(0, dtype) for attribute, dtype in (FACTS[name] for name in names)}


def _masks_of(records: Sequence[Mapping[str, Any]], image_size: tuple[int, int], masks_limit: int | None) -> list[Mask]:
    """The masks of all records, read one after the other as long as there is room."""
    most = None if masks_limit is None else options.integer("masks_limit", masks_limit)
    masks, held = [], 0
    for index, record in enumerate(records):
        masks.append(_mask_of(index, record, image_size))
        held += masks[-1].crop.size
        if most is not None and held > most:
            raise OptionError(
                f"the rectangles around the masks must have at most {most} pixels together, and those of the first "
                f"{index + 1} objects have {held}; give fewer objects"
            )
    return masks


def _mask_of(index: int, record: Mapping[str, Any], image_size: tuple[int, int]) -> Mask:
    """The mask of a record, which must be of the photo's size and have the area that is beside it."""
    if "rle" not in record:
        raise OptionError(
            f'object {index} has no run lengths ("rle"); write the JSON with masks="rle", polygons are not read back'
        )
    width, height = image_size
    rle = record["rle"]
    size = rle.get("size") if isinstance(rle, Mapping) else None
    if size != [height, width]:
        raise OptionError(f"object {index} must have run lengths of size {[height, width]}, got {options.shown(size)}")
    mask = Mask.from_rle(rle, pixel_limit=None)  # that of the photo's size holds
    expected = record.get("predicted_iou")
    if expected is not None:
        mask = replace(mask, predicted_iou=options.fraction(f"object {index}: predicted_iou", expected))
    if "area" in record and mask.area != record["area"]:
        raise OptionError(
            f"object {index} is damaged: its area is {options.shown(record['area'])}, its mask has {mask.area} pixels"
        )
    return mask


def _box_of(index: int, record: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    box = options.numbers(f"object {index}: box", record.get("box"))
    if box.shape != (4,):
        raise OptionError(f"object {index}: box must be x1, y1, x2, y2, got {options.shown(record.get('box'))}")
    return box


def _names_of(names: Any) -> dict[int, str]:
    """The names of classes by index, which JSON has as a text."""
    if not isinstance(names, Mapping):
        raise OptionError(f'"names" must be an object, names of classes by index, got {options.shown(names)}')
    return {
        options.integer_from_text('an index in "names"', str(index), 0, options.MOST_INDEX): options.text("name", name)
        for index, name in names.items()
    }


def _check_names_of_objects(records: Sequence[Mapping[str, Any]], found: Instances) -> None:
    """OptionError if an object's "name" is not that of its class: one of the two was changed, and one would be lost."""
    for index, (record, one) in enumerate(zip(records, found, strict=True)):
        if record.get("name", one.name) != one.name:
            told = "it has no label" if one.label is None else f"its label is {one.label}, which is {one.name!r}"
            raise OptionError(f"object {index}: its name is {options.shown(record['name'])}, and {told}")


def _place_of(record: Any) -> Georeference | None:
    if record is None:
        return None
    from fastsam_onnx.images.geotiff import Georeference

    if not isinstance(record, Mapping) or set(record) != {"affine", "crs", "missing"}:
        raise OptionError(f'"georeference" must have "affine", "crs" and "missing", got {options.shown(record)}')
    affine, crs = record["affine"], record["crs"]
    if affine is not None:
        a, b, c, d, e, f = six_numbers(affine).tolist()
        affine = (a, b, c, d, e, f)
    crs = None if crs is None else options.text("crs", crs)
    return Georeference(affine, crs, options.text("missing", record["missing"]))


def _all_integers(records: Sequence[Mapping[str, Any]], name: str) -> list[int] | None:
    """A value of every object; None if none has one."""
    if not _all_have(records, name):
        return None
    return [
        options.integer(f"object {index}: {name}", one[name], 0, options.MOST_INDEX)
        for index, one in enumerate(records)
    ]


def _all_have(records: Sequence[Mapping[str, Any]], name: str) -> bool:
    """True if each object has the value, False if none has; OptionError if some have it, as of several answers."""
    count = sum(record.get(name) is not None for record in records)
    if count not in (0, len(records)):
        raise OptionError(
            f'all objects must have a "{name}", or none (null, or left out), got {count} of {len(records)} with one'
        )
    return count > 0
