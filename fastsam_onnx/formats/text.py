"""Numbers and JSON as every text format writes them: the bytes depend on the result alone.

Scores have 5 decimals, coordinates 2; there are no time stamps; lines end with a line feed.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.masks.instance import Instance

Json = dict[str, Any]

SCORE_DECIMALS = 5
PIXEL_DECIMALS = 2
BEYOND_INTEGERS = 2.0**63
"""The first number that int64 does not hold."""


def rounded_score(value: float) -> float:
    """A score with 5 decimals."""
    return round(float(value), SCORE_DECIMALS)


def object_facts(index: int, instance: Instance) -> Json:
    """What is known of an object but its mask, as `to_dict` has it."""
    record: Json = {
        "index": index,
        "score": rounded_score(instance.score),
        "box": numbers(instance.box),
        "area": instance.mask.area,
        "prompt_index": instance.prompt_index,
    }
    record |= expected_facts(instance)
    if instance.similarity is not None:
        record["similarity"] = round(instance.similarity, SCORE_DECIMALS)
    return record | class_facts(instance) | track_facts(instance)


def expected_facts(instance: Instance) -> Json:
    """{"predicted_iou"} of an object whose mask a decoder drew; else {}."""
    expected = instance.predicted_iou
    return {} if expected is None else {"predicted_iou": rounded_score(expected)}


def class_facts(instance: Instance) -> Json:
    """{"label", "name"} of an object's class; {} where there are no classes."""
    return {} if instance.label is None else {"label": instance.label, "name": instance.name}


def title(index: int, instance: Instance) -> str:
    """What an object is called for people."""
    return f"object {index}" if instance.name is None else f"object {index}, {instance.name}"


def track_facts(instance: Instance) -> Json:
    """{"track_id"} of an object that was tracked; else {}."""
    return {} if instance.track_id is None else {"track_id": instance.track_id}


def numbers(values: npt.ArrayLike, decimals: int = PIXEL_DECIMALS) -> list[Any]:
    """Nested lists of rounded numbers; of integers when all are whole, as the corners of pixels are."""
    given = np.asarray(values, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(given, decimals)
    if not np.isfinite(rounded).all():  # 10**decimals times these is beyond float64, which has no such decimals of them
        rounded = np.where(np.isfinite(rounded), rounded, given)
    if (np.abs(rounded) < BEYOND_INTEGERS).all() and np.array_equal(whole := rounded.astype(np.int64), rounded):
        return list(whole.tolist())
    return list((rounded + 0.0).tolist())  # adding 0.0 makes -0.0 a plain 0.0


def xywh(box: FloatArray) -> list[Any]:
    """[x, y, width, height] of a box x1, y1, x2, y2."""
    x1, y1, x2, y2 = np.asarray(box, np.float64)
    return numbers([x1, y1, x2 - x1, y2 - y1])


def json_text(document: Any) -> str:
    """JSON with one entry of the outer list, or of an outer dictionary's lists, a line."""
    if isinstance(document, list):
        return _json_list(document) + "\n"
    members = []
    for key, value in document.items():
        text = _json_list(value) if isinstance(value, list) else _json_line(value)
        members.append(f"{_json_line(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def _json_list(values: list[Any]) -> str:
    return "[\n" + ",\n".join(_json_line(value) for value in values) + "\n]" if values else "[]"


def _json_line(value: Any) -> str:
    return json.dumps(value, separators=(", ", ": "), allow_nan=False)


def json_bytes(document: Any, _suffix: str) -> bytes:
    """`json_text` as the bytes of a file."""
    return json_text(document).encode("ascii")


def text_bytes(text: str, _suffix: str) -> bytes:
    """A text as the bytes of a file; U+FFFD for what is no character, as names of files may have it."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode("utf-8")
