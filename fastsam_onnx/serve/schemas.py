"""What the server is sent and answers, as JSON Schemas of its description.

What can be derived from the code is: picks, prompts that belong together, facts of objects. tests/serve/test_openapi.py
compares the rest with what the server takes and answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from fastsam_onnx.formats.native import FACTS
from fastsam_onnx.results.prompts import OPTIONS
from fastsam_onnx.results.rules import Match, Pick
from fastsam_onnx.serve.negotiate import FORMAT_NAMES

Schema = dict[str, Any]

_NUMBER: Schema = {"type": "number"}
_PAIR: Schema = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_NONE_YET: Schema = {"type": "array", "maxItems": 0}
_FOUR: Schema = {"type": "array", "items": _NUMBER, "minItems": 4, "maxItems": 4}
_LABEL: Schema = {"enum": [0, 1]}


def schemas() -> dict[str, Schema]:
    """All that others refer to, by name."""
    return {
        "Prompts": {"oneOf": [_prompts(), _filled({"oneOf": _entries()})]},
        **_answers(),
        "Info": object_with(
            {
                "version": {"type": "string"},
                "model": {"type": "string"},
                "file": {"type": "string"},
                "text": {"type": "boolean"},
                "defaults": {"type": "object"},
                "limits": {"type": "object"},
                "workers": {"type": "integer"},
                "answers": {
                    "type": "array",
                    "items": object_with({"media_type": {}, "format": {"enum": FORMAT_NAMES}}),
                },
            }
        ),
        "Health": object_with({"status": {"const": "ok"}, "waiting": {"type": "integer"}}),
        "Error": object_with({"error": {"type": "string"}}),
    }


def _answers() -> dict[str, Schema]:
    """Schemas of the formats that are JSON."""
    record: dict[str, Schema] = {"segmentation": _RLE, "bbox": _FOUR}
    coco: dict[str, Schema] = {
        "image_id": {"type": ["integer", "string"]},
        "category_id": {"type": "integer"},
        **record,
        "score": _NUMBER,
        "predicted_iou": _NUMBER,
    }
    labelme = {"shapes": {"type": "array"}, "imageWidth": {"type": "integer"}, "imageHeight": {"type": "integer"}}
    collection = {"type": {"const": "FeatureCollection"}, "features": {"type": "array"}}
    return {
        "Objects": object_with(
            {
                "format": {"const": "fastsam-onnx"},
                "version": {"const": 1},
                "source": {"type": ["string", "null"], "description": "Name of the uploaded file."},
                "width": {"type": "integer"},
                "height": {"type": "integer"},
                "names": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "description": "Of all classes, by index.",
                },
                "georeference": _place(),
                "known": {
                    "type": "array",
                    "items": {"enum": list(FACTS)},
                    "description": "Where there are no objects: what they would have.",
                },
                "objects": {"type": "array", "items": _found()},
            },
            optional=("names", "georeference", "known"),
        ),
        "CocoResults": {"type": "array", "items": object_with(coco, optional=("predicted_iou",), closed=False)},
        "Labelme": object_with(labelme, closed=False),
        "SamRecords": {"type": "array", "items": object_with({**record, "predicted_iou": _NUMBER}, closed=False)},
        "GeoJson": object_with(collection, closed=False),
    }


def _place() -> Schema:
    affine = {"type": ["array", "null"], "items": _NUMBER, "minItems": 6, "maxItems": 6}
    crs = {"type": ["string", "null"]}
    return {
        **object_with({"affine": affine, "crs": crs, "missing": {"type": "string"}}),
        "description": "Place of a GeoTIFF on a map.",
    }


def _found() -> Schema:
    return object_with(
        {
            "index": {"type": "integer"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "box": {**_FOUR, "description": "x1, y1, x2, y2 in pixels of the upright photo."},
            "area": {"type": "integer", "minimum": 0},
            "prompt_index": {"type": ["integer", "null"], "description": "The prompt that the object answers."},
            "predicted_iou": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "IoU with the thing that it shows, as the decoder that drew it expects.",
            },
            "similarity": {"type": "number", "minimum": -1, "maximum": 1},
            "label": {"type": "integer", "minimum": 0, "description": "Class, where the network tells classes apart."},
            "name": {"type": "string", "description": "Name of the class."},
            "track_id": {"type": "integer", "minimum": 1, "description": "Number of an object of a video."},
            "rle": {**_RLE, "description": "Run lengths as COCO's tools write them."},
        },
        optional=("predicted_iou", "similarity", "label", "name", "track_id"),
    )


def _prompts() -> Schema:
    points = {"anyOf": [_PAIR, _filled(_PAIR), _filled(_filled(_PAIR)), {"type": "null"}]}
    labels = {"anyOf": [_LABEL, _filled(_LABEL), _filled(_filled(_LABEL)), {"type": "null"}]}
    some_points, some_labels = ({"anyOf": [*each["anyOf"], _NONE_YET]} for each in (points, labels))
    schema = object_with(
        {
            "points": {**points, "description": "x, y in pixels; (k, 2) ask for one object, (g, k, 2) for g."},
            "labels": {**labels, "description": "1 foreground, 0 background; one for every point."},
            "pick": {"enum": list(get_args(Pick))},
            "boxes": {"anyOf": [_FOUR, _filled(_FOUR), {"type": "null"}], "description": "x1, y1, x2, y2 in pixels."},
            "match": {"enum": list(get_args(Match))},
            "box_points": {**some_points, "description": "x, y in the box; (b, k, 2) for b boxes: corrections."},
            "box_labels": {
                **some_labels,
                "description": "1 where the object is, 0 where not; one for every point in a box.",
            },
            **_of_texts(),
            "masks": {
                "anyOf": [_GIVEN_MASK, _filled(_GIVEN_MASK), {"type": "null"}],
                "description": "Of the photo's size: run lengths, or outlines in pixels, flat or as pairs.",
            },
            "mask_points": {**some_points, "description": "x, y; (b, k, 2) for b masks: corrections."},
            "mask_labels": {
                **some_labels,
                "description": "1 where the object is, 0 where not; one for every point that corrects a mask.",
            },
        }
    )
    null = {"type": "null"}
    with_kind = {
        option: {
            "anyOf": [
                {"properties": {option: null}},
                *({"required": [kind], "properties": {kind: {"not": null}}} for kind in kinds),
            ]
        }
        for option, kinds in OPTIONS.items()
    }
    return {**schema, "required": [], "dependentSchemas": with_kind}


def _of_texts() -> dict[str, Schema]:
    """Prompts that CLIP answers, and classes."""
    text = {"type": "string", "pattern": r"\S"}
    one_class = {"type": ["string", "integer"]}
    return {
        "texts": {"anyOf": [text, _filled(text), {"type": "null"}], "description": "Where text in /info is true."},
        "negative": {
            "anyOf": [text, _filled(text), {"type": "null"}],
            "description": "What the objects must fit less than the text.",
        },
        "top_k": {"type": ["integer", "null"], "minimum": 1},
        "threshold": {"type": ["number", "null"], "minimum": -1, "maximum": 1},
        "classes": {"anyOf": [one_class, _filled(one_class), {"type": "null"}], "description": "Names or indices."},
        "classify": {
            "anyOf": [text, _filled(text), {"type": "null"}],
            "description": "Names that objects get; where text in /info is true.",
        },
        "other": {
            "type": ["string", "null"],
            "pattern": r"\S",
            "description": "Name of objects that fit none of classify.",
        },
        "similar": {
            "type": ["number", "null"],
            "minimum": -1,
            "maximum": 1,
            "description": "All objects more similar than this to what is meant; where text in /info is true.",
        },
    }


def _entries() -> list[Schema]:
    """The entries of the list that rembg and samexporter share."""
    point = object_with({"type": {"const": "point"}, "data": _PAIR, "label": _LABEL}, optional=("label",), closed=False)
    return [point, object_with({"type": {"const": "rectangle"}, "data": _FOUR}, closed=False)]


def object_with(properties: Mapping[str, Schema], *, optional: Iterable[str] = (), closed: bool = True) -> Schema:
    """An object with properties, all needed but the optional ones; `closed`: no others."""
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }
    return {**schema, "additionalProperties": False} if closed else schema


def _filled(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def reference(name: str) -> Schema:
    """To one of `schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


_LENGTH: Schema = {"type": "integer", "minimum": 0}
_SIZE: Schema = {"type": "array", "items": _LENGTH, "minItems": 2, "maxItems": 2}
_RLE = object_with({"size": _SIZE, "counts": {"type": "string"}})
_GIVEN_RLE = object_with({"size": _SIZE, "counts": {"type": ["string", "array"], "items": _LENGTH}}, closed=False)
_RING: Schema = {
    "anyOf": [
        {"type": "array", "items": _NUMBER, "minItems": 6},
        {"type": "array", "items": _PAIR, "minItems": 3},
    ]
}
_POLYGON = {
    "anyOf": [
        *_RING["anyOf"],
        object_with({"exterior": _RING, "holes": {"type": "array", "items": _RING}}, optional=("holes",), closed=False),
    ]
}
_OUTLINES = object_with({"size": _SIZE, "polygons": _filled(_POLYGON)}, closed=False)
_GIVEN_MASK = {"anyOf": [_GIVEN_RLE, _OUTLINES]}
JSON_SCHEMAS: Mapping[str, Schema] = {
    "application/json": {"anyOf": [reference(name) for name in ("Objects", "CocoResults", "Labelme", "SamRecords")]},
    "application/geo+json": reference("GeoJson"),
}
"""Schemas of answers by media type, of those that are JSON."""
