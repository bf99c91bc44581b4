"""What a client of the server asks for: a photo, prompts, options, and the form of the answer.

Everything a client sends is checked here, and refused with the status and the reason that it is told.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from fastsam_onnx.cli import arguments as cli_inputs
from fastsam_onnx.errors import FastSAMError, ImageError, ModelError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.images.header import read_header
from fastsam_onnx.images.load import source_name

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.segmentation import Segmentation

PHOTO_FIELD = "photo"
OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "conf": cli_inputs.fraction,
    "iou": cli_inputs.fraction,
    "max_det": cli_inputs.whole,
    "imgsz": cli_inputs.input_size,
}
PARAMETERS = ("prompts", "format", *OPTIONS)
PROMPTS: Mapping[str, Sequence[str]] = {
    "points": ("labels", "pick"),
    "boxes": ("match",),
    "texts": ("top_k", "threshold"),
}
"""The kinds of prompts and the options of each, as the methods of `Segmentation` call them."""
_MAX_PARTS = 16
_MAX_FIELD_BYTES = 1 << 20
_MAX_REASON = 500


@dataclass(frozen=True)
class Limits:
    """What the server takes; more is refused.

    Attributes:
        body_bytes: Bytes of one request.
        pixels: Width times height of a photo.
        prompts: Points, boxes and texts of one request, together.
        queue: Requests that wait for a worker.
        held_bytes: Bytes of all requests that are being received or wait.
        body_seconds: A request must have arrived by then.
    """

    body_bytes: int = 32 << 20
    pixels: int = 50_000_000
    prompts: int = 200
    queue: int = 32
    held_bytes: int = 256 << 20
    body_seconds: float = 30.0


@dataclass(frozen=True)
class Answer:
    """A form in which a result goes back.

    Attributes:
        media_type: As in Accept and Content-Type.
        format: A name in `formats.FORMATS`.
        suffix: What kind of file, where the format has several.
    """

    media_type: str
    format: str
    suffix: str


ANSWERS = (
    Answer("application/json", "json", ".json"),
    Answer("application/json", "coco", ".json"),
    Answer("application/json", "labelme", ".json"),
    Answer("application/json", "sam", ".json"),
    Answer("image/png", "overlay", ".png"),
    Answer("image/png", "labels", ".png"),
    Answer("image/jpeg", "overlay", ".jpg"),
    Answer("image/webp", "overlay", ".webp"),
    Answer("image/svg+xml", "svg", ".svg"),
    Answer("application/geo+json", "geojson", ".geojson"),
)


@dataclass(frozen=True)
class Sent:
    """A request as it came.

    Attributes:
        body: A picture file, or a multipart form with one.
        content_type: Of the body; may be empty.
        query: Names and values behind the address.
    """

    body: bytes
    content_type: str = ""
    query: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Prompts:
    """Which objects are wanted; all of them without points, boxes and texts.

    Attributes:
        points: As `Segmentation.point_prompt` takes them.
        boxes: As `Segmentation.box_prompt` takes them.
        texts: As `Segmentation.text_prompt` takes them.
        options: What else was given, by the names of `PROMPTS`.
    """

    points: Any = None
    boxes: Any = None
    texts: list[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def choose(self, found: Segmentation) -> Segmentation:
        """The rows that answer: those of the points, of the boxes, of the texts; `prompt_index` counts on.

        Raises:
            FastSAMError: A prompt is malformed.
        """
        from fastsam_onnx.results.segmentation import join_answers

        answers = []
        if self.points is not None:
            asked = len(self.points) if _depth(self.points) == 3 else 1
            answers.append((found.point_prompt(self.points, **self._options("points")), asked))
        if self.boxes is not None:
            asked = len(self.boxes) if _depth(self.boxes) == 2 else 1
            answers.append((found.box_prompt(self.boxes, **self._options("boxes")), asked))
        if self.texts is not None:
            answers.append((found.text_prompt(self.texts, **self._options("texts")), len(self.texts)))
        return join_answers(answers) if answers else found

    def _options(self, kind: str) -> dict[str, Any]:
        return {name: self.options[name] for name in PROMPTS[kind] if name in self.options}


@dataclass(frozen=True)
class Asked:
    """A request that was understood.

    Attributes:
        photo: The bytes of a picture file.
        prompts: Which objects are wanted.
        options: conf, iou, max_det, imgsz, those that were given.
    """

    photo: bytes
    prompts: Prompts
    options: dict[str, Any]


def answer(model: FastSAM, sent: Sent, wanted: Answer, limits: Limits) -> bytes:
    """Take a request all the way. Costs what a photo costs: for a worker thread.

    Args:
        model: Finds the objects.
        sent: The request.
        wanted: The form of the result.
        limits: On pixels and prompts.

    Raises:
        HTTPException: The request is refused, with status and reason.
    """
    asked = understand(sent, model, limits)
    _check_photo(asked.photo, limits)
    try:
        found = model(asked.photo, pixel_limit=limits.pixels, **asked.options)
        chosen = asked.prompts.choose(found)
        return formats.encode(chosen, wanted.format, suffix=wanted.suffix)
    except ModelError:
        raise  # not the client's fault
    except FastSAMError as error:
        reason = str(error).removeprefix(f"cannot read {source_name(asked.photo)}: ")
        if isinstance(error, ImageError):
            reason = f"the photo cannot be read: {reason}"
        raise HTTPException(422, reason[:_MAX_REASON]) from error


def understand(sent: Sent, model: FastSAM, limits: Limits) -> Asked:
    """Check what was sent, but for the photo itself.

    Raises:
        HTTPException: 400 for a form that is none, 415 for another kind of body, 422 for what is in it.
    """
    if not sent.body:
        raise HTTPException(422, "the request is empty; send a photo as its body, or in a multipart form")
    kind, options = parse_options_header(sent.content_type)
    if kind == b"multipart/form-data":
        parts = read_form(sent.body, options.get(b"boundary", b""))
    elif kind in (b"", b"application/octet-stream") or kind.startswith(b"image/"):
        parts = [(PHOTO_FIELD, sent.body)]
    else:
        raise HTTPException(
            415, "send a photo as image/* or application/octet-stream, or multipart/form-data with a field 'photo'"
        )
    photos = [content for name, content in parts if name == PHOTO_FIELD]
    if len(photos) != 1:
        raise HTTPException(422, f"one photo is needed, in a field named 'photo'; found {len(photos)}")
    fields = [(name, _text(name, content)) for name, content in parts if name != PHOTO_FIELD]
    given = _parameters([*sent.query, *fields])
    read = {name: _option(name, given[name], model) for name in OPTIONS if name in given}
    prompts = read_prompts(given["prompts"], limits, has_texts=has_texts(model)) if "prompts" in given else Prompts()
    return Asked(photos[0], prompts, read)


def read_prompts(text: str, limits: Limits, *, has_texts: bool) -> Prompts:
    """Prompts from JSON: an object with some of the keys in `PROMPTS`.

    Raises:
        HTTPException: 422.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, f"prompts is no JSON: {error}") from error
    keys = [key for kind, options in PROMPTS.items() for key in (kind, *options)]
    if not isinstance(given, dict) or not set(given) <= set(keys):
        raise HTTPException(422, f"prompts is a JSON object with some of {', '.join(keys)}")
    for kind, options in PROMPTS.items():
        for name in options:
            if name in given and given.get(kind) is None:
                raise HTTPException(422, f"{name} is given without {kind}")
    texts = _texts(given.pop("texts", None))
    if texts is not None and not has_texts:
        raise HTTPException(422, "this server has no CLIP model, so it takes no texts; see text in /info")
    points, boxes = given.pop("points", None), given.pop("boxes", None)
    count = _count(points, 2) + _count(boxes, 4) + len(texts or ())
    if count > limits.prompts:
        raise HTTPException(422, f"there are {count} points, boxes and texts; this server takes {limits.prompts}")
    _check_options(given)
    return Prompts(points, boxes, texts, given)


