"""Pictures in: any source becomes (H, W, 3) uint8 RGB, upright."""

from fastsam_onnx.images.load import ImageSource, load_image, source_name
from fastsam_onnx.options import DEFAULT_PIXEL_LIMIT

__all__ = [
    "DEFAULT_PIXEL_LIMIT",
    "ImageSource",
    "load_image",
    "source_name",
]
