"""A result as it is sent: in the format that is asked for, with that format's options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException

from fastsam_onnx.formats import registry as formats
from fastsam_onnx.masks.instances import Instances
from fastsam_onnx.masks.shown import Shown
from fastsam_onnx.masks.smoothing import MAX_RADIUS
from fastsam_onnx.options import boolean_from_text, integer_from_text, number_from_text
from fastsam_onnx.serve.archive import zip_files
from fastsam_onnx.serve.negotiate import Representation
from fastsam_onnx.serve.received import read_value

WRITTEN: Mapping[str, Callable[[str, str], Any]] = {
    "tolerance": partial(number_from_text, minimum=0),
    "soft": boolean_from_text,
    "whole": boolean_from_text,
    "grow": partial(integer_from_text, minimum=0, maximum=MAX_RADIUS),
}
"""Options of formats, those of `formats.WRITTEN`, each with the function that reads it."""
SHOWN: Mapping[str, Callable[[str, str], Any]] = {
    "min_area": partial(integer_from_text, minimum=0),
    "parts": boolean_from_text,
    "disjoint": boolean_from_text,
}
"""Parameters that leave out objects, or what they share, each with the function that reads it."""
WHOLE_PHOTOS = 2
"""Of cut-outs and masks that have the photo's size, and of layers, the most pixels together, in photos of the largest
size."""


@dataclass(frozen=True)
class Answer:
    """A result as it is sent.

    Attributes:
        body: Bytes of a file.
        media_type: Its content type.
        photo_key: Key under which the photo is remembered; None if it is not, or that is known.
        warnings: What the log was told meanwhile.
    """

    body: bytes
    media_type: str
    photo_key: str | None = None
    warnings: tuple[str, ...] = ()


def written_options(given: Mapping[str, str], form: str) -> dict[str, Any]:
    """The options of a format that say how it is written, as far as they were given.

    Raises:
        HTTPException: 422, if the format has no such option, or its value means nothing.
    """
    read = {}
    for name, value in WRITTEN.items():
        if name not in given:
            continue
        what, forms = formats.WRITTEN[name]
        if form not in forms:
            raise HTTPException(422, f"{name} is for {what} ({', '.join(forms)}), and {form} has none")
        read[name] = read_value(name, given[name], value)
    return read


def read_shown(given: Mapping[str, str]) -> Shown:
    """What is left of the objects. HTTPException 422 if a parameter means nothing."""
    return Shown(**{name: read_value(name, given[name], read) for name, read in SHOWN.items() if name in given})


def answer(found: Instances, form: Representation, options: Mapping[str, Any], pixels: int) -> Answer:
    """The result in this form.

    Args:
        found: The objects.
        form: What is asked for.
        options: Of its format.
        pixels: Maximum width times height of a photo.

    Raises:
        HTTPException: 422, if cut-outs, masks or layers together have too many pixels.
        FastSAMError: If the format cannot have it.
    """
    if formats.FORMATS[form.format].folder:
        if form.format == "masks" or options.get("whole"):
            _check_whole(found, form.format, pixels)
        else:
            _check_together(found, form.format, pixels)
        return Answer(zip_files(found, form.format, **options), form.media_type)
    if form.format == "psd":
        _check_together(found, "the layers of a psd", pixels)
    return Answer(formats.encode(found, form.format, suffix=form.suffix, **options), form.media_type)


def _check_whole(found: Instances, form: str, pixels: int) -> None:
    """Refuse pictures in the photo's size of so many objects that one request would take minutes."""
    width, height = found.image_size
    most = WHOLE_PHOTOS * pixels
    if len(found) * width * height > most:
        raise HTTPException(
            422,
            f"{form} of the photo's size must have at most {most} pixels together, and {len(found)} objects in "
            f"{width} x {height} pixels have more; ask for fewer objects by prompts or max_det"
            + (", or leave out whole" if form == "cutouts" else ""),
        )


def _check_together(found: Instances, what: str, pixels: int) -> None:
    """Refuse so many layers or cut-outs that they would fill the memory, or take minutes."""
    together, most = sum(mask.crop.size for mask in found.masks), WHOLE_PHOTOS * pixels
    if together > most:
        raise HTTPException(
            422,
            f"{what} must have at most {most} pixels together, and those of {len(found)} objects have {together}; "
            "ask for fewer objects by prompts or max_det",
        )
