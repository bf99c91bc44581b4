"""Networks whose convolutions are computed with integers of 8 bits: where those begin and end in the graph.

The file stays an ordinary ONNX network (opset 13 and later): around every tensor that is to be kept as a byte stands a
pair QuantizeLinear, DequantizeLinear (QDQ), and ONNX Runtime replaces DequantizeLinear, operator, QuantizeLinear by
one integer kernel. Activations are uint8, with a zero point; weights are int8, with a scale per output channel and no
zero point. That is what ONNX Runtime has its fast kernels for on every kind of CPU: VPDPBUSD of AVX512-VNNI and
AVX-VNNI multiplies unsigned bytes by signed ones, VPMADDUBSW of AVX2 too, and on ARM the dot products take both; its
direct convolutions want weights without a zero point.

ONNX Runtime's own tool, onnxruntime.quantization, is not used, because what matters here lies outside of it: which
convolutions stay in float is found by comparing masks, a bias takes back the shift that rounded weights make, and a
clamp goes where the limits of a byte do its work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.quantize.calibration import Activation
from fastsam_onnx.quantize.links import Links, attributes_of, copied, drop_unused
from fastsam_onnx.quantize.rounding import Rounder
from fastsam_onnx.quantize.scales import choose_scales

if TYPE_CHECKING:
    import onnx


CLAMPS = ("Relu", "Clip")
"""Operators that the limits of a byte do for nothing, if a convolution or a sum that makes bytes comes before them."""
SAME_SCALE = ("MaxPool", "Resize", "Split", "DepthToSpace", "Slice")
"""Operators that only move numbers, or choose among them, so that the result keeps the scale of the source."""
BYTE_OPERATORS = ("Conv", "Concat", "Add", "Mul", "Sigmoid", *CLAMPS, *SAME_SCALE)
"""Operators for which ONNX Runtime has kernels that take and make bytes."""
LARGEST_BIAS = 2**30
"""Half of what 32 bits hold, so that the sum of products still fits."""
SMALLEST_STEP = 1e-12
"""Scale of weights that are all zero: a scale must be above 0."""


@dataclass(frozen=True)
class Plan:
    """The part of a network that becomes integer.

    Attributes:
        nodes: Names of the nodes that are computed with bytes.
        tensors: Names of the activations that are kept as bytes, in the order of the graph.
        shared: For an activation that has the scale of another one, that other one.
        clamped: For the result of a convolution or a sum that goes into a clamp alone, the result of the clamp: nothing
            looks at the first, and the byte of the second has its limits.
    """

    nodes: frozenset[str]
    tensors: tuple[str, ...]
    shared: Mapping[str, str]
    clamped: Mapping[str, str]


def make_plan(model: onnx.ModelProto, in_float: Sequence[str] = ()) -> Plan:
    """Choose what is computed with bytes: every convolution, and what lies between two of them if it can be.

    What comes after the last convolution of a path decodes boxes and scores and stays in float. The last convolutions
    themselves are left to `in_float`. Attention between convolutions stays in float, too: the convolutions in it and
    behind it round what they are given anew.

    Args:
        model: The network, its nodes named.
        in_float: Names of nodes that are to stay in float.
    """
    links = Links(model.graph)
    chosen = (_fit_for_bytes(links) & _up_to_convolutions(links)).difference(in_float)
    clamped = {name: links.consumers[name][0].output[0] for name in links.consumers if _is_clamped(links, chosen, name)}
    tensors: dict[str, None] = {}  # as a set with an order
    shared = {}
    for node in links.nodes:
        if node.name in chosen:
            tensors.update(dict.fromkeys(name for name in links.sources(node) if name not in clamped))
            made = [name for name in node.output if name not in clamped]
            tensors.update(dict.fromkeys(made))
            if node.op_type in SAME_SCALE:
                shared.update(dict.fromkeys(made, node.input[0]))
    return Plan(frozenset(chosen), tuple(tensors), shared, clamped)


def before_convolution(model: onnx.ModelProto, count: int) -> list[str]:
    """Names of the first `count` convolutions and of all nodes before the next one."""
    names: list[str] = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            count -= 1
            if count < 0:
                break
        names.append(node.name)
    return names


def last_convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions that make boxes, scores and coefficients: no other one depends on them.

    The one that makes prototypes is none of these. It is at home on the finest map, where float costs most, and
    prototypes in steps of a byte were as good.
    """
    links, chosen = Links(model.graph), make_plan(model).nodes
    convolutions = [node for node in links.nodes if node.op_type == "Conv" and node.name in chosen]
    depended_on = _depended_on(links, convolutions)
    return [
        node.name
        for node in convolutions
        if not depended_on.intersection(node.output) and not _makes_output(links, node)
    ]


