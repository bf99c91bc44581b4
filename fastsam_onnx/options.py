"""The one place that checks what callers give: numbers and names, as values from Python or as text from elsewhere.

Every function returns the value as a plain `int`, `float` or `str` and takes NumPy's numbers like Python's own. A bool
is not a number here, whatever Python says: `conf=True` is a slip.
"""

from __future__ import annotations

import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from fastsam_onnx import elsewhere
from fastsam_onnx.arrays import array_of
from fastsam_onnx.errors import FastSAMError, OptionError
from fastsam_onnx.log import warn

if TYPE_CHECKING:
    from pathlib import Path

CountProgress = Callable[[int, int], None]
"""Called with the number of things that are done and the number of all."""
ShareProgress = Callable[[float, str], None]
"""Called with the share of the work that is done, 0 to 1, and the name of the step."""

DEFAULT_CONF = 0.4
DEFAULT_IOU = 0.9
DEFAULT_MAX_DET = 300
DEFAULT_IMGSZ = 1024
DEFAULT_OVERLAP = 0.25
DEFAULT_PIXEL_LIMIT = 178_956_970
"""Pillow's: 512 MiB of RGB."""
LARGEST_INPUT = 1 << 15
"""Maximum side of a network's input, pixels: such a square takes 13 GB alone."""
MIN_TILE, MAX_TILE = 64, 2**31 - 1
MAX_OVERLAP = 0.5
MIN_WHITE = 1e-30
"""Below, floats of a picture could not be told from zero."""

NO_NUMBERS = bool | np.timedelta64
"""Kinds of integers, say Python and NumPy, that are a slip where a number is asked for."""
MOST_SHOWN = 200
"""Maximum number of characters of a value in a message."""
MOST_INDEX = 2**53
"""Largest index, of a class for instance: up to here float64 holds every integer."""
OF_PICTURES = ("channel_order", "pixel_limit", "bands", "white")
"""Options of a call that say how its photo is read."""
MODEL_OPTIONS = ("imgsz", "conf", "iou", "max_det", "refine", "redraw")
"""Options of a call that `FastSAM` takes, too."""

NEVER_NONE = ("border_snap", "agnostic", "overlap")
"""Options of a call for which None means nothing."""

ChannelOrder = Literal["rgb", "bgr"]


class CallKeywords(TypedDict, total=False):
    """The fields of `CallOptions` as keyword arguments."""

    imgsz: int | tuple[int, int] | None
    conf: float | None
    iou: float | None
    max_det: int | None
    channel_order: ChannelOrder
    pixel_limit: int | None
    bands: Sequence[int] | None
    white: float | None
    border_snap: bool
    agnostic: bool
    refine: bool | None
    redraw: bool | None
    tile: int | None
    overlap: float


@dataclass(frozen=True)
class CallOptions:
    """The options of a call of `FastSAM`, checked; see there.

    Where one of `MODEL_OPTIONS` is None, the constructor's counts, then the file's own, then our default.
    """

    imgsz: int | tuple[int, int] | None = None
    conf: float | None = None
    iou: float | None = None
    max_det: int | None = None
    channel_order: ChannelOrder = "rgb"
    pixel_limit: int | None = DEFAULT_PIXEL_LIMIT
    bands: Sequence[int] | None = None
    white: float | None = None
    border_snap: bool = True
    agnostic: bool = True
    refine: bool | None = None
    redraw: bool | None = None
    tile: int | None = None
    overlap: float = DEFAULT_OVERLAP

    def __post_init__(self) -> None:
        """Keep them as Python's own numbers; raise an OptionError if one is outside its range."""
        choice("channel_order", self.channel_order, ("rgb", "bgr"))
        checks: dict[str, Callable[[Any], Any]] = {
            "imgsz": partial(input_size, "imgsz"),
            "conf": partial(fraction, "conf"),
            "iou": partial(fraction, "iou"),
            "max_det": partial(integer, "max_det"),
            "pixel_limit": partial(integer, "pixel_limit"),
            "bands": check_bands,
            "white": lambda white: number("white", white, MIN_WHITE),
            "border_snap": partial(boolean, "border_snap"),
            "agnostic": partial(boolean, "agnostic"),
            "refine": partial(boolean, "refine"),
            "redraw": partial(boolean, "redraw"),
            "tile": lambda tile: integer("tile", tile, MIN_TILE, MAX_TILE),
            "overlap": lambda overlap: number("overlap", overlap, 0, MAX_OVERLAP),
        }
        for name, check in checks.items():
            value = getattr(self, name)
            if value is not None or name in NEVER_NONE:
                object.__setattr__(self, name, check(value))


