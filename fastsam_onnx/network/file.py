"""The file of a network: PyTorch's checkpoint, or ONNX."""

from __future__ import annotations

from pathlib import Path

from fastsam_onnx.checkpoints.head import HEAD_BYTES, has_checkpoint_name, is_checkpoint
from fastsam_onnx.errors import ModelError, ModelNotFoundError
from fastsam_onnx.files import hint_of_missing, is_address, is_folder, is_special
from fastsam_onnx.runtime import model_name


def is_checkpoint_file(source: str | Path | bytes) -> bool:
    """True for a checkpoint of PyTorch, told by content or suffix; everything else is left to ONNX Runtime.

    Args:
        source: The path or the bytes of a file.

    Raises:
        ModelNotFoundError: If there is no such file.
        ModelError: If it is no regular file, empty, or cannot be read.
    """
    head = source[:HEAD_BYTES] if isinstance(source, bytes) else _head(Path(source), HEAD_BYTES)
    name = model_name(source)
    if not head:
        raise ModelError(f"{name} is empty; a model is an ONNX file or a checkpoint")
    return is_checkpoint(head) or has_checkpoint_name(name)


def _head(path: Path, count: int) -> bytes:
    if is_special(path):
        raise ModelError(f"{path} is not a regular file; a model must be one, or in Python its bytes")
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        hint = hint_of_missing(path)
        if is_address(path):
            hint = "; addresses are not opened: fetch the file and give its path"
        raise ModelNotFoundError(f"there is no model file {path}{hint}") from None
    except (OSError, ValueError) as error:
        reason = f"cannot be read: {error}"
        if is_folder(path):
            reason = "is a folder; a model is an ONNX file or a checkpoint"
        raise ModelError(f"{path} {reason}") from error
