"""The opset and the precision of an ONNX file, read from its bytes: ONNX Runtime does not tell them.

An ONNX file is one Protocol Buffers message. Only its outermost fields and the types and sizes of its parameters are
looked at; their values are stepped over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastsam_onnx.errors import ModelError

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
MODEL_PRODUCER, MODEL_GRAPH, MODEL_OPSETS = 2, 7, 8
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH_INITIALIZER = 5
TENSOR_DIMS, TENSOR_TYPE, TENSOR_EXTERNAL = 1, 2, 13
ENTRY_KEY, ENTRY_VALUE = 1, 2
TYPES = {1: "float32", 2: "int8", 3: "int8", 10: "float16", 11: "float64", 16: "bfloat16"}
"""TensorProto.DataType of weights; uint8 and int8 are both 8-bit integers."""


@dataclass(frozen=True)
class OnnxHeader:
    """What an ONNX file is made of.

    Attributes:
        opset: Version of the operators of the standard.
        precision: Type that most of its parameters are stored in, such as "float32", "float16" or "int8".
        producer: Program that wrote the file; empty if it does not say.
        external_files: Files that hold parameters of it, as it names them: paths from its own folder.
    """

    opset: int
    precision: str
    producer: str
    external_files: tuple[str, ...] = ()


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read an ONNX file.

    Raises:
        ModelError: If it is not an ONNX file.
    """
    opset, producer, counts = 0, "", dict.fromkeys(TYPES.values(), 0)
    external: dict[str, None] = {}
    try:
        for number, value in _fields(memoryview(path.read_bytes())):
            if number == MODEL_PRODUCER and isinstance(value, memoryview):
                producer = bytes(value).decode("utf-8", "replace")
            elif number == MODEL_OPSETS and isinstance(value, memoryview):
                domain, version = _opset(value)
                opset = version if domain in (b"", b"ai.onnx") else opset
            elif number == MODEL_GRAPH and isinstance(value, memoryview):
                _count_parameters(value, counts, external)
    except (OSError, IndexError, ValueError) as error:
        raise ModelError(f"{path.name} is not an ONNX file: {error}") from error
    precision = max(counts, key=lambda name: counts[name])
    return OnnxHeader(opset, precision if counts[precision] else "unknown", producer, tuple(external))


def external_bytes(path: Path) -> dict[str, int]:
    """The sizes of the files beside an ONNX file that hold parameters of it, by their names in it.

    Raises:
        ModelError: If it is not an ONNX file, or one of them is missing.
    """
    names = read_onnx_header(path).external_files
    try:
        return {name: (path.parent / name).stat().st_size for name in names}
    except (OSError, ValueError) as error:  # of a name that no file can have, such as one with NUL
        raise ModelError(f"{path.name} has parameters in a file that cannot be found: {error}") from error


def _opset(message: memoryview) -> tuple[bytes, int]:
    fields = dict(_fields(message))
    domain, version = fields.get(OPSET_DOMAIN, b""), fields.get(OPSET_VERSION, 0)
    return bytes(domain) if isinstance(domain, memoryview) else b"", version if isinstance(version, int) else 0


def _count_parameters(graph: memoryview, counts: dict[str, int], external: dict[str, None]) -> None:
    """Add the number of parameters of each type, and the files that hold some."""
    for number, tensor in _fields(graph):
        if number == GRAPH_INITIALIZER and isinstance(tensor, memoryview):
            dims: list[int] = []
            kind = 0
            for field, value in _fields(tensor):
                if field == TENSOR_DIMS:
                    dims += [value] if isinstance(value, int) else _varints(value)
                elif field == TENSOR_TYPE and isinstance(value, int):
                    kind = value
                elif field == TENSOR_EXTERNAL and isinstance(value, memoryview):
                    external |= dict.fromkeys(_location(value))
            if kind in TYPES:
                counts[TYPES[kind]] += math.prod(dims)


def _location(entry: memoryview) -> list[str]:
    """The file that an entry about external data names; none if it tells something else."""
    fields = {number: bytes(value) for number, value in _fields(entry) if isinstance(value, memoryview)}
    return [fields.get(ENTRY_VALUE, b"").decode("utf-8", "replace")] if fields.get(ENTRY_KEY) == b"location" else []


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field that is an integer or bytes; IndexError or ValueError if it is malformed."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
        elif kind == BYTES:
            size, place = _varint(message, place)
            if size > len(message) - place:
                raise ValueError("it is cut short")
            yield key >> 3, message[place : place + size]
            place += size
        elif kind in (FIXED_64, FIXED_32):
            place += 8 if kind == FIXED_64 else 4
        else:
            raise ValueError("it holds a field of an unknown kind")


def _varints(message: memoryview) -> list[int]:
    """Packed integers."""
    values, place = [], 0
    while place < len(message):
        value, place = _varint(message, place)
        values.append(value)
    return values


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it holds an integer of more than 64 bits")
