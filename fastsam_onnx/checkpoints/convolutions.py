"""Convolutions with what surrounds them: batch normalisation before, an activation behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.layers import Layer
from fastsam_onnx.checkpoints.parameters import BATCH_NORM, folded, plain

Values = Callable[[], FloatArray]

ACTIVATIONS = ("SiLU", "ReLU", "LeakyReLU", "ReLU6", "Hardswish", "Identity")


class Parameter(NamedTuple):
    """A parameter of the graph: its name, its shape, and a function that computes it."""

    name: str
    shape: tuple[int, ...]
    values: Values


class Convolution(NamedTuple):
    """The parameters of a convolution: weight (o, c / groups, kh, kw) and bias (o,)."""

    weight: Parameter
    bias: Parameter

    @property
    def channels(self) -> int:
        """Number of channels that it makes."""
        return self.weight.shape[0]


def conv(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Convolution, batch normalisation, activation; the normalisation may be part of the convolution already."""
    made = convolution(builder, source, layer.child("conv"), norm=layer.children.get("bn"))
    return activation(builder, made, layer.child("act"))


def convolution(builder: Builder, source: FeatureMap, layer: Layer, norm: Layer | None = None) -> FeatureMap:
    """A convolution with a bias: its own, or the one that comes of the batch normalisation behind it."""
    return _applied(builder, source, parameters_of(builder, source.channels, layer, norm), layer)


def halves(builder: Builder, source: FeatureMap, layer: Layer) -> list[FeatureMap]:
    """The two halves of the channels that a layer makes: a convolution makes each by itself, and nothing is cut.

    Raises:
        ModelError: If it makes an odd number of channels.
    """
    if builder.plain or layer.kind != "Conv" or layer.child("conv").integer("groups") != 1:
        return builder.halves(builder.draw(source, layer), layer)
    builder.check_forward(layer)
    inner, act = layer.child("conv"), layer.child("act")
    whole = parameters_of(builder, source.channels, inner, layer.children.get("bn"))
    middle = builder.half(whole.channels, layer)
    parts = [_outputs(whole, index, slice(index * middle, (index + 1) * middle)) for index in range(2)]
    return [activation(builder, _applied(builder, source, part, inner), act) for part in parts]


def _applied(builder: Builder, source: FeatureMap, parameters: Convolution, layer: Layer) -> FeatureMap:
    """A convolution with parameters of a layer, or of a part of it."""
    stride, groups = layer.side("stride"), layer.integer("groups")
    if layer.kernel() == stride == groups == 1 and builder.is_enlarged(source):
        return _before_enlarging(builder, builder.parts(source), parameters, layer)
    return draw(builder, source, parameters, stride=stride, groups=groups)


def _outputs(whole: Convolution, index: int, channels: slice) -> Convolution:
    """The part of a convolution that makes some of its channels; `index` is in its parameters' names."""
    names = [f"{each.name}.{index}" for each in whole]
    weight, bias = (partial(_cut, each.values, channels) for each in whole)
    count = channels.stop - channels.start
    return Convolution(
        Parameter(names[0], (count, *whole.weight.shape[1:]), weight), Parameter(names[1], (count,), bias)
    )


