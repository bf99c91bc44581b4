"""An HTTP function: a photo and prompts in, objects out: JSON, a cut-out, or another format.

`handler(event, context)` takes the event that an API gateway sends to AWS Lambda, of both payload formats (REST APIs
"1.0"; HTTP APIs and function URLs "2.0"), and gives the answer that it expects. README.md beside this file says how a
request looks and how the function is built.

Everything that a client can do wrong is a 4xx with a reason in {"error": ...}. Nothing is fetched, no path that a
client names is read, nothing is written.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from fastsam_onnx import FastSAM, ImageError, OptionError, OutputError, PromptError, Prompts, Segmentation
from fastsam_onnx.formats import FORMATS, encode
from fastsam_onnx.log import gathered, warning_header
from fastsam_onnx.masks.shown import Shown
from fastsam_onnx.options import boolean, integer, once_each

Json = dict[str, Any]

PIXEL_LIMIT = int(os.environ.get("FASTSAM_PIXEL_LIMIT", "25000000"))
"""Photos of more pixels are refused: 25 megapixels fit in 1 GB of memory, but for TIFFs of 64-bit floats."""
BODY_LIMIT = 10_000_000
"""Bytes of a request's body; gateways stop at 6 to 10 MB themselves."""
ANSWER_LIMIT = 6_000_000
"""Bytes of an answer; Lambda turns longer ones into a 502 without a reason."""
PROMPT_LIMIT = 256
OBJECT_LIMIT = 1000

DETECTION = ("conf", "iou", "max_det", "refine", "redraw")
READING = ("bands", "white")
SHOWN = ("min_area", "parts", "disjoint")
RENDERING = ("masks", "tolerance", "soft", "whole", "grow")
FIELDS = ("photo", "prompts", *DETECTION, *READING, "format", *SHOWN, *RENDERING)
ANSWERS = {name: next(iter(kind.media_types.values())) for name, kind in FORMATS.items() if not kind.folder}
"""Formats of an answer, and their content types."""
TEXTS = ("application/json", "application/geo+json", "image/svg+xml", "text/csv", "text/x-yolo")
"""Content types that are sent as they are, the others as base64."""

logger = logging.getLogger("fastsam_onnx.handler")

# Opened once per instance, while it starts: a path, or nothing for the bundled model.
model = FastSAM(os.environ.get("FASTSAM_MODEL") or None)


