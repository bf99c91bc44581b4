"""Building blocks of an ONNX graph: nodes, constants, stored weights, convolutions.

Weights are stored as float32, as float16, or as int8 with a scale for every channel, and made float32 when the file is
opened: onnxruntime folds the casts and products away. (It would not fold DequantizeLinear.)
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from .network import ConvNorm

OPSET = 17
IR_VERSION = 8  # the one that came with opset 17: old runtimes open it
Stored = Literal["float32", "float16", "int8"]
Shapes = Mapping[str, Sequence[str | int]]
FEW = 4096  # weights with fewer values are not worth int8's error


class Rows(NamedTuple):
    """Some outputs of a layer, in an order of their own, times a factor: a node of its own in the file."""

    layer: nn.Linear | nn.Conv2d
    rows: list[int]
    factor: float


class Columns(NamedTuple):
    """The inputs [first, end) of a convolution with its norm folded in: a node of its own in the file.

    The last of them has the bias.
    """

    layer: ConvNorm
    first: int
    end: int


Layer: TypeAlias = ConvNorm | nn.Conv2d | nn.Linear | nn.LayerNorm | nn.Parameter | Rows | Columns


class Graph:
    """A list of nodes that grows; values go by their names."""

    def __init__(self, name: str, stored: Stored) -> None:
        """``stored``: how weights of more than one dimension are."""
        self.name = name
        self.stored = stored
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.layers: dict[str, Layer] = {}  # whose weights a node has, by its name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output; returns the output's name."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def split(self, x: str, lengths: Sequence[int], axis: int) -> list[str]:
        """A node with an output for each length."""
        names = [f"split_{len(self.nodes)}_{index}" for index in range(len(lengths))]
        inputs = [x, self.constant(lengths, np.int64)]
        self.nodes.append(helper.make_node("Split", inputs, names, name=f"split_{len(self.nodes)}", axis=axis))
        return names

    def constant(self, values: object, kind: type = np.float32) -> str:
        """A small initializer, named by its values; equal ones are stored once."""
        array: np.ndarray = np.asarray(values, kind)
        name = f"{array.dtype}{array.tolist()}".replace(" ", "")
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def numbers(self, *values: int) -> str:
        """A shape, or other int64 numbers (n,)."""
        return self.constant(values, np.int64)

    def initializer(self, values: np.ndarray) -> str:
        """Values as they are; equal ones are stored once."""
        values = np.ascontiguousarray(values)
        digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
        name = f"weight_{digest}_{'x'.join(map(str, values.shape))}_{values.dtype}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def weight(self, values: np.ndarray, factor: np.ndarray | None = None, channel: int = 0) -> str:
        """A weight; ``channel``: the axis of the outputs, whose ``factor`` (outputs,) comes after what is stored."""
        shape = [1] * values.ndim
        shape[channel] = -1
        factor = np.ones(values.shape[channel], np.float32) if factor is None else factor
        factor = factor.reshape(shape).astype(np.float32)
        if self.stored == "float32":
            return self.initializer(values.astype(np.float32) * factor)
        if self.stored == "float16" or values.size < FEW:
            return self.add("Cast", self.initializer((values * factor).astype(np.float16)), to=TensorProto.FLOAT)
        others = tuple(axis for axis in range(values.ndim) if axis != channel)
        scale = np.maximum(np.abs(values).max(others, keepdims=True), 1e-12) / 127
        steps = self.initializer(np.round(values / scale).astype(np.int8))
        scale = self.initializer((scale * factor).astype(np.float32))
        return self.add("Mul", self.add("Cast", steps, to=TensorProto.FLOAT), scale)

    def bias(self, values: np.ndarray) -> str:
        return self.initializer(values.astype(np.float32))

    def rename(self, value: str, name: str) -> None:
        """Gives a value that no node takes the name that the file's output has."""
        self.nodes[[node.output[0] for node in self.nodes].index(value)].output[0] = name

    def model(self, inputs: Shapes, outputs: Shapes, metadata: dict[str, str]) -> onnx.ModelProto:
        """The whole, checked."""
        taken, given = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
            for shapes in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, self.name, taken, given, list(self.constants.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="fastsam-onnx tools/train",
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return model


def part(graph: Graph, x: str, index: int, axis: int) -> str:
    """One row of an axis, which stays as an axis of length 1."""
    return graph.add("Gather", x, graph.numbers(index), axis=axis)


def product(graph: Graph, *factors: str) -> str:
    return functools.reduce(functools.partial(graph.add, "Mul"), factors)


def total(graph: Graph, *terms: str) -> str:
    return functools.reduce(functools.partial(graph.add, "Add"), terms)


def conv_norm(graph: Graph, x: str, layer: ConvNorm) -> str:
    weight, scale, bias = (part.detach().cpu().numpy() for part in (layer.conv.weight, *layer.scale_and_bias()))
    before, after = layer.padding
    x = graph.add(
        "Conv",
        x,
        graph.weight(weight, scale),
        graph.bias(bias),
        kernel_shape=weight.shape[2:],
        strides=layer.conv.stride,
        pads=[before, before, after, after],
        group=layer.conv.groups,
    )
    graph.layers[x] = layer
    if layer.act == "relu6":
        return graph.add("Clip", x, graph.constant(0.0), graph.constant(6.0))
    return graph.add("Relu", x) if layer.act == "relu" else x


def prediction(graph: Graph, x: str, layer: nn.Conv2d) -> str:
    weight, bias = (part.detach().cpu().numpy() for part in (layer.weight, layer.bias))
    said = graph.add("Conv", x, graph.weight(weight), graph.bias(bias), kernel_shape=[1, 1])
    graph.layers[said] = layer
    return said


def residual(graph: Graph, x: str, block: nn.Module) -> str:
    return graph.add("Add", x, conv_norm(graph, conv_norm(graph, x, block.first), block.second))
