"""A float32 network as int8, measured before it is written."""

from fastsam_onnx.quantize.recipe import Report, quantize

__all__ = [
    "Report",
    "quantize",
]
