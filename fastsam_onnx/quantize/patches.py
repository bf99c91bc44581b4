"""How the values that a convolution sees together vary together: what rounding its weights well depends on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.quantize.links import Links, attributes_of

if TYPE_CHECKING:
    import onnx

PATCHES = 256
"""Number of places of each map that are looked at."""
LARGEST_PATCH = 1152
"""Number of values of the largest patch whose covariance is kept, 3 x 3 of 128 channels: 11 MB."""


class PatchCovariances:
    """Covariances of the patches that convolutions look at, from one run after the other."""

    def __init__(self, model: onnx.ModelProto, names: frozenset[str]) -> None:
        """Begin with nothing.

        Args:
            model: The network, its nodes named.
            names: Names of its convolutions that are asked for; those of large patches are left out.
        """
        links = Links(model.graph)
        self._windows = {
            node.name: _Window(node, links.constant(node.input[1]).shape)
            for node in links.nodes
            if node.op_type == "Conv" and node.name in names and _is_small(links, node)
        }
        self._rng = np.random.default_rng(0)

    def add(self, activations: Mapping[str, FloatArray]) -> None:
        """Look at one run: the activations by name, (batch, channels, height, width); of a batch, the first."""
        for window in self._windows.values():
            window.add(activations[window.source][0], self._rng)

    def result(self) -> dict[str, npt.NDArray[np.float64]]:
        """(groups, k, k) for each convolution, its k values in the order of its weights."""
        return {name: window.covariance() for name, window in self._windows.items()}


def _is_small(links: Links, node: onnx.NodeProto) -> bool:
    """True if a convolution's patches are small, and its padding is stated."""
    shape = links.constant(node.input[1]).shape
    stated = attributes_of(node).get("auto_pad", b"NOTSET") == b"NOTSET"
    return bool(stated and len(shape) == 4 and np.prod(shape[1:]) <= LARGEST_PATCH)


class _Window:
    """The window of one convolution, and the sums over its patches so far."""

    def __init__(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> None:
        stated = attributes_of(node)
        self.source = node.input[0]
        self.kernel = shape[2:]
        self.groups: int = stated.get("group", 1)
        self.strides: list[int] = stated.get("strides", [1, 1])
        self.dilations: list[int] = stated.get("dilations", [1, 1])
        self.pads: list[int] = stated.get("pads", [0] * 4)
        self.count = 0
        self.shift: Any = None
        self.sum: Any = 0.0
        self.products: Any = 0.0

    def add(self, activation: FloatArray, rng: np.random.Generator) -> None:
        """Add some patches of (channels, height, width)."""
        patches = self._patches(activation, rng)
        if self.shift is None:  # near the mean, so that little is lost when its square is taken away
            self.shift = patches.mean(axis=1, keepdims=True)
        patches -= self.shift
        self.count += patches.shape[1]
        self.sum = self.sum + patches.sum(axis=1, dtype=np.float64)
        self.products = self.products + np.matmul(patches.transpose(0, 2, 1), patches).astype(np.float64)

    def _patches(self, activation: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Some of them, (groups, PATCHES, values)."""
        top, left, bottom, right = self.pads
        padded = np.pad(activation, ((0, 0), (top, bottom), (left, right)))
        spans = [(size - 1) * step for size, step in zip(self.kernel, self.dilations, strict=True)]
        rows, columns = (
            rng.integers(0, max(1, (size - span - 1) // stride + 1), PATCHES) * stride
            for size, span, stride in zip(padded.shape[1:], spans, self.strides, strict=True)
        )
        found = np.empty((PATCHES, len(activation), *self.kernel), np.float32)
        for u, v in np.ndindex(*self.kernel):
            found[:, :, u, v] = padded[:, rows + u * self.dilations[0], columns + v * self.dilations[1]].T
        return found.reshape(PATCHES, self.groups, -1).transpose(1, 0, 2)

    def covariance(self) -> npt.NDArray[np.float64]:
        """(groups, values, values) of the values of a patch."""
        mean = self.sum / self.count
        return np.asarray(self.products / self.count - mean[:, :, None] * mean[:, None, :])
