"""ONNX files, written without the onnx package: the few protobuf messages that a network needs.

An ONNX file is one protobuf message, `ModelProto`. The numbers of its fields are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), their encoding is protobuf's
(https://protobuf.dev/programming-guides/encoding/): tag, then a varint, four bytes, or a length and that many bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import ModelError

Shape = Sequence[int | str]
"""Integers are fixed sides, names are sides that every run may choose."""
Attribute = int | float | str | Sequence[int]

IR_VERSION, OPSET = 8, 17
MAX_MESSAGE_BYTES = 2**31 - 1
"""Limit of protobuf for one message."""
FLOAT, INT64, FLOAT16 = 1, 7, 10  # TensorProto.DataType
EXTERNAL = 1  # TensorProto.DataLocation
STORED = ".float16"
"""End of the name under which a parameter is stored, if the network casts it."""


class _Part(NamedTuple):
    """A field of the graph, and the names of the tensors that it makes and takes."""

    record: bytes
    makes: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


class GraphWriter:
    """The nodes of a network, in order, and what they work on.

    Attributes:
        parameters: Shapes of the float32 values that the network was trained for, by name. They are declared here and
            follow later: in a file beside the model (`external_model`), or at its end (`model_parts`).
    """

    def __init__(self, name: str) -> None:
        """Begin a graph of this name."""
        self.parameters: dict[str, tuple[int, ...]] = {}
        self._parts = [_Part(_record(2, name.encode()))]
        self._count = 0

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Attribute) -> str:
        """Append a node with one output and return the name of that output."""
        return self.add_many(operator, *inputs, outputs=[output or self._name(operator)], **attributes)[0]

    def add_many(self, operator: str, *inputs: str, outputs: Sequence[str] | int, **attributes: Attribute) -> list[str]:
        """Append a node and return the names of its outputs: the given ones, or that number of new ones."""
        names = [self._name(operator) for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        fields = [_record(1, source.encode()) for source in inputs]
        fields += [_record(2, name.encode()) for name in names]
        fields += [_record(3, names[0].encode()), _record(4, operator.encode())]
        fields += [_record(5, _attribute(name, value)) for name, value in attributes.items()]
        self._parts.append(_Part(_record(1, b"".join(fields)), tuple(names), inputs))
        return names

    def constant(self, values: float | Sequence[float] | Sequence[int], *, integers: bool = False) -> str:
        """Add a small float32 constant (int64 if `integers`) and return its name."""
        array = np.asarray(values, "<i8" if integers else "<f4")
        name = self._name("constant")
        tensor = _tensor_head(name, array.shape, INT64 if integers else FLOAT) + _record(9, array.tobytes())
        self._parts.append(_Part(_record(5, tensor), (name,)))
        return name

    def parameter(self, name: str, shape: tuple[int, ...]) -> str:
        """Declare a parameter and return its name."""
        self.parameters[name] = shape
        return name

    def input(self, name: str, shape: Shape) -> str:
        """Declare a float32 input and return its name."""
        self._parts.append(_Part(_record(11, _value(name, shape))))
        return name

    def output(self, name: str, shape: Shape) -> None:
        """Declare a float32 output; a node has it among its outputs."""
        self._parts.append(_Part(_record(12, _value(name, shape)), (), (name,)))

    def drop_unused(self) -> None:
        """Take away the nodes and constants on which no declared output depends."""
        needed = {name for part in self._parts if not part.makes for name in part.takes}
        kept: list[_Part] = []
        for part in reversed(self._parts):
            if not part.makes or needed.intersection(part.makes):
                needed.update(part.takes)
                kept.append(part)
        self._parts = kept[::-1]

    def body(self) -> bytes:
        """The fields of the graph but for its parameters."""
        return b"".join(part.record for part in self._parts)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"


def external_model(graph: GraphWriter, metadata: Mapping[str, str], file_name: str) -> bytes:
    """The bytes of a model whose parameters lie in another file in its folder, in order and without gaps."""
    tensors, offset = [], 0
    for name, shape in graph.parameters.items():
        size = _float_bytes(shape)
        where = {"location": file_name, "offset": str(offset), "length": str(size)}
        place = b"".join(_record(13, _pair(key, value)) for key, value in where.items())
        tensors.append(_record(5, _tensor_head(name, shape, FLOAT) + place + _number(14, EXTERNAL)))
        offset += size
    return _model_head(metadata) + _record(7, graph.body() + b"".join(tensors))


def model_parts(
    graph: GraphWriter, metadata: Mapping[str, str], values: Iterable[tuple[str, FloatArray]], *, half: bool = False
) -> Iterator[bytes | memoryview]:
    """The bytes of a model with its parameters, in parts, so that they need not be in memory at once.

    Args:
        graph: The network.
        metadata: Texts that the file carries about itself.
        values: Name and values of every parameter, in the order of their declaration.
        half: True to store parameters as float16; the network casts them and computes in float32 all the same.

    Raises:
        ModelError: If the file would be larger than protobuf allows, 2 GB, or a parameter is beyond float16.
    """
    body = b"".join(_cast(name) for name in graph.parameters) + graph.body() if half else graph.body()
    heads, total = {}, len(body)
    for name, shape in graph.parameters.items():
        size = _float_bytes(shape) // 2 if half else _float_bytes(shape)
        stored, kind = (name + STORED, FLOAT16) if half else (name, FLOAT)
        head = _tensor_head(stored, shape, kind) + _tag(9, 2) + _varint(size)
        heads[name] = _tag(5, 2) + _varint(len(head) + size) + head
        total += len(heads[name]) + size
    if total > MAX_MESSAGE_BYTES:
        raise ModelError(f"the network has {total:,} bytes; an ONNX file can have at most {MAX_MESSAGE_BYTES:,}")
    yield _model_head(metadata) + _tag(7, 2) + _varint(total) + body
    for (name, array), (declared, head) in zip(values, heads.items(), strict=True):
        if name != declared or array.shape != graph.parameters[name]:
            raise ValueError(f"expected {declared} {graph.parameters[declared]} as declared, got {name} {array.shape}")
        yield head
        yield _half_bytes(name, array) if half else float_bytes(array)


def float_bytes(array: FloatArray) -> memoryview:
    """The bytes of a parameter as files hold them, little endian."""
    return np.ascontiguousarray(array, "<f4").data.cast("B")


def _half_bytes(name: str, array: FloatArray) -> memoryview:
    with np.errstate(over="ignore"):
        halved = np.ascontiguousarray(array, "<f2")
    if not np.isfinite(halved).all():
        raise ModelError(f"{name} has values beyond float16, whose largest is 65,504; write it in float32")
    return halved.data.cast("B")


# --- Messages ---


def _cast(name: str) -> bytes:
    """A node that makes float32 of a parameter stored as float16."""
    fields = [_record(1, (name + STORED).encode()), _record(2, name.encode()), _record(3, name.encode())]
    return _record(1, b"".join([*fields, _record(4, b"Cast"), _record(5, _attribute("to", FLOAT))]))


def _model_head(metadata: Mapping[str, str]) -> bytes:
    """`ModelProto` but for its graph."""
    fields = [_number(1, IR_VERSION), _record(2, b"fastsam-onnx"), _record(8, _number(2, OPSET))]
    return b"".join(fields + [_record(14, _pair(key, value)) for key, value in metadata.items()])


def _float_bytes(shape: Sequence[int]) -> int:
    return 4 * math.prod(shape)


def _tensor_head(name: str, shape: Sequence[int], kind: int) -> bytes:
    """`TensorProto` but for its values."""
    return b"".join(_number(1, side) for side in shape) + _number(2, kind) + _record(8, name.encode())


def _value(name: str, shape: Shape) -> bytes:
    """`ValueInfoProto` of a float32 tensor."""
    sides = [_number(1, side) if isinstance(side, int) else _record(2, side.encode()) for side in shape]
    dims = b"".join(_record(1, side) for side in sides)
    tensor_type = _number(1, FLOAT) + _record(2, dims)
    return _record(1, name.encode()) + _record(2, _record(1, tensor_type))


def _attribute(name: str, value: Attribute) -> bytes:
    """`AttributeProto`: an integer, a float, a string or a list of integers."""
    head = _record(1, name.encode())
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    if isinstance(value, float):
        return head + _tag(2, 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, str):
        return head + _record(4, value.encode()) + _number(20, 3)
    return head + b"".join(_number(8, each) for each in value) + _number(20, 7)


def _pair(key: str, value: str) -> bytes:
    """`StringStringEntryProto`; half a surrogate pair, which UTF-8 cannot say, becomes a question mark."""
    return _record(1, key.encode()) + _record(2, value.encode("utf-8", "replace"))


# --- Encoding ---


def _record(number: int, content: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _tag(number, 0) + _varint(value & (2**64 - 1))


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
