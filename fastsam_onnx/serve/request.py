"""A request from its bytes to its answer: a photo, prompts, options, and the format that is wanted.

Everything a client sends is checked here, and refused with a status and a reason that it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from fastsam_onnx.errors import FastSAMError, ModelError
from fastsam_onnx.masks.shown import Shown
from fastsam_onnx.options import (
    boolean_from_text,
    input_size_from_text,
    integer_from_text,
    number_from_text,
)
from fastsam_onnx.results.prompts import Prompts, listed
from fastsam_onnx.serve.answer import SHOWN, WRITTEN, Answer, answer, read_shown, written_options
from fastsam_onnx.serve.memory import Memory, Seen
from fastsam_onnx.serve.negotiate import Representation, negotiate
from fastsam_onnx.serve.received import (
    KEY_FIELD,
    PHOTO_FIELD,
    READING,
    Limits,
    RawRequest,
    check_names,
    check_photo,
    file_name,
    read_value,
    receive,
    refusal,
)

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM
    from fastsam_onnx.results.segmentation import Segmentation

_fraction = partial(number_from_text, minimum=0, maximum=1)
OPTIONS: Mapping[str, Callable[[str, str], Any]] = {
    "conf": _fraction,
    "iou": _fraction,
    "max_det": integer_from_text,
    "imgsz": input_size_from_text,
    "refine": boolean_from_text,
    "redraw": boolean_from_text,
    **READING,
}
"""Options of a call of the model, each with the function that reads it from its name and its text."""
PARAMETERS = ("prompts", "format", *SHOWN, *WRITTEN, *OPTIONS, "remember", KEY_FIELD)


@dataclass(frozen=True)
class SegmentRequest:
    """A request that was read and checked, but for the photo.

    Attributes:
        photo: Bytes of a picture file; None if it is remembered.
        source: File name of the photo, if it came with one.
        key: Key of a photo that is remembered; None if it was sent.
        remember: True if the photo is to be remembered.
        prompts: Which objects are wanted.
        options: Values of `OPTIONS`, as far as they were given.
        representation: Form of the answer.
        shown: What is left of the objects.
        written: Options of its format that say how it is written, as far as they were given.
    """

    photo: bytes | None
    source: str | None
    key: str | None
    remember: bool
    prompts: Prompts
    options: Mapping[str, Any]
    representation: Representation
    shown: Shown
    written: Mapping[str, Any]


def respond(model: FastSAM, raw: RawRequest, limits: Limits, memory: Memory) -> Answer:
    """Take a request all the way. This costs what a photo costs, so it is for a worker thread.

    Args:
        model: Finds the objects.
        raw: The request.
        limits: Limits on pixels and prompts.
        memory: Photos that are remembered.

    Raises:
        HTTPException: If the request is refused, with status and reason.
    """
    request = parse(raw, model, limits)
    if request.photo is not None:
        check_photo(request.photo, limits)
    form = request.representation
    try:
        found, key = _find(model, request, limits, memory)
        chosen = request.shown.of(request.prompts.choose(found))
        options = {**request.prompts.format_options(form.format), **request.written}
        return replace(answer(chosen, form, options, limits.pixels), photo_key=key)
    except ModelError:
        raise  # not the client's fault
    except FastSAMError as error:
        raise refusal(error, request.photo) from error


def _find(model: FastSAM, request: SegmentRequest, limits: Limits, memory: Memory) -> tuple[Segmentation, str | None]:
    """The objects of the photo, looked for unless they are remembered; the key of a photo that is remembered from now.

    Raises:
        HTTPException: 410, if a photo is remembered no longer.
        FastSAMError: If the model cannot be used, or the photo not be read.
    """
    is_seen = request.prompts.needs_objects
    options = {**({} if is_seen else {"redraw": False}), **request.options}
    seen = None if request.key is None else memory.recall(request.key, options, is_seen=is_seen)
    if seen is not None and (known := seen.found(options, is_seen=is_seen)) is not None:
        return known, None
    photo, source = (request.photo, request.source) if seen is None else (seen.photo, seen.source)
    assert photo is not None
    found = replace(model(photo, pixel_limit=limits.pixels, **options), source=source)
    if seen is None and not request.remember:
        return found, None
    key = memory.keep(Seen(photo, source, ((options, found),)))
    return found, key if request.remember else None


def parse(raw: RawRequest, model: FastSAM, limits: Limits) -> SegmentRequest:
    """Read a request and check everything but the photo itself.

    Raises:
        HTTPException: 400 for a damaged form, 415 for another kind of body, 406 if no form of the answer is accepted,
            422 for what is in it.
    """
    received = receive(raw, PHOTO_FIELD, "image/*", parameters=PARAMETERS)
    given, photo = received.parameters, received.files.get(PHOTO_FIELD)
    form = negotiate(raw.accept, given.get("format"))
    return SegmentRequest(
        photo=received.content(PHOTO_FIELD),
        source=None if photo is None else file_name(photo),
        key=given.get(KEY_FIELD),
        remember=_remember(given),
        prompts=read_prompts(given["prompts"], limits, has_texts=has_texts(model)) if "prompts" in given else Prompts(),
        options={name: _option(name, given[name], model) for name in OPTIONS if name in given},
        representation=form,
        shown=read_shown(given),
        written=written_options(given, form.format),
    )


def read_prompts(text: str, limits: Limits, *, has_texts: bool) -> Prompts:
    """Prompts from JSON, as `Prompts.from_json` reads them, checked.

    Args:
        text: The JSON.
        limits: Limits on their number.
        has_texts: Whether texts can be answered.

    Raises:
        HTTPException: 422, if they are malformed, too many, texts without CLIP, or too long as names.
    """
    try:
        prompts = Prompts.from_json(text).limited(limits.pixels)
        prompts.check()
    except FastSAMError as error:
        raise refusal(error) from error
    if prompts.count > limits.prompts:
        raise HTTPException(
            422, f"there must be at most {limits.prompts} points, boxes, masks and texts together, got {prompts.count}"
        )
    if prompts.needs_clip and not has_texts:
        raise HTTPException(
            422, "this server has no CLIP model, so it takes no texts, similar or classify; see text in /info"
        )
    check_names('"other" and each of "classify"', (*listed(prompts.classify), prompts.other or ""))
    return prompts


def has_texts(model: FastSAM) -> bool:
    """True if the model has CLIP, and so takes texts."""
    return getattr(model, "clip", None) is not None


def _remember(given: Mapping[str, str]) -> bool:
    if "remember" not in given:
        return False
    if KEY_FIELD in given:
        raise HTTPException(422, f"remember is for a photo that is sent, and {KEY_FIELD} names one that was")
    remember: bool = read_value("remember", given["remember"], boolean_from_text)
    return remember


def _option(name: str, text: str, model: FastSAM) -> Any:
    """An option's value, which must not ask for more than the server's own."""
    value = read_value(name, text, OPTIONS[name])
    if name == "max_det" and value > (maximum := model.options[name]):
        raise HTTPException(422, f"max_det must be at most {maximum} here, got {value}")
    if name == "imgsz":
        maximum = model.options[name]
        height, width = (value, value) if isinstance(value, int) else value
        if height > maximum[0] or width > maximum[1]:
            raise HTTPException(422, f"imgsz must be at most {maximum[1]}x{maximum[0]} here, got {width}x{height}")
    return value
