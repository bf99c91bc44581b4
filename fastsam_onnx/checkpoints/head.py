"""The first bytes of a file tell whether it is a checkpoint; ONNX files open without the rest of this room."""

from __future__ import annotations

from pathlib import Path

from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.files import is_folder

CHECKPOINT_SUFFIXES = (".pt", ".pth")
HEAD_BYTES = 512
"""Number of bytes from the start of a file that `is_checkpoint` looks at."""
ZIP_MAGIC = b"PK\x03\x04"
LENGTH_BYTES = 8
"""Bytes of the header's length at the start of a file in the format safetensors."""
EXPORT = "yolo export model=FILE.pt format=onnx"


def is_checkpoint(head: bytes) -> bool:
    """True for files of parameters, and for networks that are not ONNX, by their first `HEAD_BYTES` bytes.

    False for ONNX files and pictures. True does not promise that `read_checkpoint` accepts the file, but that it knows
    best what the file is.
    """
    return head[:4] == ZIP_MAGIC or is_safetensors(head) or other_format(head) is not None


def has_checkpoint_name(name: str) -> bool:
    """True for names that are a checkpoint's, whatever is in the file."""
    return name.lower().endswith(CHECKPOINT_SUFFIXES)


def check_onnx_name(path: str | Path) -> None:
    """Refuse a name under which no ONNX file can lie, or would be taken for something else, here or by other programs.

    Raises:
        OutputError: If it is a folder.
        OptionError: If it does not end with .onnx.
    """
    if is_folder(path):
        raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
    if not str(path).lower().endswith(".onnx"):
        raise OptionError(f"an ONNX file is written, whose name must end with .onnx, got {path}")


def is_safetensors(head: bytes) -> bool:
    """True for files whose first bytes are a length and the beginning of a JSON object."""
    return head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and head[4:LENGTH_BYTES] == bytes(4)


def other_format(head: bytes) -> str | None:
    """The reason to refuse a file of another known format; None for unknown ones."""
    if _is_pickle(head) or _is_tar(head):
        return "it has the format that PyTorch wrote before 1.6; load it there, save it again, and give that file"
    if head[4:8] == b"TFL3":
        return f"it is a TensorFlow Lite model; give the .pt file that it was made from, or its ONNX export: {EXPORT}"
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return f"it is an HDF5 file, as Keras writes them; give a .pt file, or an ONNX export: {EXPORT}"
    return None


def _is_pickle(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"
