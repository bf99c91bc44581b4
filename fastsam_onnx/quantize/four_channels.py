"""The photo's three channels as four, which ONNX Runtime's kernels of bytes read four at a time.

With three, they first copy the window of every pixel; the first convolution of the bundled network took 2 ms of 34 so,
and a quarter of that with a fourth channel of zeros, whose weights are zero. The same outputs bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.quantize.links import Links, Replacement, attributes_of, rewritten

if TYPE_CHECKING:
    import onnx

CHANNELS, MORE = 3, 1
"""Channels of a photo, and those that are added."""


def with_four_channels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with a channel of zeros beside the three of every map that a convolution of bytes takes.

    Args:
        model: A network with pairs QuantizeLinear, DequantizeLinear, its nodes named; it is not changed.
    """
    links = Links(model.graph)
    found = [node for node in links.nodes if _takes_three_bytes(links, node)]
    maps, weights = ({links.producer[node.input[place]].name for node in found} for place in (0, 1))

    def replace(graph: onnx.GraphProto, links: Links, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.name not in maps | weights:
            return None
        new = Replacement(graph, node)
        if node.name in maps:
            frame = np.array([0, 0, 0, 0, 0, MORE, 0, 0])  # before each axis, then behind it
            wider = new.add("Pad", node.input[0], new.constant("frame", frame))
        else:
            values = links.constant(node.input[0])
            wider = new.constant("wider", np.pad(values, ((0, 0), (0, MORE), (0, 0), (0, 0))))
        new.add(node.op_type, wider, *node.input[1:], output=node.output[0], **attributes_of(node))
        return new.nodes

    return rewritten(model, replace)


def _takes_three_bytes(links: Links, node: onnx.NodeProto) -> bool:
    """True for a convolution of three channels of bytes that only it takes, by constant weights of bytes."""
    if node.op_type != "Conv" or attributes_of(node).get("group", 1) != 1:
        return False
    makers = [links.producer.get(name) for name in node.input[:2]]
    if any(each is None or each.op_type != "DequantizeLinear" for each in makers):
        return False
    alone = all(links.only_consumer(name) is not None for name in node.input[:2])
    of_photo, of_weights = (each.input[0] for each in makers if each is not None)
    weights = links.values(of_weights)
    fits = weights is not None and weights.dtype == np.int8 and weights.ndim == 4 and weights.shape[1] == CHANNELS
    return bool(alone and fits and of_photo not in links.constants)