def parameters_of(builder: Builder, channels: int, layer: Layer, norm: Layer | None = None) -> Convolution:
    """The parameters of a convolution of a number of channels, checked; see `convolution`.

    Raises:
        ModelError: If they contradict the layer, or it is of a kind that is not drawn.
    """
    kernel, groups = layer.kernel(), layer.integer("groups")
    layer.must_be("padding", (kernel // 2,) * 2)
    layer.must_be("dilation", (1, 1))
    layer.must_be("padding_mode", "zeros")
    if channels % groups:
        raise builder.refusal(f"{layer.name} has {groups} groups, which must divide {channels} channels")
    shape = builder.shape(f"{layer.name}.weight", (None, channels // groups, kernel, kernel))
    if shape[0] % groups:
        raise builder.refusal(f"{layer.name} has {groups} groups, which must divide {shape[0]} channels")
    weight, bias = _values(builder, layer, norm)
    return Convolution(
        Parameter(f"{layer.name}.weight", shape, weight), Parameter(f"{layer.name}.bias", shape[:1], bias)
    )


def draw(
    builder: Builder,
    source: FeatureMap,
    parameters: Convolution,
    *,
    stride: int = 1,
    groups: int = 1,
    pads: Sequence[int] | None = None,
    biased: bool = True,
) -> FeatureMap:
    """Append a convolution.

    Args:
        builder: The graph so far.
        source: What it takes.
        parameters: Its parameters.
        stride: Its stride.
        groups: Number of its groups.
        pads: Zeros above, to the left, below, to the right; by default so that an odd kernel keeps the size.
        biased: False to leave its bias out.
    """
    kernel = parameters.weight.shape[2]
    inputs = [builder.parameter(*each) for each in (parameters if biased else parameters[:1])]
    sides, steps = [kernel] * 2, [stride] * 2
    frame = [kernel // 2] * 4 if pads is None else pads
    made = builder.writer.add("Conv", source.name, *inputs, kernel_shape=sides, pads=frame, strides=steps, group=groups)
    return FeatureMap(made, parameters.channels, source.stride * stride)


def _before_enlarging(
    builder: Builder, parts: Sequence[FeatureMap], parameters: Convolution, layer: Layer
) -> FeatureMap:
    """A 1x1 convolution of joined maps, some of which were enlarged: of those it is computed before, on fewer cells."""
    (name, shape, weight), bias = parameters
    made: list[FeatureMap] = []
    for index, (part, end) in enumerate(zip(parts, accumulate(part.channels for part in parts), strict=True)):
        columns = partial(_cut, weight, (slice(None), slice(end - part.channels, end)))
        own = Convolution(Parameter(f"{name}.{index}", (shape[0], part.channels, 1, 1), columns), bias)
        mixed = draw(builder, builder.before_enlarging(part), own, biased=index == 0)
        made.append(builder.enlarge(mixed, part.stride, layer))
    return reduce(lambda total, each: builder.add(total, each, layer), made)


def _cut(values: Values, index: slice | tuple[slice, ...]) -> FloatArray:
    return values()[index]


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
    parameters = transposed_parameters(builder, source.channels, layer)
    inputs = [builder.parameter(*each) for each in parameters]
    made = builder.writer.add("ConvTranspose", source.name, *inputs, kernel_shape=[2, 2], strides=[2, 2])
    return FeatureMap(made, parameters.weight.shape[1], max(1, source.stride // 2))


def transposed_parameters(builder: Builder, channels: int, layer: Layer) -> Convolution:
    """The parameters of a transposed convolution that gives twice the size, checked; its weight is (c, o, 2, 2).

    Raises:
        ModelError: If they contradict the layer, or it is of a kind that is not drawn.
    """
    for name in ("kernel_size", "stride"):
        layer.must_be(name, (2, 2))
    layer.must_be("padding", (0, 0))
    layer.must_be("output_padding", (0, 0))
    layer.must_be("dilation", (1, 1))
    layer.must_be("groups", 1)
    shape = builder.shape(f"{layer.name}.weight", (channels, None, 2, 2))
    bias = builder.shape(f"{layer.name}.bias", shape[1:2])
    names = f"{layer.name}.weight", f"{layer.name}.bias"
    weight, offset = (partial(plain, name, builder.arrays) for name in names)
    return Convolution(Parameter(names[0], shape, weight), Parameter(names[1], bias, offset))


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
    first, second = (
        parameters_of(builder, source.channels, each.child("conv"), each.children.get("bn")) for each in (large, small)
    )
    if first.channels != second.channels:
        raise builder.refusal(f"{layer.name} adds {first.channels} and {second.channels} channels, which must be equal")
    stride, groups = large.child("conv").side("stride"), large.child("conv").integer("groups")
    made = draw(builder, source, _summed(first, second), stride=stride, groups=groups)
    return activation(builder, made, layer.child("act"))


def _summed(large: Convolution, small: Convolution) -> Convolution:
    """A 3x3 and a 1x1 convolution as one."""
    return Convolution(
        large.weight._replace(
            values=lambda: large.weight.values() + np.pad(small.weight.values(), ((0, 0), (0, 0), (1, 1), (1, 1)))
        ),
        large.bias._replace(values=lambda: large.bias.values() + small.bias.values()),
    )


BLOCKS = {
    "Conv": conv,
    "DWConv": conv,
    "Conv2d": convolution,
    "ConvTranspose2d": transposed,
    "RepConv": reparameterised,
    **dict.fromkeys(ACTIVATIONS, activation),
}
