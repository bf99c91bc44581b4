"""The model behind HTTP."""

from fastsam_onnx.serve.service import Service

__all__ = [
    "Service",
]
