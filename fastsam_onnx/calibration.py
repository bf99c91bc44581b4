"""What a network's activations reach: measured on photos, or on pictures that are made for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastsam_onnx.runtime import create_session

if TYPE_CHECKING:
    import onnx

FloatArray = npt.NDArray[np.float32]
ByteArray = npt.NDArray[np.uint8]
Range = tuple[float, float]

PICTURE_SIZE = (640, 480)
SMALLEST_LEAF, LARGEST_LEAF = 6, 200


def ranges(
    model: onnx.ModelProto, names: Sequence[str], tensors: Iterable[FloatArray], *, threads: int | None = None
) -> dict[str, Range]:
    """The least and the greatest value that each activation takes.

    Not less than all: what a score's logits reach now and then is what finds objects, and leaving out the rarest ones
    (percentiles, least squares) lost more masks than the finer steps won on the networks that were measured.

    Args:
        model: The network.
        names: Of float32 activations or of the input.
        tensors: What the network takes, one run each.
        threads: As in `runtime.create_session`.

    Raises:
        ModelError: If ONNX Runtime does not take the network.
    """
    [source] = model.graph.input
    asked = [name for name in names if name != source.name]
    session = create_session(_with_outputs(model, asked), threads=threads)
    found: dict[str, Range] = {}
    for tensor in tensors:
        values = dict(zip(asked, session.run(asked, {source.name: tensor}), strict=True))
        for name in names:
            array = values.get(name, tensor)
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = (min(low, float(array.min())), max(high, float(array.max())))
    return found


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """The network with activations among its outputs."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    there = {output.name for output in copy.graph.output}
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names]
    copy.graph.output.extend(value for value in values if value.name not in there)
    return bytes(copy.SerializeToString())


def dead_leaves(seed: int) -> ByteArray:
    """A picture to calibrate with where there are no photos: (480, 640, 3) uint8, the same for the same seed.

    Discs of all sizes and colours cover one another, in sizes of which there are the fewer the larger they are. Such
    pictures share the statistics of natural ones: edges, even surfaces, the same at every scale (Lee, Mumford and
    Huang 2001, "Occlusion Models for Natural Images"). Here the discs are ellipses, and light falls off across each.
    """
    import cv2

    rng = np.random.default_rng(seed)
    width, height = PICTURE_SIZE
    picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    # Radii with density 1 / r^3: what is scaled looks alike.
    draws = rng.random(600)
    radii = 1 / np.sqrt(draws / SMALLEST_LEAF**2 + (1 - draws) / LARGEST_LEAF**2)
    for radius in radii:
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        mask = np.zeros((height, width), np.uint8)
        axes = (int(radius), max(1, int(radius * rng.uniform(0.4, 1))))
        cv2.ellipse(mask, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        inside = mask.view(bool)
        slope = rng.uniform(-0.5, 0.5, 2) / radius
        light = 1 + slope[0] * (columns[inside] - x) + slope[1] * (rows[inside] - y)
        grain = rng.normal(0, rng.uniform(0, 12), light.size)
        leaf = rng.integers(0, 256, 3) * light[:, None] + grain[:, None]
        picture[inside] = np.clip(leaf, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.5))), np.uint8)
