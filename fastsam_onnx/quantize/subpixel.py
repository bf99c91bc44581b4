"""Transposed convolutions as sub-pixel convolutions, for which there are integer kernels.

A transposed convolution of kernel 2 and stride 2 makes four pixels of each one: it is a convolution with four times
as many channels, whose results are then put side by side (Shi et al. 2016, https://arxiv.org/abs/1609.05158).

In YOLOv8-seg a 3x3 convolution follows it with nothing in between. Each of the four pixels then depends on 2x2 pixels
of the small map, so both together are one 2x2 convolution: 16 instead of 40 products for each pair of channels, and no
activation in between that would have to be rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.checkpoints.subpixel import ADDED, PIXELS, SILU_IS_ONE, pixel_kernel
from fastsam_onnx.quantize.links import Links, Replacement, add_constant, attributes_of, rewritten

if TYPE_CHECKING:
    import onnx


def without_transposed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with every transposed convolution of kernel 2 and stride 2 as a convolution.

    Args:
        model: The network, its nodes named; it is not changed.
    """
    merged: set[str] = set()

    def replace(graph: onnx.GraphProto, links: Links, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        if node.name in merged:
            return []
        if node.op_type != "ConvTranspose" or not _is_doubling(links, node):
            return None
        following = links.only_consumer(node.output[0])
        source = _silu_convolution(links, node.input[0])
        if source is None or following is None or not _is_plain_3x3(links, following):
            return _doubling(Replacement(graph, node), links, node)
        merged.add(following.name)
        _add_channels_of_one(graph, links, source)
        return _doubling_and_3x3(Replacement(graph, node), links, node, following)

    return rewritten(model, replace)


def _is_doubling(links: Links, node: onnx.NodeProto) -> bool:
    """Kernel 2, stride 2, nothing else, and constant parameters."""
    weights = links.values(node.input[1])
    plain = _attributes(node) == {"strides": [2, 2]}
    biased = len(node.input) > 2 and links.values(node.input[2]) is not None
    return weights is not None and weights.shape[2:] == (2, 2) and plain and biased


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Those that say more than the default, or than the shape of the weights."""
    defaults: dict[str, Any] = {"dilations": [1, 1], "group": 1, "pads": [0] * 4, "strides": [1, 1]}
    defaults |= {"auto_pad": b"NOTSET", "output_padding": [0, 0]}
    found = {name: value for name, value in attributes_of(node).items() if name != "kernel_shape"}
    return {name: value for name, value in found.items() if defaults.get(name) != value}


def _doubling(new: Replacement, links: Links, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """A convolution of four times the channels and a DepthToSpace."""
    weights, bias = links.constant(node.input[1]), links.constant(node.input[2])
    deep = _convolution(new, node.input[0], _pixels_to_channels(weights), np.tile(bias, 4))
    _side_by_side(new, deep, node.output[0])
    return new.nodes


def _doubling_and_3x3(
    new: Replacement, links: Links, node: onnx.NodeProto, following: onnx.NodeProto
) -> list[onnx.NodeProto]:
    """Both convolutions in one, whose source has channels of ones behind its own."""
    weights, bias = links.constant(node.input[1]), links.constant(node.input[2])
    kernel, offset = links.constant(following.input[1]), links.constant(following.input[2])
    deep = _convolution(new, node.input[0], compose(weights, bias, kernel), np.tile(offset, 4), padding=1)
    wide = _side_by_side(new, deep, f"{node.name}_wide")
    frame = {"begin": [1, 1], "end": [-1, -1], "axes": [2, 3]}
    inside = [new.constant(name, np.array(values)) for name, values in frame.items()]
    new.add("Slice", wide, *inside, output=following.output[0])
    return new.nodes


def _convolution(
    new: Replacement, source: str, weights: npt.NDArray[Any], bias: npt.NDArray[Any], *, padding: int = 0
) -> str:
    parameters = [new.constant("weights", weights), new.constant("bias", bias)]
    return new.add("Conv", source, *parameters, kernel_shape=list(weights.shape[2:]), pads=[padding] * 4)


def _side_by_side(new: Replacement, source: str, result: str) -> str:
    return new.add("DepthToSpace", source, output=result, blocksize=2, mode="DCR")


def compose(transposed: npt.NDArray[Any], bias: npt.NDArray[Any], kernel: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A transposed convolution and the 3x3 convolution after it as one 2x2 convolution.

    Padded by one pixel on every side it gives a grid that is one larger than the small map; each of its places holds
    the four pixels around a corner of the small map's cells, so that side by side they have a frame too much, one
    pixel wide.

    Args:
        transposed: (c, m, 2, 2), stride 2.
        bias: (m,).
        kernel: (o, m, 3, 3), padded by 1.

    Returns:
        (4 * o, c + ADDED, 2, 2): row and column of the pixel among the four, then o; see `pixel_kernel`.
    """
    return np.concatenate([pixel_kernel(transposed, bias, kernel, 1 - row, 1 - column) for row, column in PIXELS])


def _pixels_to_channels(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(c, m, 2, 2) of a transposed convolution as (4 * m, c, 1, 1) of a convolution."""
    return weights.transpose(2, 3, 1, 0).reshape(-1, len(weights), 1, 1)


def _silu_convolution(links: Links, name: str) -> onnx.NodeProto | None:
    """The convolution of convolution, sigmoid, product, if a tensor is made so and used once."""
    product = links.producer.get(name)
    if product is None or product.op_type != "Mul" or links.only_consumer(name) is None:
        return None
    makers = [links.producer.get(each) for each in product.input]
    convolutions = [each for each in makers if each is not None and each.op_type == "Conv"]
    gates = [each for each in makers if each is not None and each.op_type == "Sigmoid"]
    if len(convolutions) != 1 or len(gates) != 1 or gates[0].input[0] != convolutions[0].output[0]:
        return None
    [made] = convolutions
    known = len(made.input) > 2 and all(links.values(each) is not None for each in made.input[1:])
    alone = len(links.consumers[made.output[0]]) == 2 and made.output[0] not in links.outputs
    return made if known and alone and _attributes(made).get("group", 1) == 1 else None


def _is_plain_3x3(links: Links, node: onnx.NodeProto) -> bool:
    """A convolution of kernel 3, padded by 1, nothing else, and constant parameters."""
    weights = links.values(node.input[1]) if node.op_type == "Conv" and len(node.input) > 2 else None
    if weights is None or links.values(node.input[2]) is None or weights.shape[2:] != (3, 3):
        return False
    return _attributes(node) == {"pads": [1] * 4}


def _add_channels_of_one(graph: onnx.GraphProto, links: Links, node: onnx.NodeProto) -> None:
    """Let a convolution before a SiLU make some channels that are 1 everywhere.

    The bias of the transposed convolution counts where its pixels are, not in the frame of zeros around them; so does
    these channels.
    """
    weights, bias = links.constant(node.input[1]), links.constant(node.input[2])
    wider = np.concatenate([weights, np.zeros((ADDED, *weights.shape[1:]), weights.dtype)])
    longer = np.concatenate([bias, np.full(ADDED, SILU_IS_ONE)])
    node.input[1] = add_constant(graph, f"{node.name}_wider", wider)
    node.input[2] = add_constant(graph, f"{node.name}_longer", longer)
