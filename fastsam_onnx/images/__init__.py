"""Pictures in: any source becomes (H, W, 3) uint8 RGB, upright."""

from fastsam_onnx.images.load import DEFAULT_PIXEL_LIMIT, ImageSource, load_image, source_name

__all__ = [
    "DEFAULT_PIXEL_LIMIT",
    "ImageSource",
    "load_image",
    "source_name",
]
