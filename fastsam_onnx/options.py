"""What callers give, checked in one place: numbers and names, as values from Python or as text from elsewhere.

Every function returns the value as a plain `int`, `float` or `str` and takes NumPy's numbers like Python's own. A bool
is not a number here, whatever Python says: `conf=True` is a slip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastsam_onnx.errors import FastSAMError, OptionError


def integer(
    name: str, value: Any, minimum: int = 1, maximum: int | None = None, *, error: type[FastSAMError] = OptionError
) -> int:
    """The value as an int.

    Args:
        name: What messages call it.
        value: An int or a NumPy integer.
        minimum: Lowest value accepted.
        maximum: Highest value accepted; None for no limit.
        error: Class of the exception.

    Raises:
        OptionError: If it is not an integer in the range.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < minimum or (maximum is not None and value > maximum):
        raise error(f"{name} must be an integer{_span(minimum, maximum)}, got {value!r}")
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
        name: What messages call it.
        value: A number, or a NumPy number.
        minimum: Lowest value accepted.
        maximum: Highest value accepted.
        error: Class of the exception.

    Raises:
        OptionError: If it is not a finite number in the range.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not minimum <= value <= maximum:
        raise error(f"{name} must be a number{_span(minimum, maximum)}, got {value!r}")
    return float(value)


def fraction(name: str, value: Any) -> float:
    """The value as a float from 0 to 1; OptionError otherwise."""
    return number(name, value, 0, 1)


def cosine(name: str, value: Any) -> float:
    """The value as a float from -1 to 1; OptionError otherwise."""
    return number(name, value, -1, 1)


def choice(name: str, value: Any, accepted: Iterable[str], *, error: type[FastSAMError] = OptionError) -> str:
    """The value, which must be one of the accepted names.

    Raises:
        OptionError: If it is not.
    """
    names = tuple(accepted)
    if not isinstance(value, str) or value not in names:
        raise error(f"{name} must be one of {', '.join(map(repr, names))}, got {value!r}")
    return value


def integer_from_text(name: str, text: str, minimum: int = 1, maximum: int | None = None) -> int:
    """`integer` of a text such as "640"; OptionError otherwise."""
    value = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
    return integer(name, value, minimum, maximum)


def number_from_text(name: str, text: str, minimum: float = -math.inf, maximum: float = math.inf) -> float:
    """`number` of a text such as "0.4"; OptionError otherwise."""
    try:
        value: float | str = float(text)
    except ValueError:
        value = text
    return number(name, value, minimum, maximum)


def input_size_from_text(name: str, text: str) -> int | tuple[int, int]:
    """An `imgsz` from text: "640" is 640, "1280x736" (width x height) is (736, 1280), (height, width).

    Raises:
        OptionError: If it is neither.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text)
    if match is None:
        raise OptionError(f"{name} must be a number of pixels (640) or WIDTHxHEIGHT (1280x736), got {text!r}")
    width, height = match.groups()
    return int(width) if height is None else (int(height), int(width))


def _span(minimum: float, maximum: float | None) -> str:
    has_minimum, has_maximum = minimum != -math.inf, maximum not in (None, math.inf)
    if has_minimum and has_maximum:
        return f" from {minimum} to {maximum}"
    return f" >= {minimum}" if has_minimum else f" <= {maximum}" if has_maximum else ""
