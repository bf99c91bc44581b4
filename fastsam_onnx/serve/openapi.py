"""The server described as OpenAPI 3.1, for clients that are generated and for tools that test.

What can be derived from the code is: parameters, formats, media types, limits. tests/serve/test_openapi.py compares
the rest, addresses, statuses and answers, with what the server does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastsam_onnx import __version__
from fastsam_onnx.formats.registry import OUTLINES
from fastsam_onnx.masks.smoothing import MAX_RADIUS
from fastsam_onnx.options import MIN_WHITE
from fastsam_onnx.serve import conversion
from fastsam_onnx.serve.negotiate import FORMAT_NAMES, REPRESENTATIONS
from fastsam_onnx.serve.received import KEY_FIELD, KEY_HEADER, PHOTO_FIELD, Limits
from fastsam_onnx.serve.schemas import JSON_SCHEMAS, Schema, object_with, reference, schemas

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


def describe(limits: Limits, defaults: Mapping[str, Any], *, has_token: bool, root: str = "") -> Schema:
    """The document.

    Args:
        limits: Limits of the server.
        defaults: Options of the model: conf, iou, max_det, imgsz, refine, redraw.
        has_token: Whether /segment, /convert and /info ask for a token.
        root: Path below which all addresses are, where another application mounts this one.
    """
    schemes: Schema = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if has_token else {}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fastsam-onnx",
            "version": __version__,
            "summary": "Segment everything in a photo, and pick objects by point, box or text.",
        },
        "servers": [{"url": root or "/"}],
        "paths": {
            "/segment": {"post": _secured(_segment(limits, defaults), has_token)},
            "/convert": {"post": _secured(_convert(limits, defaults), has_token)},
            "/info": {
                "get": _secured(_get("info", "Model, options, limits and formats.", reference("Info")), has_token)
            },
            "/healthz": {"get": _get("health", "Whether the server runs.", reference("Health"))},
            "/openapi.json": {"get": _get("description", "This document.", {"type": "object"})},
            "/": {"get": _get("page", "A page to try it in a browser.", {"type": "string"}, "text/html")},
            "/example.jpg": {"get": _example()},
        },
        "components": {"schemas": schemas(), **schemes},
    }


def _get(name: str, summary: str, schema: Schema, media_type: str = "application/json") -> Schema:
    answer = {"description": summary, "content": {media_type: {"schema": schema}}}
    return {"operationId": name, "summary": summary, "responses": {"200": answer}}


def _example() -> Schema:
    operation = _get("example", "A photo to try it with.", {}, "image/jpeg")
    operation["responses"]["404"] = _json("The installation has none.", reference("Error"))
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
            {"name": "prompts", "in": "query", "content": {"application/json": {"schema": reference("Prompts")}}},
            *_in_query(options),
        ],
        {
            "multipart/form-data": _form(
                {PHOTO_FIELD: photo, "prompts": reference("Prompts"), **options},
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
                {conversion.RESULT_FIELD: reference("Objects"), PHOTO_FIELD: photo, **options},
                {conversion.RESULT_FIELD: "application/json", PHOTO_FIELD: "image/*, application/octet-stream"},
                needed=[conversion.RESULT_FIELD],
            ),
            "application/json": {"schema": reference("Objects")},
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
    schema = object_with(fields, optional=set(fields).difference(needed))
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
        "min_area": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "Objects of fewer pixels are left out.",
        },
        "parts": {
            "type": "boolean",
            "default": True,
            "description": "Whether objects that lie in a larger one by nine tenths of their pixels are in the answer.",
        },
        "disjoint": {
            "type": "boolean",
            "default": False,
            "description": "Whether each pixel is in one object at most, the smallest that has it; objects that keep "
            "none are left out.",
        },
        "tolerance": {
            "type": "number",
            "minimum": 0,
            "description": f"Distance in pixels by which the outlines of {', '.join(OUTLINES)} may stray to save "
            "points; 0 is exact.",
        },
        "soft": {
            "type": "boolean",
            "default": False,
            "description": "Whether cut-outs and layers have soft edges that follow those of the photo.",
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
    return {name: {"schema": JSON_SCHEMAS.get(name, {})} for name in names}


def _json(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusal(status: int) -> Schema:
    response = _json(REFUSALS[status], reference("Error"))
    if status == 503:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return response
