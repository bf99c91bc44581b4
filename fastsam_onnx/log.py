"""The package's log. The standard library's is imported when there is something to say: most photos go without."""

from __future__ import annotations


def warn(message: str, *args: object) -> None:
    """Log a warning as "fastsam_onnx"; `message` and `args` are those of `logging.Logger.warning`."""
    import logging

    logging.getLogger("fastsam_onnx").warning(message, *args, stacklevel=2)
