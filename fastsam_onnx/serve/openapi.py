"""The server described as OpenAPI 3.1, for clients that are generated and for tools that test.

What can be derived from the code is: parameters, formats, media types, limits. tests/serve/test_openapi.py compares
the rest, addresses, statuses and answers, with what the server does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from fastsam_onnx import __version__
from fastsam_onnx.formats.native import FACTS
from fastsam_onnx.formats.registry import OUTLINES
from fastsam_onnx.masks.mask import MAX_RADIUS
from fastsam_onnx.options import MIN_WHITE
from fastsam_onnx.results.prompts import OPTIONS
from fastsam_onnx.results.rules import Match, Pick
from fastsam_onnx.serve import conversion
from fastsam_onnx.serve.negotiate import FORMAT_NAMES, REPRESENTATIONS
from fastsam_onnx.serve.received import KEY_FIELD, KEY_HEADER, PHOTO_FIELD, Limits

Schema = dict[str, Any]

REFUSALS = {
    400: "The body is not the form that its content type says, or the connection was cut.",
    401: "The token is missing or wrong.",
    406: "Accept allows nothing that can be sent.",
    408: "The request did not arrive in time.",
    410: "The photo of this key is not remembered, or no longer; send it again.",
    413: "The request or the result has too many bytes, or the photo too many pixels.",
    415: "The body is neither the file that is asked for nor a multipart form.",
    422: "A parameter or prompt is malformed, or the photo cannot be read.",
    431: "Accept is too long.",
    500: "The server failed; the reason is in its log.",
    503: "Too many requests wait; try again after Retry-After seconds.",
}
"""Statuses of refusals of /segment and /convert, and their meanings."""

_NUMBER: Schema = {"type": "number"}
_PAIR: Schema = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_FOUR: Schema = {"type": "array", "items": _NUMBER, "minItems": 4, "maxItems": 4}
_LABEL: Schema = {"enum": [0, 1]}


def describe(limits: Limits, defaults: Mapping[str, Any], *, has_token: bool) -> Schema:
    """The document.

    Args:
        limits: Limits of the server.
        defaults: Options of the model: conf, iou, max_det, imgsz, refine, redraw.
        has_token: Whether /segment, /convert and /info ask for a token.
    """
    schemes: Schema = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if has_token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fastsam-onnx",
            "version": __version__,
            "summary": "Segment everything in a photo, and pick objects by point, box or text.",
        },
        "paths": {
            "/segment": {"post": _secured(_segment(limits, defaults), has_token)},
            "/convert": {"post": _secured(_convert(limits, defaults), has_token)},
            "/info": {"get": _secured(_get("info", "Model, options, limits and formats.", _ref("Info")), has_token)},
            "/healthz": {"get": _get("health", "Whether the server runs.", _ref("Health"))},
            "/openapi.json": {"get": _get("description", "This document.", {"type": "object"})},
            "/": {"get": _get("page", "A page to try it in a browser.", {"type": "string"}, "text/html")},
            "/example.jpg": {"get": _example()},
        },
        "components": {"schemas": _schemas(), **schemes},
    }


def _get(name: str, summary: str, schema: Schema, media_type: str = "application/json") -> Schema:
    answer = {"description": summary, "content": {media_type: {"schema": schema}}}
    return {"operationId": name, "summary": summary, "responses": {"200": answer}}


def _example() -> Schema:
    operation = _get("example", "A photo to try it with.", {}, "image/jpeg")
    operation["responses"]["404"] = _json("The installation has none.", _ref("Error"))
    return operation


def _secured(operation: Schema, has_token: bool) -> Schema:
    """The operation with the token that it asks for, and its refusal, where there is one."""
    if not has_token:
        return operation
    responses = {**operation["responses"], "401": _refusal(401)}
    return {**operation, "responses": responses, "security": [{"token": []}]}


def _segment(limits: Limits, defaults: Mapping[str, Any]) -> Schema:
    options = _options(defaults) | _remembering(limits)
    photo: Schema = {"description": f"A picture file of at most {limits.pixels} pixels."}
    operation = _post(
        "segment",
        "Find the objects of a photo, all or those that prompts mean.",
        f"A request must have at most {limits.body_bytes} bytes, {limits.prompts} points, boxes, masks and texts, "
        f"and arrive within {limits.body_seconds:g} seconds. Parameters go in the query or in the form, each once. "
        f"{KEY_FIELD} stands in the place of a photo that is remembered.",
        [
            {"name": "prompts", "in": "query", "content": {"application/json": {"schema": _ref("Prompts")}}},
            *_in_query(options),
        ],
        {
            "multipart/form-data": _form(
                {PHOTO_FIELD: photo, "prompts": _ref("Prompts"), **options},
                {PHOTO_FIELD: "image/*, application/octet-stream", "prompts": "application/json"},
                needed=[],
            ),
            "image/*": {"schema": photo},
            "application/octet-stream": {"schema": photo},
        },
        has_file=False,  # it may be remembered
    )
    operation["responses"]["200"]["headers"][KEY_HEADER] = {
        "schema": {"type": "string"},
        "description": "Key of a photo that is remembered now.",
    }
    return operation


def _convert(limits: Limits, defaults: Mapping[str, Any]) -> Schema:
    known = _options(defaults) | _remembering(limits)
    options = {name: schema for name, schema in known.items() if name in conversion.PARAMETERS}
    photo: Schema = {"description": f"Its picture file, of at most {limits.pixels} pixels; for formats that show it."}
    result: Schema = {
        "description": f"What /segment answered as JSON, of at most {conversion.MOST_RESULT_BYTES} bytes."
    }
    return _post(
        "convert",
        "Write a result in another format.",
        "A result, all of it or a part, or with objects of several answers, which then have a prompt_index, a "
        "similarity and a label all of them or none. Parameters go in the query or in the form, each once.",
        _in_query(options),
        {
            "multipart/form-data": _form(
                {conversion.RESULT_FIELD: _ref("Objects"), PHOTO_FIELD: photo, **options},
                {conversion.RESULT_FIELD: "application/json", PHOTO_FIELD: "image/*, application/octet-stream"},
                needed=[conversion.RESULT_FIELD],
            ),
            "application/json": {"schema": _ref("Objects")},
            "application/octet-stream": {"schema": result},
        },
        has_file=True,
    )


def _post(
    name: str,
    summary: str,
    description: str,
    parameters: list[Schema],
    contents: Mapping[str, Schema],
    *,
    has_file: bool,
) -> Schema:
    """An operation that answers with a result; `has_file`: whether there is always a body."""
    return {
        "operationId": name,
        "summary": summary,
        "description": description,
        "parameters": parameters,
        "requestBody": {"required": has_file, "content": dict(contents)},
        "responses": {
            "200": {
                "description": "The objects, as Accept or format asks for them.",
                "content": _contents(),
                "headers": {
                    "Warning": {
                        "schema": {"type": "string"},
                        "description": "What the answer was warned of, such as points that look like shares: "
                        '299 - "text", with commas between.',
                    }
                },
            },
            **{str(status): _refusal(status) for status in REFUSALS if status != 401},
        },
    }


def _in_query(options: Mapping[str, Schema]) -> list[Schema]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in options.items()]


def _form(fields: Mapping[str, Schema], types: Mapping[str, str], *, needed: Sequence[str]) -> Schema:
    """A multipart form; `types`: content types of fields."""
    schema = _object(fields, optional=set(fields).difference(needed))
    return {"schema": schema, "encoding": {name: {"contentType": kind} for name, kind in types.items()}}


def _options(defaults: Mapping[str, Any]) -> dict[str, Schema]:
    height, width = defaults["imgsz"]
    fraction: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "format": {"type": "string", "enum": list(FORMAT_NAMES)},
        **_rendering(),
        "conf": {**fraction, "default": defaults["conf"], "description": "Lowest score of an object."},
        "iou": {
            **fraction,
            "default": defaults["iou"],
            "description": "Overlap above which the lower-scoring of two objects is dropped.",
        },
        "max_det": {
            "type": "integer",
            "minimum": 1,
            "maximum": defaults["max_det"],
            "default": defaults["max_det"],
            "description": "Maximum number of objects.",
        },
        "imgsz": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,5}(x[1-9][0-9]{0,5})?$",
            "description": f"Size of the network's input, one side or WIDTHxHEIGHT, at most {width}x{height}.",
        },
        "refine": {
            "type": "boolean",
            "default": defaults["refine"],
            "description": "Whether masks go on where their box ends, specks, holes and doubles go, and answers "
            "to points and boxes are drawn anew if the model can.",
        },
        "redraw": {
            "type": "boolean",
            "default": defaults["redraw"],
            "description": "Whether every object is drawn anew where a closer look at the photo shows more, if the "
            "model can and refine is true.",
        },
        **_reading(),
    }


def _rendering() -> dict[str, Schema]:
    """How the answer is written."""
    return {
        "tolerance": {
            "type": "number",
            "minimum": 0,
            "description": f"Distance in pixels by which the outlines of {', '.join(OUTLINES)} may stray to save "
            "points; 0 is exact.",
        },
        "soft": {
            "type": "boolean",
            "default": False,
            "description": "Whether cut-outs have soft edges that follow those of the photo.",
        },
        "whole": {
            "type": "boolean",
            "default": False,
            "description": "Whether cut-outs have the size of the photo, each where it lay.",
        },
        "grow": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_RADIUS,
            "default": 0,
            "description": "Number of pixels by which the white of masks reaches beyond the objects.",
        },
    }


def _reading() -> dict[str, Schema]:
    """How the photo is read."""
    return {
        "bands": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,5}(,[1-9][0-9]{0,5},[1-9][0-9]{0,5})?$",
            "description": "Bands of a TIFF that are red, green and blue, as in 4,3,2, or one for grey; from 1.",
        },
        "white": {
            "type": "number",
            "minimum": MIN_WHITE,
            "description": "Sample value of white where it is not the largest of its type, such as 4095 for 12 bits.",
        },
    }


def _remembering(limits: Limits) -> dict[str, Schema]:
    return {
        "remember": {
            "type": "boolean",
            "default": False,
            "description": "Whether the photo is kept in memory, until "
            f"{limits.remembered_seconds:g} seconds after its last use, or until {limits.remembered} others came; then "
            f"the answer's header {KEY_HEADER} is its key.",
        },
        KEY_FIELD: {"type": "string", "description": "Key of a photo that is remembered, in the place of its file."},
    }


def _contents() -> dict[str, Schema]:
    """Schema of the answer for each media type; JSON comes in several formats."""
    names = dict.fromkeys(one.media_type for one in REPRESENTATIONS)
    return {name: {"schema": _JSON_SCHEMAS.get(name, {})} for name in names}


def _schemas() -> dict[str, Schema]:
    return {
        "Prompts": {"oneOf": [_prompts(), {"type": "array", "items": {"oneOf": _entries()}}]},
        **_answers(),
        "Info": _object(
            {
                "version": {"type": "string"},
                "model": {"type": "string"},
                "file": {"type": "string"},
                "text": {"type": "boolean"},
                "defaults": {"type": "object"},
                "limits": {"type": "object"},
                "workers": {"type": "integer"},
                "answers": {"type": "array", "items": _object({"media_type": {}, "format": {"enum": FORMAT_NAMES}})},
            }
        ),
        "Health": _object({"status": {"const": "ok"}, "waiting": {"type": "integer"}}),
        "Error": _object({"error": {"type": "string"}}),
    }


def _answers() -> dict[str, Schema]:
    """Schemas of the formats that are JSON."""
    record: dict[str, Schema] = {"segmentation": _RLE, "bbox": _FOUR}
    coco: dict[str, Schema] = {
        "image_id": {"type": ["integer", "string"]},
        "category_id": {"type": "integer"},
        **record,
        "score": _NUMBER,
    }
    labelme = {"shapes": {"type": "array"}, "imageWidth": {"type": "integer"}, "imageHeight": {"type": "integer"}}
    collection = {"type": {"const": "FeatureCollection"}, "features": {"type": "array"}}
    return {
        "Objects": _object(
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
        "CocoResults": {"type": "array", "items": _object(coco, closed=False)},
        "Labelme": _object(labelme, closed=False),
        "SamRecords": {"type": "array", "items": _object({**record, "predicted_iou": _NUMBER}, closed=False)},
        "GeoJson": _object(collection, closed=False),
    }


def _place() -> Schema:
    affine = {"type": ["array", "null"], "items": _NUMBER, "minItems": 6, "maxItems": 6}
    crs = {"type": ["string", "null"]}
    return {
        **_object({"affine": affine, "crs": crs, "missing": {"type": "string"}}),
        "description": "Place of a GeoTIFF on a map.",
    }


def _found() -> Schema:
    return _object(
        {
            "index": {"type": "integer"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "box": {**_FOUR, "description": "x1, y1, x2, y2 in pixels of the upright photo."},
            "area": {"type": "integer", "minimum": 0},
            "prompt_index": {"type": ["integer", "null"], "description": "The prompt that the object answers."},
            "similarity": {"type": "number", "minimum": -1, "maximum": 1},
            "label": {"type": "integer", "minimum": 0, "description": "Class, where the network tells classes apart."},
            "name": {"type": "string", "description": "Name of the class."},
            "track_id": {"type": "integer", "minimum": 1, "description": "Number of an object of a video."},
            "rle": {**_RLE, "description": "Run lengths as COCO's tools write them."},
        },
        optional=("similarity", "label", "name", "track_id"),
    )


def _prompts() -> Schema:
    points = {"anyOf": [_PAIR, _filled(_PAIR), _filled(_filled(_PAIR)), {"type": "null"}]}
    labels = {"anyOf": [_LABEL, _filled(_LABEL), _filled(_filled(_LABEL)), {"type": "null"}]}
    schema = _object(
        {
            "points": {**points, "description": "x, y in pixels; (k, 2) ask for one object, (g, k, 2) for g."},
            "labels": {**labels, "description": "1 foreground, 0 background; one for every point."},
            "pick": {"enum": list(get_args(Pick))},
            "boxes": {"anyOf": [_FOUR, _filled(_FOUR), {"type": "null"}], "description": "x1, y1, x2, y2 in pixels."},
            "match": {"enum": list(get_args(Match))},
            "box_points": {**points, "description": "x, y in the box; (b, k, 2) for b boxes: corrections."},
            "box_labels": {
                **labels,
                "description": "1 where the object is, 0 where not; one for every point in a box.",
            },
            **_of_texts(),
            "masks": {
                "anyOf": [_GIVEN_RLE, _filled(_GIVEN_RLE), {"type": "null"}],
                "description": "Of the photo's size.",
            },
            "mask_points": {**points, "description": "x, y; (b, k, 2) for b masks: corrections."},
            "mask_labels": {
                **labels,
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
    point = _object({"type": {"const": "point"}, "data": _PAIR, "label": _LABEL}, optional=("label",), closed=False)
    return [point, _object({"type": {"const": "rectangle"}, "data": _FOUR}, closed=False)]


def _object(properties: Mapping[str, Schema], *, optional: Iterable[str] = (), closed: bool = True) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }
    return {**schema, "additionalProperties": False} if closed else schema


def _filled(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusal(status: int) -> Schema:
    response = _json(REFUSALS[status], _ref("Error"))
    if status == 503:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return response


_LENGTH: Schema = {"type": "integer", "minimum": 0}
_SIZE: Schema = {"type": "array", "items": _LENGTH, "minItems": 2, "maxItems": 2}
_RLE = _object({"size": _SIZE, "counts": {"type": "string"}})
_GIVEN_RLE = _object({"size": _SIZE, "counts": {"type": ["string", "array"], "items": _LENGTH}}, closed=False)
_JSON_SCHEMAS: Mapping[str, Schema] = {
    "application/json": {"anyOf": [_ref(name) for name in ("Objects", "CocoResults", "Labelme", "SamRecords")]},
    "application/geo+json": _ref("GeoJson"),
}
