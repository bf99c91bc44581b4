"""The range of a network's activations: measured on photos, or on pictures that are made for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.errors import ModelError
from fastsam_onnx.quantize.links import copied
from fastsam_onnx.quantize.patches import PatchCovariances
from fastsam_onnx.runtime import create_session, failures

if TYPE_CHECKING:
    import onnx

DRAWN_SIZE = (640, 480)
"""(width, height) of a drawn picture in pixels: a photo's shape, at about the size of a network's input."""
LEAVES = 600
"""Number of discs of a drawn picture: enough to cover it."""
SMALLEST_LEAF, LARGEST_LEAF = 6, 200
"""Radii of the discs in pixels: from what a network just sees to most of the picture's height."""


@dataclass(frozen=True)
class Activation:
    """The values that an activation took.

    Attributes:
        low: Lowest value.
        high: Highest value.
        means: (channels,) float64, the mean of each channel.
    """

    low: float
    high: float
    means: npt.NDArray[np.float64]


def observe_activations(
    model: onnx.ModelProto,
    names: Sequence[str],
    runs: Iterable[Mapping[str, FloatArray]],
    *,
    patches: PatchCovariances | None = None,
    threads: int | None = None,
) -> dict[str, Activation]:
    """Run a network and note the values that its activations take.

    The limits are those of all values, not of most: what a score's logits reach now and then is what finds objects, and
    leaving out the rarest values (percentiles, least squares) lost more masks than the finer steps won.

    Args:
        model: The network.
        names: Names of its float32 activations or inputs, all (batch, channels, height, width); at least one.
        runs: Inputs of the network by name, for one run each; at least one.
        patches: Given the activations of every run, too; `names` has all that it looks at.
        threads: As in `runtime.create_session`.

    Raises:
        ModelError: If ONNX Runtime does not take the network.
    """
    sources = {source.name for source in model.graph.input}
    asked = [name for name in names if name not in sources]
    session = create_session(_with_outputs(model, asked), threads=threads)
    seen: dict[str, list[Activation]] = {name: [] for name in names}
    for inputs in runs:
        try:
            values = {**inputs, **dict(zip(asked, session.run(asked, dict(inputs)), strict=True))}
        except failures() as error:
            raise ModelError(f"ONNX Runtime failed on a photo to calibrate the network on: {error}") from error
        if patches is not None:
            patches.add(values)
        for name, those in seen.items():
            array = values[name]
            means = array.mean(axis=(0, 2, 3), dtype=np.float64)
            those.append(Activation(float(array.min()), float(array.max()), means))
    return {name: _together(those) for name, those in seen.items()}


def _together(seen: Sequence[Activation]) -> Activation:
    """The values of all runs."""
    low, high = min(each.low for each in seen), max(each.high for each in seen)
    return Activation(low, high, np.mean([each.means for each in seen], axis=0))


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The network with activations among its outputs."""
    import onnx

    made = copied(model)
    there = {output.name for output in made.graph.output}
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names]
    made.graph.output.extend(value for value in values if value.name not in there)
    return bytes(made.SerializeToString())


def dead_leaves(seed: int) -> ByteArray:
    """A picture to calibrate with where there are no photos: (480, 640, 3) uint8, the same for the same seed.

    Discs of all sizes and colours cover one another, in sizes of which there are the fewer the larger they are. Such
    pictures share the statistics of natural ones: edges, even surfaces, the same at every scale (Lee, Mumford and
    Huang 2001, "Occlusion Models for Natural Images"). Here the discs are ellipses, and light falls off across each.
    """
    import cv2

    rng = np.random.default_rng(seed)
    width, height = DRAWN_SIZE
    picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    draws = rng.random(LEAVES)
    radii = 1 / np.sqrt(draws / SMALLEST_LEAF**2 + (1 - draws) / LARGEST_LEAF**2)  # with a density of 1 / r^3
    for radius in radii.tolist():
        _paint_leaf(picture, rng, radius)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.5))), np.uint8)


def _paint_leaf(picture: ByteArray, rng: np.random.Generator, radius: float) -> None:
    """An ellipse somewhere, of some colour, lighter at one end and grainy."""
    import cv2

    x, y = (int(rng.integers(0, side)) for side in DRAWN_SIZE)
    reach = int(radius) + 1
    left, top = max(x - reach, 0), max(y - reach, 0)
    part = picture[top : y + reach + 1, left : x + reach + 1]
    inside = np.zeros(part.shape[:2], np.uint8)
    axes = (int(radius), max(1, int(radius * rng.uniform(0.4, 1))))
    cv2.ellipse(inside, (x - left, y - top), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    rows, columns = np.nonzero(inside)
    slope_x, slope_y = rng.uniform(-0.5, 0.5, 2) / radius
    light = 1 + slope_x * (columns + left - x) + slope_y * (rows + top - y)
    grain = rng.normal(0, rng.uniform(0, 12), light.size)
    leaf = rng.integers(0, 256, 3) * light[:, None] + grain[:, None]
    part[rows, columns] = np.clip(leaf, 0, 255).astype(np.uint8)
