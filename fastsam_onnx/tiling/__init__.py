"""Large photos: overlapping tiles and one view of the whole."""

from fastsam_onnx.tiling.find import find_in_tiles
from fastsam_onnx.tiling.tiles import grid

__all__ = [
    "find_in_tiles",
    "grid",
]
