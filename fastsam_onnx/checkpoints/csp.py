"""Stages in which a part of the channels goes through bottlenecks and meets the rest again.

Partial stages are those of CSPNet (Wang et al. 2019, https://arxiv.org/abs/1911.11929), the gathering of every
bottleneck's result that of ELAN (Wang et al. 2022, https://arxiv.org/abs/2211.04800).
"""

from __future__ import annotations

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.convolutions import halves
from fastsam_onnx.checkpoints.layers import Layer


def bottleneck(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Two convolutions, and around them a shortcut (He et al. 2015, https://arxiv.org/abs/1512.03385) or none."""
    made = builder.draw(builder.draw(source, layer.child("cv1")), layer.child("cv2"))
    return builder.add(source, made, layer) if layer.flag("add") else made


def c2(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """One half of the channels goes through all blocks, the other past them."""
    first, second = halves(builder, source, layer.child("cv1"))
    made = builder.draw(first, layer.child("m"))
    return builder.draw(builder.join(made, second), layer.child("cv2"))


def c2f(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """One half of the channels goes through the blocks, and the results of all of them are joined.

    The number of blocks is the depth of the network.
    """
    gathered = halves(builder, source, layer.child("cv1"))
    for block in layer.child("m").children.values():
        gathered.append(builder.draw(gathered[-1], block))
    return builder.draw(builder.join(*gathered), layer.child("cv2"))


def c3(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Two convolutions of the same source; one of them goes through all blocks."""
    made = builder.draw(builder.draw(source, layer.child("cv1")), layer.child("m"))
    return builder.draw(builder.join(made, builder.draw(source, layer.child("cv2"))), layer.child("cv3"))


def sequential(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Layers one after the other."""
    for child in layer.children.values():
        source = builder.draw(source, child)
    return source


BLOCKS = {
    "Bottleneck": bottleneck,
    "RepBottleneck": bottleneck,
    "C2": c2,
    "C2f": c2f,
    "C3": c3,
    "C3k": c3,
    "RepCSP": c3,
    "C3k2": c2f,
    "Sequential": sequential,
}