def _makes_output(links: Links, node: onnx.NodeProto) -> bool:
    """True if a node makes an output of the network, but for an activation function."""
    if links.outputs.intersection(node.output):
        return True
    consumers = [consumer for name in node.output for consumer in links.consumers.get(name, [])]
    return bool(consumers) and all(
        each.op_type in ("Sigmoid", "Mul", "Relu", "Identity") and _makes_output(links, each) for each in consumers
    )


def _fit_for_bytes(links: Links) -> set[str]:
    """Names of the convolutions, and of what follows them up to where something comes in that bytes are not good for.

    What is done to the photo before the first convolution stays in float, so that the photo is rounded once.
    """
    of_bytes: set[str] = set()
    found = set()
    for node in links.nodes:
        sources = set(links.sources(node))
        if node.op_type == "Conv":
            fits = len(sources) == 1 and len(node.output) == 1  # weights that are made on the way would be a second
        else:
            fits = node.op_type in BYTE_OPERATORS and bool(sources) and sources <= of_bytes
        if fits:
            found.add(node.name)
            of_bytes.update(node.output)
    return found


def _up_to_convolutions(links: Links) -> set[str]:
    """Names of the convolutions and of all nodes that one depends on."""
    convolutions = [node for node in links.nodes if node.op_type == "Conv"]
    depended_on = _depended_on(links, convolutions)
    names = {node.name for node in links.nodes if depended_on.intersection(node.output)}
    return names | {node.name for node in convolutions}


