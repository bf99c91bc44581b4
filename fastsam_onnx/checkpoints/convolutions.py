"""Convolutions with what surrounds them: batch normalisation before, an activation behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.parameters import BATCH_NORM, folded, plain

Values = Callable[[], FloatArray]

ACTIVATIONS = ("SiLU", "ReLU", "LeakyReLU", "ReLU6", "Hardswish", "Identity")


def conv(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Convolution, batch normalisation, activation; the normalisation may be part of the convolution already."""
    made = convolution(builder, source, layer.child("conv"), norm=layer.children.get("bn"))
    return activation(builder, made, layer.child("act"))


def convolution(builder: Builder, source: FeatureMap, layer: Layer, norm: Layer | None = None) -> FeatureMap:
    """A convolution with a bias: its own, or the one that comes of the batch normalisation behind it."""
    _weight_shape(builder, source, layer)
    return _draw(builder, source, layer, *_values(builder, layer, norm))


def _weight_shape(builder: Builder, source: FeatureMap, layer: Layer) -> tuple[int, ...]:
    kernel, groups = layer.kernel(), layer.integer("groups")
    layer.must_be("padding", (kernel // 2,) * 2)
    layer.must_be("dilation", (1, 1))
    layer.must_be("padding_mode", "zeros")
    if source.channels % groups:
        raise builder.refusal(f"{layer.name} has {groups} groups, which must divide {source.channels} channels")
    shape = builder.shape(f"{layer.name}.weight", (None, source.channels // groups, kernel, kernel))
    if shape[0] % groups:
        raise builder.refusal(f"{layer.name} has {groups} groups, which must divide {shape[0]} channels")
    return shape


def _draw(builder: Builder, source: FeatureMap, layer: Layer, weight: Values, bias: Values) -> FeatureMap:
    kernel, stride, groups = layer.kernel(), layer.side("stride"), layer.integer("groups")
    shape = builder.arrays[f"{layer.name}.weight"].shape
    inputs = [
        source.name,
        builder.parameter(f"{layer.name}.weight", shape, weight),
        builder.parameter(f"{layer.name}.bias", shape[:1], bias),
    ]
    sides, pads, steps = [kernel] * 2, [kernel // 2] * 4, [stride] * 2
    made = builder.writer.add("Conv", *inputs, kernel_shape=sides, pads=pads, strides=steps, group=groups)
    return FeatureMap(made, shape[0], source.stride * stride)


def linear(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """A linear layer at every cell, which is a 1x1 convolution."""
    layer.must_be_kind("Linear")
    shape = builder.shape(f"{layer.name}.weight", (None, source.channels))
    bias = builder.shape(f"{layer.name}.bias", shape[:1])
    inputs = [
        builder.parameter(f"{layer.name}.weight", (*shape, 1, 1)),
        builder.parameter(f"{layer.name}.bias", bias),
    ]
    made = builder.writer.add("Conv", source.name, *inputs, kernel_shape=[1, 1])
    return source._replace(name=made, channels=shape[0])


def transposed(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """A transposed convolution that gives twice the size: each cell becomes 2 by 2."""
    for name in ("kernel_size", "stride"):
        layer.must_be(name, (2, 2))
    layer.must_be("padding", (0, 0))
    layer.must_be("output_padding", (0, 0))
    layer.must_be("dilation", (1, 1))
    layer.must_be("groups", 1)
    shape = builder.shape(f"{layer.name}.weight", (source.channels, None, 2, 2))
    bias = builder.shape(f"{layer.name}.bias", shape[1:2])
    inputs = [builder.parameter(f"{layer.name}.weight", shape), builder.parameter(f"{layer.name}.bias", bias)]
    made = builder.writer.add("ConvTranspose", source.name, *inputs, kernel_shape=[2, 2], strides=[2, 2])
    return FeatureMap(made, shape[1], max(1, source.stride // 2))


def activation(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """The activation that the checkpoint names.

    SiLU is x * sigmoid(x) (Elfwing et al. 2017, https://arxiv.org/abs/1702.03118), Hardswish x * min(max(x + 3, 0), 6)
    / 6 (Howard et al. 2019, https://arxiv.org/abs/1905.02244).
    """
    writer, name = builder.writer, source.name
    match layer.kind:
        case "SiLU":
            made = writer.add("Mul", name, writer.add("Sigmoid", name))
        case "ReLU":
            made = writer.add("Relu", name)
        case "LeakyReLU":
            made = writer.add("LeakyRelu", name, alpha=layer.number("negative_slope"))
        case "ReLU6":
            made = writer.add("Clip", name, writer.constant(0.0), writer.constant(6.0))
        case "Hardswish":
            made = writer.add("HardSwish", name)
        case "Identity":
            made = name
        case _:
            accepted = ", ".join(ACTIVATIONS)
            raise builder.refusal(f"the activation {layer.name} must be one of {accepted}, got {layer.kind}")
    return source._replace(name=made)


def _values(builder: Builder, layer: Layer, norm: Layer | None) -> tuple[Values, Values]:
    """Functions that compute weight and bias; marks the parameters that they need as used."""
    weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
    channels = builder.arrays[weight].shape[:1]
    if norm is None or builder.has(bias):
        builder.shape(bias, channels)
        return partial(plain, weight, builder.arrays), partial(plain, bias, builder.arrays)
    for key in BATCH_NORM:
        builder.shape(f"{norm.name}.{key}", channels)
    fold = partial(folded, arrays=builder.arrays, eps=builder.eps)
    return partial(fold, weight), partial(fold, bias)


def reparameterised(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """A 3x3 and a 1x1 convolution side by side, whose sum is one 3x3 convolution.

    RepVGG, Ding et al. 2021, https://arxiv.org/abs/2101.03697.
    """
    if "conv" in layer.children:  # summed already
        return activation(builder, convolution(builder, source, layer.child("conv")), layer.child("act"))
    layer.must_be("bn", None)
    large, small = layer.child("conv1"), layer.child("conv2")
    for each, side in ((large, 3), (small, 1)):
        each.child("conv").must_be("kernel_size", (side, side))
        each.child("act").must_be_kind("Identity")
    shapes, values = [], []
    for each in (large, small):
        shapes.append(_weight_shape(builder, source, each.child("conv")))
        values.append(_values(builder, each.child("conv"), each.children.get("bn")))
    if shapes[0][0] != shapes[1][0]:
        raise builder.refusal(f"{layer.name} adds {shapes[0][0]} and {shapes[1][0]} channels, which must be equal")
    (weight, bias), (small_weight, small_bias) = values
    made = _draw(
        builder,
        source,
        large.child("conv"),
        lambda: weight() + np.pad(small_weight(), ((0, 0), (0, 0), (1, 1), (1, 1))),
        lambda: bias() + small_bias(),
    )
    return activation(builder, made, layer.child("act"))


BLOCKS = {
    "Conv": conv,
    "DWConv": conv,
    "Conv2d": convolution,
    "ConvTranspose2d": transposed,
    "RepConv": reparameterised,
    **dict.fromkeys(ACTIVATIONS, activation),
}