def set_attribute(model: object, name: str, value: object) -> None:
    """Set an attribute of a model; refuse `model.conf = 0.3`, which would change nothing."""
    if name in (each.name for each in fields(CallOptions)):
        raise OptionError(f"{name} of an open model cannot be set; give {name}= to a call, model(photo, {name}=...)")
    object.__setattr__(model, name, value)


def call_options(given: CallKeywords, *, beside: Sequence[str] = ()) -> CallOptions:
    """The options of a call of these names; OptionError, which lists those `beside` them, too, if one is not known."""
    elsewhere.check_names(elsewhere.A_CALL, given, [*(each.name for each in fields(CallOptions)), *beside])
    return CallOptions(**given)


@dataclass(frozen=True)
class DetectionOptions:
    """The options of a call where nothing is left open.

    Attributes:
        imgsz: (height, width) of the network's input.
        conf: Score that a detection must exceed.
        iou: IoU above which the lower-scoring one of two boxes is dropped; of two masks where masks are refined.
        max_det: Maximum number of detections.
        border_snap: True if boxes that nearly touch the border are moved onto it.
        agnostic: True if boxes of different classes suppress each other, too.
        refine: True if masks are refined, see `masks.refine`.
        redraw: True if objects are drawn anew by the network's decoder, if it has one, and masks are refined.
        covered: What counts against objects that lie on better ones, see `masks.adding.lowered`; 0 for nothing.
        is_tile: True if the picture is a tile of a photo: what fills it may go on beyond it.
    """

    imgsz: tuple[int, int]
    conf: float
    iou: float
    max_det: int
    border_snap: bool
    agnostic: bool
    refine: bool
    redraw: bool
    covered: float = 0.0
    is_tile: bool = False


def shown(value: Any) -> str:
    """A value in a message: the beginning of its repr, whatever it is."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = MOST_SHOWN
    try:
        text = repr(value[:MOST_SHOWN]) if isinstance(value, str | bytes) else short.repr(value)
    except Exception:  # integers of more digits than Python writes; Python 3.11 takes any class `array` for its own
        return f"<{type(value).__name__}>"
    return text[:MOST_SHOWN]


def check_tiles(tile: int, overlap: float) -> None:
    """Check the side of tiles in pixels of the photo, and the share of it that neighbours have in common.

    Raises:
        OptionError: If one of them is outside its range.
    """
    integer("tile", tile, MIN_TILE, MAX_TILE)
    number("overlap", overlap, 0, MAX_OVERLAP)


def check_bands(bands: Sequence[int]) -> tuple[int, ...]:
    """The bands as a tuple.

    Raises:
        OptionError: If they are not one or three integers from 1 on.
    """
    is_list = isinstance(bands, list | tuple) or (isinstance(bands, np.ndarray) and bands.ndim == 1)
    if not is_list or len(bands) not in (1, 3):
        raise OptionError(f"bands must be three numbers for red, green and blue, or one for grey, got {shown(bands)}")
    return tuple(integer("a number of bands", band) for band in bands)


def input_size(name: str, value: Any, order: str = "(height, width)") -> tuple[int, int]:
    """Two sides, of one integer for both or of a pair; OptionError, which names the order, otherwise."""
    if isinstance(value, int | np.integer):
        side = integer(name, value, 1, LARGEST_INPUT)
        return side, side
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise OptionError(f"{name} must be an integer or {order}, got {shown(value)}")
    return integer(f"{name}[0]", value[0], 1, LARGEST_INPUT), integer(f"{name}[1]", value[1], 1, LARGEST_INPUT)


def integer(
    name: str, value: Any, minimum: int = 1, maximum: int | None = None, *, error: type[FastSAMError] = OptionError
) -> int:
    """The value as an int.

    Args:
        name: Name in messages.
        value: An int or a NumPy integer.
        minimum: Lowest value accepted.
        maximum: Highest value accepted; None for no limit.
        error: Class of the exception.

    Raises:
        OptionError: If it is not an integer in the range.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, NO_NUMBERS)
    if not is_integer or value < minimum or (maximum is not None and value > maximum):
        raise error(f"{name} must be an integer{_span(minimum, maximum)}, got {shown(value)}")
    return int(value)


