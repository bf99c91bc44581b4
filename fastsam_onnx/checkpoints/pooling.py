"""Layers without parameters of their own that change the size of a feature map, and stages made of them."""

from __future__ import annotations

from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer


def maximum(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """The largest value around each cell."""
    kernel = layer.kernel()
    layer.must_be("stride", 1)
    layer.must_be("padding", kernel // 2)
    layer.must_be("dilation", 1)
    layer.must_be("ceil_mode", False)
    sides = [kernel] * 2
    made = builder.writer.add("MaxPool", source.name, kernel_shape=sides, pads=[kernel // 2] * 4, strides=[1, 1])
    return source._replace(name=made)


def sppf(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Spatial pyramid pooling (He et al. 2014, https://arxiv.org/abs/1406.4729) as YOLOv5 made it fast.

    Three 5x5 maxima in a row see 5, 9 and 13 cells. YOLO26 adds a shortcut.
    """
    pooled = [builder.draw(source, layer.child("cv1"))]
    for _ in range(min(layer.integer("n", default=3), MAX_POOLS)):
        pooled.append(builder.draw(pooled[-1], layer.child("m")))
    made = builder.draw(builder.join(*pooled), layer.child("cv2"))
    return builder.add(source, made, layer) if layer.flag("add", default=False) else made


def upsample(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """A larger map: each cell several times, or interpolated between cells."""
    layer.must_be("size", None)
    layer.must_be("mode", "nearest", "bilinear")
    layer.must_be("scale_factor", 2.0, 4.0, 2, 4)
    factor = int(layer.number("scale_factor"))
    stride, rest = divmod(source.stride, factor)
    if rest:
        raise builder.refusal(f"{layer.name} makes a map of the stride {source.stride} {factor} times as large")
    if layer.attributes.get("mode") == "nearest":
        return builder.enlarge(source, stride, layer)
    layer.must_be("align_corners", None, False)
    scales = builder.writer.constant([1.0, 1.0, float(factor), float(factor)])
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return source._replace(name=builder.writer.add("Resize", source.name, "", scales, **how), stride=stride)


MAX_POOLS = 8
BLOCKS = {"MaxPool2d": maximum, "SPPF": sppf, "Upsample": upsample}
