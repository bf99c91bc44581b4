"""What is found in a photo, and which of it a prompt means."""

from fastsam_onnx.results.segmentation import Instance, Masks, Segmentation, concatenate

__all__ = [
    "Instance",
    "Masks",
    "Segmentation",
    "concatenate",
]