def number(
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    *,
    error: type[FastSAMError] = OptionError,
) -> float:
    """The value as a finite float.

    Args:
        name: Name in messages.
        value: A number, or a NumPy number.
        minimum: Lowest value accepted.
        maximum: Highest value accepted.
        error: Class of the exception.

    Raises:
        OptionError: If it is not a finite number in the range.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, NO_NUMBERS)
    try:
        plain = float(value) if is_number else math.nan
    except OverflowError:  # an int above every float
        plain = math.nan
    if not math.isfinite(plain) or not minimum <= plain <= maximum:
        raise error(f"{name} must be a number{_span(minimum, maximum)}, got {shown(value)}")
    return plain


def fraction(name: str, value: Any) -> float:
    """The value as a float from 0 to 1; OptionError otherwise."""
    return number(name, value, 0, 1)


def cosine(name: str, value: Any) -> float:
    """The value as a float from -1 to 1; OptionError otherwise."""
    return number(name, value, -1, 1)


def boolean(name: str, value: Any) -> bool:
    """The value as a bool; OptionError if it is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise OptionError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def text(name: str, value: Any) -> str:
    """The value, which must be a text; OptionError otherwise."""
    if not isinstance(value, str):
        raise OptionError(f"{name} must be a text, got {shown(value)}")
    return value


def texts(name: str, values: Any) -> list[str]:
    """The values, which must be a list of texts; OptionError otherwise, as of one text, whose letters are texts."""
    if not isinstance(values, list | tuple) or not all(isinstance(each, str) for each in values):
        raise OptionError(f"{name} must be a list of texts, got {shown(values)}")
    return list(values)


def path(name: str, value: Any) -> Path:
    """The value as a Path; OptionError if it is not the path of a file or folder."""
    from pathlib import Path

    try:
        spelling = os.fspath(value)
        possible = isinstance(spelling, str) and b"\0" not in os.fsencode(spelling)
    except (TypeError, UnicodeEncodeError):
        possible = False
    if not possible:
        raise OptionError(f"{name} must be the path of a file or folder, got {shown(value)}")
    return Path(value)


def function(name: str, value: Any) -> None:
    """OptionError unless the value is None or can be called."""
    if value is not None and not callable(value):
        raise OptionError(f"{name} must be a function, got {shown(value)}")


def choice(name: str, value: Any, accepted: Iterable[str]) -> str:
    """The value, which must be one of the accepted names.

    Raises:
        OptionError: If it is not.
    """
    names = tuple(accepted)
    if not isinstance(value, str) or value not in names:
        raise OptionError(f"{name} must be one of {', '.join(map(repr, names))}, got {shown(value)}")
    return value


def pair(name: str, value: Any, form: str = "(width, height)", maximum: int | None = None) -> tuple[int, int]:
    """The value as two integers of at least 0.

    Args:
        name: What messages call it.
        value: A tuple, list or flat array.
        form: The two, for messages.
        maximum: Highest value accepted; None for no limit.

    Raises:
        OptionError: If it is something else.
    """
    is_flat = isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.ndim == 1)
    if not is_flat or len(value) != 2:
        raise OptionError(f"{name} must be {form}, got {shown(value)}")
    first, second = (integer(f"a side of {name}", side, 0, maximum) for side in value)
    return first, second


def numbers(name: str, values: Any, *, error: type[FastSAMError] = OptionError) -> npt.NDArray[np.float64]:
    """Finite numbers as a float64 array. Texts are refused, although NumPy would read "1" as 1.

    Args:
        name: What messages call them.
        values: A number, a list, an array, or lists in lists of equal lengths.
        error: Class of the exception.

    Raises:
        OptionError: If there is something else.
    """
    try:
        given = array_of(values)
        is_text = given.dtype == object and any(isinstance(each, str | bytes) for each in given.flat)
        is_number = given.dtype.kind in "biufO" and not is_text  # a complex number would lose a part
        array = given.astype(np.float64) if is_number else None
    except (TypeError, ValueError, OverflowError) as failure:
        raise error(f"{name} must be numbers in a regular list or array, got {shown(values)} ({failure})") from failure
    if array is None:
        raise error(f"{name} must be numbers, got {shown(values)}")
    if not np.isfinite(array).all():
        raise error(f"{name} must be finite numbers, got {shown(values)}")
    return array


