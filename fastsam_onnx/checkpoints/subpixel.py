"""Prototypes without a transposed convolution: what it and the 3x3 convolution after it make of a cell, at once.

A transposed convolution of kernel 2 and stride 2 makes two by two pixels of each cell: it is four convolutions, whose
results are then put side by side (Shi et al. 2016, https://arxiv.org/abs/1609.05158).

In the prototypes of YOLO a 3x3 convolution follows it with nothing in between. Each of the four pixels then depends on
2x2 cells, so both together are one 2x2 convolution for each of them: 16 instead of 40 products for each pair of
channels. What comes behind them looks at single pixels, and is computed before these are put side by side.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.checkpoints.builder import Builder, FeatureMap
from fastsam_onnx.checkpoints.convolutions import (
    Convolution,
    Parameter,
    Values,
    activation,
    draw,
    parameters_of,
    transposed_parameters,
)
from fastsam_onnx.checkpoints.layers import Layer

SILU_IS_ONE = 1.278464542761074
"""The x for which x * sigmoid(x) = 1."""
HARDSWISH_IS_ONE = (33**0.5 - 3) / 2
"""The x for which x * (x + 3) / 6 = 1."""
IS_ONE = {"SiLU": SILU_IS_ONE, "Hardswish": HARDSWISH_IS_ONE}
IS_ONE |= dict.fromkeys(("ReLU", "LeakyReLU", "ReLU6", "Identity"), 1.0)
"""The x that an activation makes 1 of."""
ADDED = 4
"""Number of channels of ones, behind those that a transposed convolution takes: four share the bias, so that in bytes
its weights are not greater than the others and cost them no precision; and kernels want a multiple of four."""
PIXELS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of the pixels that are made of a cell, in the order of DepthToSpace."""


def pixel_kernel(
    transposed: npt.NDArray[Any], bias: npt.NDArray[Any], kernel: npt.NDArray[Any], row: int, column: int
) -> npt.NDArray[np.float64]:
    """A transposed convolution and the 3x3 convolution after it as one 2x2 convolution, for one of the four pixels.

    The bias of the transposed convolution counts where its pixels are, not in the frame of zeros around them; so do
    channels of ones, from which it is made here.

    Args:
        transposed: (c, m, 2, 2), stride 2.
        bias: (m,).
        kernel: (o, m, 3, 3), padded by 1.
        row: 0 or 1: the pixel's row among those that are made of a cell.
        column: 0 or 1.

    Returns:
        (o, c + ADDED, 2, 2), for a map with `ADDED` channels of ones behind its own, padded by 1 - `row` rows above,
        `row` below, 1 - `column` columns to the left and `column` to the right.
    """
    of_ones = np.repeat(bias[None, :, None, None] / ADDED, ADDED, axis=0) * np.ones((1, 1, 2, 2))
    sources = np.concatenate([transposed.astype(np.float64), of_ones.astype(np.float64)])
    taps = np.zeros((2, 2, len(kernel), len(sources)))
    for u, v in np.ndindex(3, 3):  # pixel (2i + row, 2j + column) looks at (2i + down, 2j + right)
        down, right = row + u - 1, column + v - 1
        product = kernel[:, :, u, v].astype(np.float64) @ sources[:, :, down % 2, right % 2].T
        taps[down // 2 + 1 - row, right // 2 + 1 - column] += product
    return taps.transpose(2, 3, 0, 1)


def fits(layer: Layer) -> bool:
    """True for prototypes that `subpixel_prototypes` draws: of plain convolutions with known activations."""
    first, larger, second, last = (layer.child(name) for name in ("cv1", "upsample", "cv2", "cv3"))
    kinds = [each.kind for each in (first, larger, second, last)]
    if kinds != ["Conv", "ConvTranspose2d", "Conv", "Conv"] or first.child("act").kind not in IS_ONE:
        return False
    return all(_is_plain(each, kernel) for each, kernel in ((first, 3), (second, 3), (last, 1)))


def subpixel_prototypes(builder: Builder, source: FeatureMap, layer: Layer) -> FeatureMap:
    """Prototypes, twice as large as the map that they are made of.

    Raises:
        ModelError: If the parameters contradict the layers.
    """
    first, larger, second, last = (layer.child(name) for name in ("cv1", "upsample", "cv2", "cv3"))
    for each in (first, larger, second, last):
        builder.check_forward(each)
    own = parameters_of(builder, source.channels, first.child("conv"), first.children.get("bn"))
    transposed = transposed_parameters(builder, own.channels, larger)
    following = parameters_of(builder, transposed.weight.shape[1], second.child("conv"), second.children.get("bn"))
    mixing = parameters_of(builder, following.channels, last.child("conv"), last.children.get("bn"))
    cells = activation(builder, draw(builder, source, _with_ones(own, first.child("act").kind)), first.child("act"))
    pixels = []
    for row, column in PIXELS:
        kernel = _pixel(transposed, following, row, column)
        made = draw(builder, cells, kernel, pads=[1 - row, 1 - column, row, column])
        pixels.append(draw(builder, activation(builder, made, second.child("act")), mixing))
    wide = builder.writer.add("DepthToSpace", builder.join(*pixels).name, blocksize=2, mode="DCR")
    return activation(builder, FeatureMap(wide, mixing.channels, max(1, source.stride // 2)), last.child("act"))


def _is_plain(layer: Layer, kernel: int) -> bool:
    convolution = layer.child("conv")
    sides = convolution.kernel(), convolution.side("stride"), convolution.integer("groups")
    return sides == (kernel, 1, 1)


def _with_ones(parameters: Convolution, act: str) -> Convolution:
    """The same convolution with channels more, of which an activation of this kind makes ones."""
    (name, shape, weight), (bias_name, _, bias) = parameters
    channels = shape[0] + ADDED
    return Convolution(
        Parameter(name, (channels, *shape[1:]), lambda: np.pad(weight(), ((0, ADDED), (0, 0), (0, 0), (0, 0)))),
        Parameter(bias_name, (channels,), lambda: np.pad(bias(), (0, ADDED), constant_values=IS_ONE[act])),
    )


def _pixel(transposed: Convolution, following: Convolution, row: int, column: int) -> Convolution:
    weight, bias = following
    made = weight.shape[0], transposed.weight.shape[0] + ADDED, 2, 2
    values: Values = partial(_kernel, transposed, weight.values, row, column)
    return Convolution(Parameter(f"{weight.name}.{row}{column}", made, values), bias)


def _kernel(transposed: Convolution, kernel: Values, row: int, column: int) -> FloatArray:
    weight, bias = (each.values() for each in transposed)
    return pixel_kernel(weight, bias, kernel(), row, column).astype(np.float32)