def _depended_on(links: Links, nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Names of the activations that one of the nodes depends on, over any way."""
    asking = {node.name for node in nodes}
    wanted: set[str] = set()
    for node in reversed(links.nodes):
        if node.name in asking or wanted.intersection(node.output):
            wanted.update(links.sources(node))
    return wanted


def _is_clamped(links: Links, chosen: set[str], name: str) -> bool:
    """True if a tensor goes from a convolution or a sum to a clamp alone, both of them integer."""
    producer, consumer = links.producer.get(name), links.only_consumer(name)
    if producer is None or consumer is None:
        return False
    return (
        producer.op_type in ("Conv", "Add") and consumer.op_type in CLAMPS and {producer.name, consumer.name} <= chosen
    )


def quantized(
    model: onnx.ModelProto,
    plan: Plan,
    seen: Mapping[str, Activation],
    *,
    bits: int = 8,
    rounder: Rounder | None = None,
) -> onnx.ModelProto:
    """The network with its plan carried out.

    Args:
        model: The network; it is not changed.
        plan: Made for it.
        seen: The values of every tensor of `plan.tensors`.
        bits: Bits of the weights, 7 or 8. Depthwise convolutions always have 8.
        rounder: Rounds the weights; by default each alone.
    """
    return _Quantizer(model, plan, seen, bits, rounder or Rounder()).run()


class _Quantizer:
    """The graph so far."""

    def __init__(
        self, model: onnx.ModelProto, plan: Plan, seen: Mapping[str, Activation], bits: int, rounder: Rounder
    ) -> None:
        self.model, self.plan, self.seen, self.bits, self.rounder = model, plan, seen, bits, rounder
        self.links = Links(model.graph)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.scales = choose_scales(
            self.links, plan.nodes, plan.tensors, seen, shared=plan.shared, clamped=plan.clamped
        )

    def run(self) -> onnx.ModelProto:
        for name in self.links.inputs & self.scales.keys():
            self._pair(name, name)
        dropped = set(self.plan.clamped.values())
        for node in self.links.nodes:
            if not dropped.intersection(node.output):
                self._node(node)
        return self._model()

    def _node(self, node: onnx.NodeProto) -> None:
        """Let a node take bytes and make bytes, where there are to be any."""
        import onnx

        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for index, name in enumerate(node.input):
            if name in self.scales:
                copy.input[index] = self._bytes(name)
        if node.op_type == "Conv" and node.name in self.plan.nodes:
            self._weights(copy, node.input[0])
        self.nodes.append(copy)
        for index, name in enumerate(node.output):
            wanted = self.plan.clamped.get(name, name)
            if wanted in self.scales:
                copy.output[index] = f"{wanted}_float"
                self._pair(copy.output[index], wanted)

    def _bytes(self, name: str) -> str:
        """The name of an activation behind its pair; an output of the network keeps its name."""
        return name if name in self.links.outputs else f"{name}_bytes"

    def _pair(self, source: str, name: str) -> None:
        from onnx import helper

        scale, zero = self.scales[name]
        step = [self._constant(f"{name}_scale", np.float32(scale)), self._constant(f"{name}_zero", np.uint8(zero))]
        first = helper.make_node("QuantizeLinear", [source, *step], [f"{name}_q"], name=f"{name}_quantize")
        second = helper.make_node(
            "DequantizeLinear", [f"{name}_q", *step], [self._bytes(name)], name=f"{name}_dequantize"
        )
        self.nodes += [first, second]

    def _weights(self, node: onnx.NodeProto, source: str) -> None:
        """Give a convolution weights and bias of integers.

        Rounded weights shift the mean of what a convolution makes; its bias takes that back (Nagel et al. 2019, section
        4.2, https://arxiv.org/abs/1906.04721).
        """
        weights = self.links.constant(node.input[1])
        bias = self.links.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
        source_step = np.float32(self.scales[source][0])
        offset = np.zeros(len(weights)) if bias is None else bias.astype(np.float64)
        limit = 2 ** ((8 if _is_depthwise(node, weights) else self.bits) - 1) - 1
        step = np.abs(weights).reshape(len(weights), -1).max(axis=1) / limit
        fitting = np.abs(offset) / source_step / LARGEST_BIAS  # or the bias would not fit into 32 bits
        step = np.maximum(np.maximum(step, fitting), SMALLEST_STEP).astype(np.float32)
        scale = step.reshape(-1, 1, 1, 1)
        whole = self.rounder(node.name, weights, step, limit)
        offset -= _shift(whole * scale - weights, self.seen[source].means)
        whole_offset = np.rint(offset / (source_step * step).astype(np.float64)).astype(np.int32)
        del node.input[1:]
        node.input.append(self._dequantized(f"{node.name}_weights", whole, step))
        node.input.append(self._dequantized(f"{node.name}_bias", whole_offset, source_step * step))

    def _dequantized(self, name: str, values: npt.NDArray[Any], step: FloatArray) -> str:
        from onnx import helper

        parts = {"q": values, "scale": step}  # without a zero point: it is 0
        inputs = [self._constant(f"{name}_{part}", array) for part, array in parts.items()]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}_dequantize", axis=0))
        return name

    def _constant(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def _model(self) -> onnx.ModelProto:
        made = copied(self.model)
        del made.graph.node[:], made.graph.value_info[:]
        made.graph.node.extend(self.nodes)
        made.graph.initializer.extend(self.constants.values())
        drop_unused(made.graph)
        return made


def _is_depthwise(node: onnx.NodeProto, weights: npt.NDArray[Any]) -> bool:
    """True if each channel is seen alone and makes one; kernels for that add no products in 16 bits."""
    groups = attributes_of(node).get("group", 1)
    return bool(groups > 1 and weights.shape[:2] == (groups, 1))


def _shift(errors: npt.NDArray[Any], means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The distance that errors of a convolution's weights move the mean of what it makes, away from the border.

    Args:
        errors: (o, c / groups, kh, kw).
        means: (c,) of the source.
    """
    of_channels = errors.sum(axis=(2, 3), dtype=np.float64)
    groups = len(means) // of_channels.shape[1]
    by_group = of_channels.reshape(groups, -1, of_channels.shape[1])
    return np.asarray(np.einsum("goc,gc->go", by_group, means.reshape(groups, -1)).reshape(-1))
