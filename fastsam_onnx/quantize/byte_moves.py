"""Enlarging and DepthToSpace of bytes as moves of whole pixels: the same bytes, many times as fast.

ONNX Runtime computes integer convolutions with the channels of a pixel side by side. Its Resize and DepthToSpace go
byte by byte there (in the int8 FastSAM-s they took a tenth of the time, more with older releases); copies of whole
pixels or rows are next to nothing. So an enlargement by two becomes two concatenations of the map with itself, and a
DepthToSpace one transposition, both between the QuantizeLinear before and the DequantizeLinear after, on the bytes.
The transpositions around them meet those that ONNX Runtime puts around its convolutions, and cancel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.quantize.links import Links, Replacement, attributes_of, rewritten

if TYPE_CHECKING:
    import onnx

CHANNELS_LAST, CHANNELS_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
"""Permutations of (batch, channels, height, width), and back."""


def with_byte_moves(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with every enlargement by two and every DepthToSpace of bytes as moves of pixels.

    Args:
        model: A network with pairs QuantizeLinear, DequantizeLinear, its nodes named; it is not changed.
    """
    dropped: set[str] = set()

    def replace(graph: onnx.GraphProto, links: Links, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.op_type == "DequantizeLinear":
            after = links.only_consumer(node.output[0])
            return [] if after is not None and _moves_bytes(links, after) else None
        if node.name in dropped:
            return []
        if not _moves_bytes(links, node):
            return None
        new, source = Replacement(graph, node), links.producer[node.input[0]].input[0]
        quantize = links.consumers[node.output[0]][0]
        dropped.add(quantize.name)
        if node.op_type == "Resize":
            _enlarge(new, source, quantize.output[0])
        else:
            _depth_to_space(new, source, quantize.output[0], attributes_of(node)["blocksize"])
        return new.nodes

    return rewritten(model, replace)


def _moves_bytes(links: Links, node: onnx.NodeProto) -> bool:
    """True for what is replaced here, between DequantizeLinear and QuantizeLinear of the same scale."""
    if not (_doubles(links, node) or _spreads(node)):
        return False
    before, after = links.producer.get(node.input[0]), links.only_consumer(node.output[0])
    if before is None or after is None or (before.op_type, after.op_type) != ("DequantizeLinear", "QuantizeLinear"):
        return False
    steps = [[links.values(name) for name in each.input[1:]] for each in (before, after)]
    return len(steps[0]) == len(steps[1]) and all(
        a is not None and b is not None and a.shape == b.shape == () and a == b and a.dtype == b.dtype
        for a, b in zip(*steps, strict=True)
    )


def _doubles(links: Links, node: onnx.NodeProto) -> bool:
    """True if each pixel becomes two by two."""
    if node.op_type != "Resize" or len(node.input) != 3:
        return False
    scales, stated = links.values(node.input[2]), attributes_of(node)
    wanted = {"mode": b"nearest", "coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}
    plain = all(stated.get(name) == value for name, value in wanted.items()) and not stated.get("axes")
    return plain and scales is not None and scales.tolist() == [1, 1, 2, 2]


def _spreads(node: onnx.NodeProto) -> bool:
    """True for DepthToSpace of the order row, column, channel."""
    return node.op_type == "DepthToSpace" and attributes_of(node).get("mode", b"DCR") == b"DCR"


def _enlarge(new: Replacement, source: str, result: str) -> None:
    """Every pixel twice in its row, then every row twice."""
    size = new.add("Gather", new.add("Shape", source), new.constant("order", np.array(CHANNELS_LAST)))
    size = new.add("Mul", size, new.constant("times", np.array([1, 2, 2, 1])))
    pixels = new.add("Transpose", source, perm=CHANNELS_LAST)
    rows = new.add("Concat", pixels, pixels, axis=3)
    rows = new.add("Unsqueeze", rows, new.constant("axes", np.array([2])))
    twice = new.add("Concat", rows, rows, axis=2)
    new.add("Transpose", new.add("Reshape", twice, size), output=result, perm=CHANNELS_FIRST)


def _depth_to_space(new: Replacement, source: str, result: str, block: int) -> None:
    """The pixels that lie in the depth of one, put in their rows."""
    size = new.add("Gather", new.add("Shape", source), new.constant("order", np.array(CHANNELS_LAST[:3])))
    size = new.add("Mul", size, new.constant("times", np.array([1, block, block])))
    size = new.add("Concat", size, new.constant("rest", np.array([-1])), axis=0)
    pixels = new.add("Transpose", source, perm=CHANNELS_LAST)
    parts = new.add("Reshape", pixels, new.constant("parts", np.array([0, 0, 0, block, block, -1])))
    rows = new.add("Transpose", parts, perm=[0, 1, 3, 2, 4, 5])
    new.add("Transpose", new.add("Reshape", rows, size), output=result, perm=CHANNELS_FIRST)
