"""The soft edge map as a picture."""

from __future__ import annotations

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.masks.edges import EdgesOf, soft_edges
from fastsam_onnx.masks.instances import Instances, check_found


def to_edges(found: Instances, *, of: EdgesOf = "candidates", thin: bool = True) -> ByteArray:
    """(H, W) uint8: the strength of an edge at every pixel, 255 for 1, as the Berkeley benchmark reads edge maps.

    Args:
        found: The objects.
        of: "candidates" for the edges of everything that the network offered, or "objects"; see
            `masks.edges.soft_edges`.
        thin: True to keep the ridges of edges alone.

    Raises:
        OptionError: If an option is not accepted.
    """
    check_found(found)
    return np.asarray(np.rint(soft_edges(found, of=of, thin=thin) * np.float32(255)), np.uint8)