def read_form(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    """The parts of a multipart/form-data body: name and content.

    Raises:
        HTTPException: 400 if it is none, or has too many parts.
    """
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise HTTPException(400, f"the multipart form is damaged: {error}") from error
    if not form.ended:
        raise HTTPException(400, "the multipart form is cut short, or its boundary is not the one in Content-Type")
    return form.parts


def negotiate(accept: str, asked_format: str | None) -> Answer:
    """The form of the answer.

    Args:
        accept: The header; a media type may carry `format=`, as in "image/png;format=labels".
        asked_format: The query's `format`, which goes first.

    Raises:
        HTTPException: 422 for a format that is not known, 406 if nothing fits.
    """
    answers = [one for one in ANSWERS if asked_format in (None, one.format)]
    names = ", ".join(dict.fromkeys(one.format for one in ANSWERS))
    if not answers:
        raise HTTPException(422, f"format is one of {names}; found {asked_format!r}")
    ranges = _media_ranges(accept) or [("*/*", None, 1.0)]
    ranked = [(_quality(one, ranges), -index) for index, one in enumerate(answers)]
    (quality, _), place = max(ranked)
    if quality <= 0:
        types = ", ".join(dict.fromkeys(one.media_type for one in answers))
        raise HTTPException(406, f"an answer can be {types}, with format= {names}; Accept wants none of these")
    return answers[-place]


def has_texts(model: FastSAM) -> bool:
    """Whether the model has CLIP, and so takes texts."""
    return getattr(model, "clip", None) is not None


class _Form:
    """Collects the parts while the parser walks over the body."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, bytes]] = []
        self.ended = False
        self._pieces: list[bytes] = []
        self._header = {"name": b"", "value": b""}
        self._name: str | None = None

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._head("name", data[start:end]),
            "on_header_value": lambda data, start, end: self._head("value", data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._pieces.append(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.parts) == _MAX_PARTS:
            raise HTTPException(400, f"the multipart form has more than {_MAX_PARTS} parts")
        self._pieces, self._name = [], None

    def _head(self, which: str, piece: bytes) -> None:
        self._header[which] += piece

    def _header_end(self) -> None:
        if self._header["name"].lower() == b"content-disposition":
            _, options = parse_options_header(self._header["value"])
            self._name = options[b"name"].decode("utf-8", "replace") if b"name" in options else None
        self._header = {"name": b"", "value": b""}

    def _end(self) -> None:
        if self._name is None:
            raise HTTPException(400, "a part of the multipart form has no Content-Disposition with a name")
        self.parts.append((self._name, b"".join(self._pieces)))

    def _finish(self) -> None:
        self.ended = True


def _check_photo(photo: bytes, limits: Limits) -> None:
    try:
        header = read_header(photo)
    except ImageError as error:
        raise HTTPException(422, f"the photo cannot be read: {error}") from error
    if header.width * header.height > limits.pixels:
        raise HTTPException(
            413, f"the photo has {header.width} x {header.height} pixels; this server takes {limits.pixels} at most"
        )


def _parameters(given: Sequence[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in given]
    for name in names:
        if name not in PARAMETERS:
            raise HTTPException(422, f"{name[:80]!r} is not known; there are {', '.join(PARAMETERS)}, and the photo")
        if names.count(name) > 1:
            raise HTTPException(422, f"{name} is given {names.count(name)} times")
    return dict(given)


def _option(name: str, text: str, model: FastSAM) -> Any:
    try:
        value = OPTIONS[name](text)
    except argparse.ArgumentTypeError as error:
        raise HTTPException(422, f"{name}: {str(error)[:200]}") from error
    own = model.options[name]
    if name == "max_det" and value > own:
        raise HTTPException(422, f"max_det is {value}; this server gives {own} at most")
    if name == "imgsz":
        height, width = (value, value) if isinstance(value, int) else value
        if height > own[0] or width > own[1]:
            raise HTTPException(422, f"imgsz is {width}x{height}; this server computes {own[1]}x{own[0]} at most")
    return value


def _text(name: str, content: bytes) -> str:
    if len(content) > _MAX_FIELD_BYTES:
        raise HTTPException(422, f"{name[:80]!r} has more than {_MAX_FIELD_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise HTTPException(422, f"{name[:80]!r} is no UTF-8 text") from error


def _texts(value: Any) -> list[str] | None:
    texts = [value] if isinstance(value, str) else value
    if texts is None:
        return None
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) and one.strip() for one in texts):
        raise HTTPException(422, "texts is a text or a list of texts that say something")
    return texts


def _check_options(given: Mapping[str, Any]) -> None:
    """Their types; their values are the business of the methods that take them."""
    expected: dict[str, tuple[str, Any]] = {
        "pick": ("a word", str),
        "match": ("a word", str),
        "top_k": ("a whole number, or null", int | None),
        "threshold": ("a number, or null", int | float | None),
    }
    for name, (what, kind) in expected.items():
        if name in given and (isinstance(given[name], bool) or not isinstance(given[name], kind)):
            raise HTTPException(422, f"{name} is {what}; found {json.dumps(given[name])[:80]}")


def _count(value: Any, numbers: int) -> int:
    """How many points or boxes are meant, before their shape is checked: numbers anywhere, by so many."""
    if not isinstance(value, list):
        return 0
    left, leaves = list(value), 0
    while left:
        one = left.pop()
        if isinstance(one, list):
            left += one
        else:
            leaves += 1
    return -(-leaves // numbers)


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        value, depth = value[0] if value else None, depth + 1
    return depth


def _media_ranges(accept: str) -> list[tuple[str, str | None, float]]:
    """Media type, its format= if any, and its quality."""
    ranges = []
    for text in accept.split(","):
        kind, *parameters = (part.strip() for part in text.split(";"))
        named = dict(one.split("=", 1) for one in parameters if "=" in one)
        try:
            quality = float(named.get("q", "1"))
        except ValueError:
            quality = 0.0
        if kind:
            ranges.append((kind.lower(), named.get("format"), quality))
    return ranges


def _quality(one: Answer, ranges: Sequence[tuple[str, str | None, float]]) -> tuple[float, int]:
    """The quality that the most specific fitting range gives an answer, and how specific that is; (0, 0) for none."""
    best = (0, 0.0)
    for kind, asked_format, quality in ranges:
        patterns = {"*/*": 1, f"{one.media_type.split('/')[0]}/*": 2, one.media_type: 3}
        if kind in patterns and asked_format in (None, one.format):
            best = max(best, (patterns[kind] + (asked_format is not None), quality))
    return best[1], best[0]
