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
from fastsam_onnx.checkpoints.boxes import SIDES, boxes, check_distances, flat
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.prototypes import prototypes
from fastsam_onnx.checkpoints.vocabulary import check_texts, with_vocabulary

COEFFICIENTS = {"Segment": "cv4", "Segment26": "cv4", "YOLOESegment": "cv5", "YOLOESegment26": "cv5"}
"""The branch of a head that gives coefficients, by the head's kind."""
ONE_TO_ONE = "one2one_"
PROTOTYPE_STRIDE = 4


class _Branches(NamedTuple):
    """What the head says about one stride, before it is decoded."""

    sides: FeatureMap
    scores: FeatureMap
    coefficients: FeatureMap


class _Level(NamedTuple):
    """One stride's part of the answer, (B, 4 + classes + coefficients, cells)."""

    candidates: FeatureMap
    classes: int


def segment(builder: Builder, sources: Sequence[FeatureMap], layer: Layer, *, raw: bool = False) -> bool:
    """Draw the head and the outputs of the graph.

    Args:
        builder: The graph so far.
        sources: The maps that the head takes, finest first.
        layer: The head.
        raw: True to end before the decoding of boxes. The outputs are, for every stride, the sides of the boxes, the
            scores (before the sigmoid) and the coefficients, then the prototypes, each by the name of its node:
            a compiler finds nothing behind the network's own nodes.

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
    levels = [_branches(builder, source, layer, index, end_to_end) for index, source in enumerate(sources)]
    for index, level in enumerate(levels):
        if level.coefficients.channels != masks.channels:
            raise builder.refusal(
                f"{layer.name}.{COEFFICIENTS[layer.kind]}.{index} must give one coefficient for each of "
                f"{masks.channels} prototypes, got {level.coefficients.channels}"
            )
    if raw:
        classes = _write_raw(builder, levels, layer, masks)
    else:
        classes = _write_decoded(builder, levels, layer, masks, end_to_end=end_to_end)
    layer.must_be("nc", classes, default=classes)
    _leave_out(builder, layer, end_to_end=end_to_end)
    return end_to_end and not raw


def _branches(builder: Builder, source: FeatureMap, layer: Layer, index: int, end_to_end: bool) -> _Branches:
    prefix = ONE_TO_ONE if end_to_end else ""
    names = ("cv2", "cv3", COEFFICIENTS[layer.kind])
    return _Branches(*(builder.draw(source, layer.child(prefix + name).child(str(index))) for name in names))


def _write_decoded(
    builder: Builder, branches: Sequence[_Branches], layer: Layer, masks: FeatureMap, *, end_to_end: bool
) -> int:
    """The outputs of an export of ultralytics; the number of classes."""
    levels = [_level(builder, each, layer, index, end_to_end=end_to_end) for index, each in enumerate(branches)]
    classes = _class_count(builder, layer, [level.classes for level in levels])
    names = [level.candidates.name for level in levels]
    if end_to_end:
        write_best(builder.writer, names, layer, classes, masks.channels)
    else:
        builder.writer.add("Concat", *names, output="output0", axis=2)
        builder.writer.output("output0", ["batch", SIDES + classes + masks.channels, "anchors"])
    builder.writer.add("Identity", masks.name, output="output1")
    builder.writer.output("output1", ["batch", masks.channels, "height/4", "width/4"])
    return classes


def _write_raw(builder: Builder, levels: Sequence[_Branches], layer: Layer, masks: FeatureMap) -> int:
    """The outputs before decoding; the number of classes."""
    if layer.kind.startswith("YOLOE"):
        raise builder.refusal(f"raw heads of a {layer.kind} are not written: its texts are part of the decoding")
    classes = _class_count(builder, layer, [level.scores.channels for level in levels])
    for level in levels:
        check_distances(builder, level.sides, layer.child("dfl"))
        for branch in level:
            _write_map(builder, branch)
    _write_map(builder, masks)
    return classes


def _write_map(builder: Builder, source: FeatureMap) -> None:
    sides = [f"{side}/{source.stride}" for side in ("height", "width")]
    builder.writer.output(source.name, ["batch", source.channels, *sides])


def _class_count(builder: Builder, layer: Layer, counts: Sequence[int]) -> int:
    if any(count != counts[0] for count in counts):
        raise builder.refusal(f"{layer.name}.cv3 must give the same number of classes at each stride")
    return counts[0]


def _level(builder: Builder, branches: _Branches, layer: Layer, index: int, *, end_to_end: bool) -> _Level:
    """Everything that the head says about one stride."""
    sides, scores, coefficients = branches
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
    return _Level(builder.join(decoded, rest), scores.channels)


def _leave_out(builder: Builder, layer: Layer, *, end_to_end: bool) -> None:
    """Branches that serve training, or the other way of answering."""
    for name in ("cv2", "cv3", COEFFICIENTS[layer.kind]):
        builder.unused(f"{layer.name}.{name}." if end_to_end else f"{layer.name}.{ONE_TO_ONE}{name}.")