class RequestError(Exception):
    """A request that is not served.

    Attributes:
        status: The HTTP status, 4xx.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def handler(event: Mapping[str, Any], context: object = None) -> Json:
    """Answer one request.

    Args:
        event: What the gateway sends: "body", "isBase64Encoded", "headers", and the method.
        context: The platform's own; not used.

    Returns:
        {"statusCode", "headers", "body", "isBase64Encoded"}: 200 with the objects, or 4xx with {"error"}; 500 without
        details if the fault is here, which goes to the log.
    """
    with gathered() as warnings:
        answer = _respond(event)
    if warnings:
        answer["headers"]["warning"] = warning_header(warnings)
    return answer


def _respond(event: Mapping[str, Any]) -> Json:
    try:
        request = _request(event)
        form = _format(request)
        return _answer(200, _segment(request, form), ANSWERS[form])
    except RequestError as error:
        return _refusal(error.status, str(error))
    except (ImageError, PromptError, OptionError, OutputError) as error:
        return _refusal(422, str(error))
    except MemoryError:
        return _refusal(413, "the photo needs more memory than the function has")
    except Exception:
        logger.exception("a request failed")
        return _refusal(500, "the function failed; its log says why")


def _request(event: Mapping[str, Any]) -> Json:
    """The fields of the request, their names checked, without those that are null; "photo" is bytes."""
    method = _method(event)
    if method not in (None, "POST"):
        raise RequestError(405, f"the method must be POST, got {method}")
    query = event.get("queryStringParameters") or {}
    if query:
        raise RequestError(400, f"there must be no query, got {', '.join(map(repr, query))}; fields go in a JSON body")
    body = _body(event)
    kind = _header(event, "content-type").partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        if not event.get("isBase64Encoded"):  # its bytes are lost
            raise RequestError(400, f"the gateway sent the photo as text; name {kind} among its binary media types")
        return {"photo": body}
    try:
        fields = json.loads(body, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"the body is neither JSON nor, by its content type, a photo: {error}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("photo"), str):
        raise RequestError(400, 'the body must be {"photo": "<base64>", ...}')
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise RequestError(400, f"fields must be among {', '.join(FIELDS)}, got {', '.join(map(repr, unknown))}")
    data = fields["photo"]
    if data.startswith("data:"):
        data = data.partition(",")[2]
    given = {name: value for name, value in fields.items() if value is not None}
    return given | {"photo": _from_base64(data, "photo")}


def _format(request: Json) -> str:
    """The format of the answer, which must have the fields that say how it is written."""
    form = request.get("format", "json")
    if not isinstance(form, str) or form not in ANSWERS:
        raise RequestError(422, f"format must be one of {', '.join(ANSWERS)}, got {form!r}")
    own = [name for name in RENDERING if name in FORMATS[form].options]
    others = [name for name in RENDERING if name in request and name not in own]
    if others:
        raise RequestError(422, f"of {', '.join(RENDERING)} {form} has {', '.join(own) or 'none'}, got {others[0]}")
    return form


def _segment(request: Json, form: str) -> bytes:
    options = {name: request[name] for name in (*DETECTION, *READING) if name in request}
    max_det = options.get("max_det")
    if isinstance(max_det, int) and max_det > OBJECT_LIMIT:
        raise RequestError(422, f"max_det must be at most {OBJECT_LIMIT}, got {max_det}")
    tolerance = request.get("tolerance", 0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1000:
        raise RequestError(422, f"tolerance must be a number from 0 to 1000, in pixels, got {tolerance!r}")
    prompts = _prompts(request.get("prompts"))
    if not prompts.needs_objects:
        options.setdefault("redraw", False)  # nobody sees the objects
    found = model(request["photo"], pixel_limit=PIXEL_LIMIT, **options)
    rendering = {name: request[name] for name in RENDERING if name in request}
    chosen = _shown(request).of(found.prompt(prompts))
    if form == "psd":
        _check_layers(chosen)
    return encode(chosen, form, **prompts.format_options(form), **rendering)


def _shown(request: Mapping[str, Any]) -> Shown:
    """What the request leaves of the objects."""
    return Shown(
        min_area=integer("min_area", request.get("min_area", 0), 0),
        parts=boolean("parts", request.get("parts", True)),
        disjoint=boolean("disjoint", request.get("disjoint", False)),
    )


def _check_layers(chosen: Segmentation) -> None:
    """Refuse, before it is made, a file that could not be sent: its colours alone have three bytes a pixel."""
    width, height = chosen.image_size
    least = 4 * (width * height + sum(mask.crop.size for mask in chosen.masks))  # 4 characters of base64
    if least > ANSWER_LIMIT:
        raise RequestError(
            422,
            f"a psd of this photo and {len(chosen)} objects has more than {least} bytes, {ANSWER_LIMIT} can be sent; "
            "ask for fewer objects by prompts or max_det, or send a smaller photo",
        )


def _prompts(given: Any) -> Prompts:
    """The prompts of a request, checked before the network runs: they can mean something and are not too many."""
    if given is None:
        return Prompts()
    prompts = Prompts.from_value(given).limited(PIXEL_LIMIT)
    prompts.check()
    if prompts.count > PROMPT_LIMIT:
        raise RequestError(
            422, f"prompts must be at most {PROMPT_LIMIT} points, boxes, masks and texts, got {prompts.count}"
        )
    if prompts.needs_clip and model.clip is None:
        raise RequestError(422, "this function has no CLIP model, so it takes no texts, similar or classify")
    return prompts


def _method(event: Mapping[str, Any]) -> str | None:
    if "httpMethod" in event:  # payload 1.0
        return str(event["httpMethod"])
    http = (event.get("requestContext") or {}).get("http") or {}
    return http.get("method")


def _header(event: Mapping[str, Any], name: str) -> str:
    headers = event.get("headers") or {}
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")


def _body(event: Mapping[str, Any]) -> bytes:
    body = event.get("body")
    if not isinstance(body, str) or not body:
        raise RequestError(400, "the request has no body")
    data = _from_base64(body, "body") if event.get("isBase64Encoded") else body.encode("utf-8", "replace")
    if len(data) > BODY_LIMIT:
        raise RequestError(413, f"a body must have at most {BODY_LIMIT} bytes, got {len(data)}")
    return data


def _from_base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise RequestError(400, f"the {what} is not base64: {error}") from error


def _answer(status: int, content: bytes, media_type: str) -> Json:
    is_text = media_type in TEXTS
    body = content.decode() if is_text else base64.b64encode(content).decode()
    if len(body) > ANSWER_LIMIT:
        return _refusal(
            422,
            f"the answer has {len(body)} bytes, {ANSWER_LIMIT} can be sent: "
            'ask for masks "rle", a tolerance, fewer objects, or another format',
        )
    headers = {"content-type": media_type, "cache-control": "no-store"}
    if status == 405:
        headers["allow"] = "POST"
    return {"statusCode": status, "headers": headers, "body": body, "isBase64Encoded": not is_text}


def _refusal(status: int, reason: str) -> Json:
    return _answer(status, json.dumps({"error": reason}).encode(), "application/json")
