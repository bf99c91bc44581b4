"""The metadata of an ONNX file, as ultralytics writes them: Python literals as text, which are read, never run."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fastsam_onnx.log import warn
from fastsam_onnx.options import MOST_INDEX

STRIDES = (8, 16, 32, 64, 128)
DEFAULT_STRIDE = 32
LARGEST_WEIGHT = 100


@dataclass(frozen=True)
class Metadata:
    """The statements of a file about itself, as far as they were understood.

    Attributes:
        stride: Largest stride of the network.
        imgsz: (height, width) that the file recommends.
        names: Class names by index; empty if unknown.
        conf: Score threshold that the file recommends (our own key).
        iou: NMS threshold that the file recommends (our own key).
        refine: True if the file recommends refined masks (our own key).
        redraw: True if the file recommends objects that its decoder draws anew (our own key).
        covered: What counts against objects that lie on better ones, see `masks.adding.lowered` (our own key).
        end2end: True if the network itself says each object once, for any number of photos.
        nms: True if NMS was added to the network when it was exported, photo by photo.
        batch: Number of photos that it was exported for.
        nms_conf: Score threshold of NMS that was added when it was exported, if the file states it.
        nms_iou: IoU threshold of that NMS, if the file states it.
        license: Licence as the file states it; empty if it does not.
        decoder: Network that draws objects and answers to prompts, an ONNX file as text (our own key); None without.
        corrector: What makes another of it, for answers so far and rough masks, as text (our own key); None without.
    """

    stride: int = DEFAULT_STRIDE
    imgsz: tuple[int, int] | None = None
    names: dict[int, str] = field(default_factory=dict)
    conf: float | None = None
    iou: float | None = None
    refine: bool | None = None
    redraw: bool | None = None
    covered: float = 0.0
    end2end: bool = False
    nms: bool = False
    batch: int | None = None
    nms_conf: float | None = None
    nms_iou: float | None = None
    license: str = ""
    decoder: str | None = field(default=None, repr=False)
    corrector: str | None = field(default=None, repr=False)


def read_metadata(raw: Mapping[str, str], name: str) -> Metadata:
    """Read what is understood, and leave out the rest with a warning that names the model."""

    def take(key: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        if key not in raw:
            return default
        try:
            return parse(ast.literal_eval(raw[key].strip()))
        except (ValueError, TypeError, OverflowError, SyntaxError, MemoryError, RecursionError):
            warn("%s: metadata %s=%.80r is not understood and ignored", name, key, raw[key])
            return default

    args = take("args", _parse_args, {})
    added_nms = bool(args.get("nms"))
    return Metadata(
        stride=take("stride", _parse_stride, DEFAULT_STRIDE),
        imgsz=take("imgsz", _parse_size),
        names=take("names", _parse_names, {}),
        conf=take("conf", _parse_fraction),
        iou=take("iou", _parse_fraction),
        refine=take("refine", _parse_bool),
        redraw=take("redraw", _parse_bool),
        covered=take("covered", partial(_parse_fraction, largest=LARGEST_WEIGHT), 0.0),
        end2end=take("end2end", bool, False),
        nms=added_nms,
        batch=take("batch", _parse_batch),
        nms_conf=_fraction_or_none(args.get("conf")) if added_nms else None,
        nms_iou=_fraction_or_none(args.get("iou")) if added_nms else None,
        license=raw.get("license", "").strip(),
        decoder=raw.get("decoder"),
        corrector=raw.get("corrector"),
    )


def _parse_stride(value: Any) -> int:
    largest = max(value) if isinstance(value, list | tuple) else value
    if largest not in STRIDES:
        raise ValueError
    return int(largest)


def _parse_size(value: Any) -> tuple[int, int]:
    sides = value if isinstance(value, list | tuple) else [value]
    height, width = sides if len(sides) == 2 else (*sides, *sides)
    if not all(type(side) is int and 0 < side <= 2**16 for side in (height, width)):
        raise ValueError
    return height, width


def _parse_names(value: Any) -> dict[int, str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if pairs is None:
        raise ValueError
    names = {int(index): str(label) for index, label in pairs}
    if not all(0 <= index <= MOST_INDEX for index in names):
        raise ValueError
    return names


def _parse_fraction(value: Any, largest: int = 1) -> float:
    if isinstance(value, bool) or not 0 <= value <= largest:
        raise ValueError
    return float(value)


def _parse_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _parse_batch(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError
    return value


def _parse_args(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError
    return value


def _fraction_or_none(value: Any) -> float | None:
    try:
        return _parse_fraction(value)
    except (ValueError, TypeError):
        return None
