"""The end of a network without NMS: it chooses the best pairs of candidate and class itself.

YOLOv10, Wang et al. 2024, https://arxiv.org/abs/2405.14458, section 3.1: with one candidate for each object the best
by score are the answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastsam_onnx.checkpoints.boxes import SIDES
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.onnx_writer import GraphWriter

MAX_DET = 300
"""Number of rows if the checkpoint does not say."""


def write_best(writer: GraphWriter, levels: Sequence[str], layer: Layer, classes: int, coefficients: int) -> None:
    """Write output0: (batch, rows, 6 + nm): x1, y1, x2, y2, score, class, coefficients; the best first.

    First the candidates with the best scores are chosen, then of these the best pairs of candidate and class.
    """
    layer.must_be("agnostic_nms", False, default=False)
    rows = layer.integer("max_det", default=MAX_DET)

    def integers(*values: int) -> str:
        return writer.constant(list(values), integers=True)

    candidates = writer.add("Concat", *levels, axis=2)
    sizes = integers(SIDES, classes, coefficients)
    corners, scores, weights = writer.add_many("Split", candidates, sizes, outputs=3, axis=1)
    count = writer.add("Slice", writer.add("Shape", scores), integers(2), integers(3))
    count = writer.add("Min", count, integers(rows))
    best = writer.add("ReduceMax", scores, axes=[1], keepdims=1)
    _, places = writer.add_many("TopK", best, count, outputs=2, axis=2)
    chosen = _take(writer, scores, places, integers(1, classes, 1))
    pairs = writer.add("Reshape", writer.add("Transpose", chosen, perm=[0, 2, 1]), integers(0, 1, -1))
    top, indices = writer.add_many("TopK", pairs, count, outputs=2, axis=2)
    of_chosen = writer.add("Div", indices, integers(classes))
    kinds = writer.add("Cast", writer.add("Mod", indices, integers(classes)), to=1)
    final = writer.add("GatherElements", places, of_chosen, axis=2)
    parts = [
        _take(writer, corners, final, integers(1, SIDES, 1)),
        top,
        kinds,
        _take(writer, weights, final, integers(1, coefficients, 1)),
    ]
    writer.add("Transpose", writer.add("Concat", *parts, axis=1), output="output0", perm=[0, 2, 1])
    writer.output("output0", ["batch", "rows", SIDES + 2 + coefficients])


def _take(writer: GraphWriter, values: str, places: str, channels: str) -> str:
    """(B, c, n) at the places (B, 1, k) → (B, c, k)."""
    return writer.add("GatherElements", values, writer.add("Expand", places, channels), axis=2)
