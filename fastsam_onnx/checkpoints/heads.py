"""The head: at every cell of every stride a box, a score per class, and coefficients; and the prototypes.

Heads of YOLO26 have two sets of branches (YOLOv10, Wang et al. 2024, https://arxiv.org/abs/2405.14458, section 3.1):
one gives several candidates for an object, which need NMS, the other ("one2one") gives one; the file says which of them
answers, and the first does if it does not, as in ultralytics (8.4.190). Heads of YOLOE (Wang et
al. 2025, https://arxiv.org/abs/2503.07465) are the same once their texts have become weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fastsam_onnx.checkpoints.best import write_best
from fastsam_onnx.checkpoints.boxes import SIDES, boxes, flat
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.prototypes import prototypes
from fastsam_onnx.checkpoints.vocabulary import check_texts, with_vocabulary

COEFFICIENTS = {"Segment": "cv4", "Segment26": "cv4", "YOLOESegment": "cv5", "YOLOESegment26": "cv5"}
"""The branch of a head that gives coefficients, by the head's kind."""
ONE_TO_ONE = "one2one_"
PROTOTYPE_STRIDE = 4


class _Level(NamedTuple):
    """One stride's part of the answer, (B, 4 + classes + coefficients, cells)."""

    candidates: FeatureMap
    classes: int
    coefficients: int


def segment(builder: Builder, sources: Sequence[FeatureMap], layer: Layer) -> bool:
    """Draw the head and the outputs of the graph.

    Returns:
        True if it chooses the best candidates itself.

    Raises:
        ModelError: If its branches do not fit together.
    """
    builder.check_forward(layer)
    masks = prototypes(builder, sources, layer.child("proto"))
    if masks.stride != PROTOTYPE_STRIDE:
        raise builder.refusal(f"the prototypes must have the stride {PROTOTYPE_STRIDE}, got {masks.stride}")
    end_to_end = f"{ONE_TO_ONE}cv2" in layer.children and layer.flag("_end2end", "cv2" not in layer.children)
    levels = [_level(builder, source, layer, index, end_to_end=end_to_end) for index, source in enumerate(sources)]
    for index, level in enumerate(levels):
        if level.coefficients != masks.channels:
            raise builder.refusal(
                f"{layer.name}.{COEFFICIENTS[layer.kind]}.{index} must give one coefficient for each of "
                f"{masks.channels} prototypes, got {level.coefficients}"
            )
    classes = levels[0].classes
    if any(level.classes != classes for level in levels):
        raise builder.refusal(f"{layer.name}.cv3 must give the same number of classes at each stride")
    layer.must_be("nc", classes, default=classes)
    _leave_out(builder, layer, end_to_end=end_to_end)
    names = [level.candidates.name for level in levels]
    if end_to_end:
        write_best(builder.writer, names, layer, classes, masks.channels)
    else:
        builder.writer.add("Concat", *names, output="output0", axis=2)
        builder.writer.output("output0", ["batch", SIDES + classes + masks.channels, "anchors"])
    builder.writer.add("Identity", masks.name, output="output1")
    builder.writer.output("output1", ["batch", masks.channels, "height/4", "width/4"])
    return end_to_end


def _level(builder: Builder, source: FeatureMap, layer: Layer, index: int, *, end_to_end: bool) -> _Level:
    """Everything that the head says about one stride."""
    prefix = ONE_TO_ONE if end_to_end else ""
    sides, scores, coefficients = (
        builder.draw(source, layer.child(prefix + name).child(str(index)))
        for name in ("cv2", "cv3", COEFFICIENTS[layer.kind])
    )
    objects = None
    if layer.kind.startswith("YOLOE"):
        check_texts(builder, layer)
        if "lrpc" in layer.children:
            sides, scores, objects = with_vocabulary(builder, sides, scores, layer, index)
    decoded = boxes(builder, sides, layer.child("dfl"), corners=end_to_end)
    likely = scores._replace(name=builder.writer.add("Sigmoid", scores.name))
    if objects:
        likely = likely._replace(name=builder.writer.add("Mul", likely.name, objects))
    rest = flat(builder, builder.join(likely, coefficients))
    return _Level(builder.join(decoded, rest), scores.channels, coefficients.channels)


def _leave_out(builder: Builder, layer: Layer, *, end_to_end: bool) -> None:
    """Branches that serve training, or the other way of answering."""
    for name in ("cv2", "cv3", COEFFICIENTS[layer.kind]):
        builder.unused(f"{layer.name}.{name}." if end_to_end else f"{layer.name}.{ONE_TO_ONE}{name}.")
