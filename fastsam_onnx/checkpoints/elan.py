"""The stages of YOLOv9 (Wang et al. 2024, https://arxiv.org/abs/2402.13616): GELAN and its auxiliary reversible branch.

Sources of the parts: ELAN, https://arxiv.org/abs/2211.04800; CBNet, https://arxiv.org/abs/2107.00420.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.convolutions import halves
from fastsam_onnx.checkpoints.layers import Layer, shown


def elan4(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """One half of the channels goes through two stages; all that is made on the way is joined."""
    gathered = halves(builder, source, layer.child("cv1"))
    for name in ("cv2", "cv3"):
        gathered.append(builder.draw(gathered[-1], layer.child(name)))
    return builder.draw(builder.join(*gathered), layer.child("cv4"))


def adown(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Half the size: one half of the channels by a convolution, the other by maxima, both of 2x2 means."""
    first, second = builder.halves(_means(builder, source), layer)
    made = builder.writer.add("MaxPool", second.name, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    largest = FeatureMap(made, second.channels, second.stride * 2)
    return builder.join(builder.draw(first, layer.child("cv1")), builder.draw(largest, layer.child("cv2")))


def aconv(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Half the size by a convolution of 2x2 means."""
    return builder.draw(_means(builder, source), layer.child("cv1"))


def sppelan(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Three maxima in a row, joined with what they began from."""
    gathered = [builder.draw(source, layer.child("cv1"))]
    for name in ("cv2", "cv3", "cv4"):
        gathered.append(builder.draw(gathered[-1], layer.child(name)))
    return builder.draw(builder.join(*gathered), layer.child("cv5"))


def branch_out(builder: Builder, source: FeatureMap, layer: Layer) -> list[FeatureMap]:
    """One convolution, cut into a map for each stage of the second backbone."""
    made = builder.draw(source, layer.child("conv"))
    widths = layer.attributes.get("c2s")
    if not isinstance(widths, list | tuple) or len(widths) > MAX_BRANCHES or not all(_fits(each) for each in widths):
        raise builder.refusal(f"{layer.name} has a list c2s of the widths of its maps that makes no sense")
    if sum(widths) != made.channels:
        raise builder.refusal(f"{layer.name} must make {sum(widths)} channels, got {made.channels}")
    return [made] if len(widths) == 1 else builder.split(made, *widths)


def branch_in(builder: Builder, sources: Sequence[Sequence[FeatureMap]], layer: Layer) -> FeatureMap:
    """The sum of the last source and one map of each other, made as large as it."""
    (made,), chosen = sources[-1], layer.attributes.get("idx")
    if not isinstance(chosen, list | tuple) or len(chosen) != len(sources) - 1:
        raise builder.refusal(f"{layer.name} must have a list idx that chooses a map of each source but the last")
    for index, maps in zip(chosen, sources[:-1], strict=True):
        if type(index) is not int or not 0 <= index < len(maps):
            raise builder.refusal(f"{layer.name} chooses map {shown(index)} of {len(maps)}")
        made = builder.add(made, builder.enlarge(maps[index], made.stride, layer), layer)
    return made


def _means(builder: Builder, source: FeatureMap) -> FeatureMap:
    """The mean of each 2x2 cells, one row and column fewer."""
    made = builder.writer.add("AveragePool", source.name, kernel_shape=[2, 2], strides=[1, 1])
    return source._replace(name=made)


def _fits(width: object) -> bool:
    return type(width) is int and 0 < width < 1 << 16


MAX_BRANCHES = 8
BLOCKS = {"RepNCSPELAN4": elan4, "ELAN1": elan4, "ADown": adown, "AConv": aconv, "SPPELAN": sppelan}
