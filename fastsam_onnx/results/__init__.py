"""What is found in a photo, and which of it a prompt means."""

from fastsam_onnx.results.segmentation import Segmentation

__all__ = ["Segmentation"]
