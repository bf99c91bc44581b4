"""The command line: one module per command."""

from fastsam_onnx.cli.program import main

__all__ = [
    "main",
]
