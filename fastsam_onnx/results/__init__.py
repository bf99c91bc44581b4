"""The objects found in a photo, and those of them that a prompt means."""

from fastsam_onnx.results.segmentation import Segmentation

__all__ = ["Segmentation"]