def coordinates(name: str, values: Any, *, error: type[FastSAMError] = OptionError) -> npt.NDArray[np.float64]:
    """`numbers` that are no bools: NumPy would read [True, 3] as [1, 3]."""
    if _has_bool(values):
        raise error(f"{name} must be numbers, got {shown(values)}")
    return numbers(name, values, error=error)


def _has_bool(values: Any) -> bool:
    if isinstance(values, list | tuple):
        return any(map(_has_bool, values))
    return isinstance(values, bool) or getattr(values, "dtype", None) == np.bool_


def json_value(name: str, text: Any, *, error: type[FastSAMError] = OptionError) -> Any:
    """The value of a JSON text, or of its bytes.

    Raises:
        OptionError: If it is something else, or an object in it has a name twice.
    """
    import json

    is_name = isinstance(text, os.PathLike) or (isinstance(text, str) and text.endswith(".json"))
    hint = "; give what is in the file, not its name" if is_name else ""
    if not isinstance(text, str | bytes | bytearray):
        raise error(f"{name} must be JSON as text or bytes, got {shown(text)}{hint}")
    try:
        return json.loads(text, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as failure:
        if getattr(failure, "msg", "") == "Extra data":
            hint = "; of JSON in several lines, such as a video's, give one"
        if isinstance(failure, UnicodeDecodeError) and not isinstance(text, str):
            raise error(
                f"{name} must be JSON, got {len(text)} bytes that are no text, {bytes(text[:16])!r}"
            ) from failure
        raise error(f"{name} must be JSON, got {shown(text)}: {failure}{hint}") from failure


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The names and values of a JSON object as a dict, for `object_pairs_hook`.

    Raises:
        ValueError: If a name is there twice: JSON does not say which value is meant, and Python takes the last.
    """
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise ValueError(f"{name[:80]!r} is there twice in one object")
        made[name] = value
    return made


def plain_number(text: str) -> float | None:
    """The number of a text such as "-0.4" or "1e-3"; None of others, also of what only Python reads ("0_4")."""
    is_number = re.fullmatch(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", text)
    return float(text) if is_number else None


def integer_from_text(name: str, text: str, minimum: int = 1, maximum: int | None = None) -> int:
    """`integer` of a text such as "640"; OptionError otherwise."""
    value = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
    return integer(name, value, minimum, maximum)


def number_from_text(name: str, text: str, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """`number` of a text such as "0.4"; OptionError otherwise."""
    value = plain_number(text)
    return number(name, text if value is None else value, minimum, maximum)


def input_size_from_text(name: str, text: str) -> int | tuple[int, int]:
    """An `imgsz` from text: "640" is 640, "1280x736" (width x height) is (736, 1280), (height, width).

    Raises:
        OptionError: If it is neither.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text)
    if match is None:
        raise OptionError(f"{name} must be a number of pixels (640) or WIDTHxHEIGHT (1280x736), got {shown(text)}")
    width, height = match.groups()
    return int(width) if height is None else (int(height), int(width))


def boolean_from_text(name: str, text: str) -> bool:
    """True of the text "true", False of "false"; OptionError otherwise."""
    if text not in ("true", "false"):
        raise OptionError(f"{name} must be true or false, got {shown(text)}")
    return text == "true"


def bands_from_text(name: str, text: str) -> tuple[int, ...]:
    """`check_bands` of a text such as "3,2,1", or "1"; OptionError otherwise."""
    if not re.fullmatch(r"[0-9]{1,6}(,[0-9]{1,6}){0,2}", text) or text.count(",") == 1:
        raise OptionError(
            f"{name} must be three bands as in 3,2,1 for red, green and blue, or one for grey, got {shown(text)}"
        )
    return check_bands([int(band) for band in text.split(",")])


def _span(minimum: float, maximum: float | None) -> str:
    has_minimum, has_maximum = minimum != -math.inf, maximum not in (None, math.inf)
    if has_minimum and has_maximum:
        return f" from {minimum} to {maximum}"
    return f" >= {minimum}" if has_minimum else f" <= {maximum}" if has_maximum else ""


def warn_of_shares(name: str, pixels: npt.NDArray[np.float64]) -> None:
    """Log that coordinates lie between 0 and 1, and not all on its ends: shares of the photo are given so elsewhere."""
    if ((pixels >= 0) & (pixels <= 1)).all() and (pixels % 1).any():
        warn(
            "%s are pixels of the photo, and the given ones all lie in its first: multiply shares, from 0 to 1, by its "
            "width and height",
            name,
        )
