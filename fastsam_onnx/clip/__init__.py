"""CLIP: pictures and texts become vectors that can be compared."""

from fastsam_onnx.clip.clip import Clip

__all__ = [
    "Clip",
]
