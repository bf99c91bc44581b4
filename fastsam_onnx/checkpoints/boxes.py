"""Boxes from what the head says about every cell: distances from the cell's centre to the four sides."""

from __future__ import annotations

import numpy as np

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.parameters import plain

SIDES = 4
"""Sides of a box: left, top, right, bottom."""


def boxes(builder: Builder, logits: FeatureMap, distribution: Layer, *, corners: bool) -> FeatureMap:
    """(B, 4 * bins, h, w) → (B, 4, h * w): cx, cy, w, h in input pixels, or x1, y1, x2, y2 if `corners`."""
    writer = builder.writer
    distances = _distances(builder, logits, distribution)
    before, after = writer.add_many("Split", distances, outputs=2, axis=1)
    middles = _cell_centres(builder, logits)
    if corners:
        first, second = writer.add("Sub", middles, before), writer.add("Add", middles, after)
    else:
        shift = writer.add("Mul", writer.add("Sub", after, before), writer.constant(0.5))
        first, second = writer.add("Add", middles, shift), writer.add("Add", before, after)
    cells = writer.add("Concat", first, second, axis=1)
    return FeatureMap(writer.add("Mul", cells, writer.constant(float(logits.stride))), SIDES, logits.stride)


def flat(builder: Builder, source: FeatureMap) -> FeatureMap:
    """(B, c, h, w) → (B, c, h * w)."""
    shape = builder.writer.constant([0, source.channels, -1], integers=True)
    return source._replace(name=builder.writer.add("Reshape", source.name, shape))


def check_distances(builder: Builder, logits: FeatureMap, distribution: Layer) -> None:
    """Refuse a distribution over anything but the distances 0, 1, ...: who decodes raw heads takes these for granted.

    Raises:
        ModelError: If the parameters say so, or do not fit.
    """
    bins = _bins(builder, logits, distribution)
    if bins is None:
        return
    name = f"{distribution.name}.conv.weight"
    values = plain(name, builder.arrays).reshape(-1)
    if not np.array_equal(values, np.arange(bins)):
        raise builder.refusal(f"{name} must be 0 to {bins - 1} for raw heads, got {values.tolist()!r:.80}")


def _bins(builder: Builder, logits: FeatureMap, distribution: Layer) -> int | None:
    """Number of distances that a side has a distribution over; None if its distance is given itself."""
    if distribution.kind == "Identity":
        if logits.channels != SIDES:
            raise builder.refusal(f"boxes at stride {logits.stride} must have {SIDES} channels, got {logits.channels}")
        return None
    weights = f"{distribution.name}.conv.weight"
    distribution.must_be_kind("DFL")
    _, bins, _, _ = builder.shape(weights, (1, None, 1, 1))
    if logits.channels != SIDES * bins:
        raise builder.refusal(
            f"{weights} has {bins} bins, so the boxes at stride {logits.stride} must have {SIDES * bins} channels, "
            f"got {logits.channels}"
        )
    return bins


def _distances(builder: Builder, logits: FeatureMap, distribution: Layer) -> str:
    """(B, 4, h * w): distances in cells.

    For each side the network gives a distribution over distances 0, 1, ... and its mean counts (Generalized Focal
    Loss, Li et al. 2020, https://arxiv.org/abs/2006.04388). The FastSAM paper raised the number of bins from 16 to 26;
    YOLO26 gives the distance itself.
    """
    bins = _bins(builder, logits, distribution)
    if bins is None:
        return flat(builder, logits).name
    writer, weights = builder.writer, f"{distribution.name}.conv.weight"
    split = writer.add("Reshape", logits.name, writer.constant([0, SIDES, bins, -1], integers=True))
    likely = writer.add("Softmax", writer.add("Transpose", split, perm=[0, 1, 3, 2]), axis=3)
    weighted = writer.add("Mul", likely, builder.parameter(weights, (bins,)))  # a MatMul by one column is far slower
    return writer.add("ReduceSum", weighted, writer.constant([3], integers=True), keepdims=0)


def _cell_centres(builder: Builder, level: FeatureMap) -> str:
    """(1, 2, h * w): x and y of every cell's centre, in cells, row by row."""
    writer = builder.writer
    size = writer.add("Shape", level.name, start=2)
    one, half = writer.constant(1.0), writer.constant(0.5)
    planes = []
    for axis, shape in ((1, [1, -1]), (0, [-1, 1])):
        count = writer.add("Gather", size, writer.constant(axis, integers=True))
        positions = writer.add("Range", half, writer.add("Cast", count, to=1), one)
        column_or_row = writer.add("Reshape", positions, writer.constant(shape, integers=True))
        plane = writer.add("Expand", column_or_row, size)
        planes.append(writer.add("Reshape", plane, writer.constant([1, 1, -1], integers=True)))
    return writer.add("Concat", *planes, axis=1)
