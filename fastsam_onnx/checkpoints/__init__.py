"""A PyTorch checkpoint as ONNX, without PyTorch and without running anything of it."""

from fastsam_onnx.checkpoints.checkpoint import Checkpoint, is_checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.convert import as_onnx, export

__all__ = [
    "Checkpoint",
    "as_onnx",
    "export",
    "is_checkpoint",
    "read_checkpoint",
]
