"""From a checkpoint to ONNX: for one session of ONNX Runtime, or as a file to keep."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.onnx_writer import external_model, float_bytes, model_parts
from fastsam_onnx.checkpoints.yolov8 import Assembled, assemble
from fastsam_onnx.errors import CheckpointError, ModelError
from fastsam_onnx.files import write_file
from fastsam_onnx.runtime import model_name

logger = logging.getLogger("fastsam_onnx")

MODEL, PARAMETERS = "network.onnx", "parameters"


@contextmanager
def as_onnx(source: str | Path | bytes) -> Iterator[Path | bytes]:
    """A checkpoint as an ONNX model that is there until the end of the block.

    It lies in a temporary folder, its parameters in a file beside it: ONNX Runtime maps those into memory, which takes
    less memory and less time than a model in one piece. Where there is no room for the folder, and on Windows, which
    does not delete files that are mapped, it is in memory, in one piece.

    Args:
        source: The path or the bytes of a checkpoint.

    Yields:
        The path of the model, or its bytes.

    Raises:
        ModelNotFoundError: If there is no such file.
        CheckpointError: If it is no checkpoint that can be read.
        ModelError: If the network is another one than YOLOv8-seg, or its parameters are damaged.
    """
    with ExitStack() as stack:
        with _named(model_name(source)):
            assembled = assemble(read_checkpoint(source))
            model: Path | bytes | None = None if os.name == "nt" else _in_files(assembled, stack)
            if model is None:
                model = b"".join(model_parts(assembled.writer, assembled.metadata, assembled.parameters()))
        del assembled  # or the checkpoint would stay in memory beside what ONNX Runtime makes of it
        yield model


def export(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write a checkpoint as an ONNX file that needs no other file; it is complete, or not there.

    Raises:
        ModelError: If the network is another one than YOLOv8-seg, or its parameters are damaged.
        OutputError: If the file cannot be written.
    """
    assembled = assemble(checkpoint)
    write_file(path, model_parts(assembled.writer, assembled.metadata, assembled.parameters()))


def _in_files(assembled: Assembled, stack: ExitStack) -> Path | None:
    """Write the model and its parameters to a folder that goes with the stack; None if there is no room."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="fastsam-onnx-", ignore_cleanup_errors=True)
        path = Path(stack.enter_context(folder))
        with (path / PARAMETERS).open("wb") as file:
            file.writelines(float_bytes(values) for _, values in assembled.parameters())
        (path / MODEL).write_bytes(external_model(assembled.writer, assembled.metadata, PARAMETERS))
    except OSError as error:
        logger.info("no room for a temporary model, memory instead: %s", error)
        return None
    return path / MODEL


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Begin messages with the name of the model; those of `checkpoint.py` do."""
    try:
        yield
    except ModelError as error:
        if isinstance(error, CheckpointError | OSError):
            raise
        raise ModelError(f"{name}: {error}") from error
