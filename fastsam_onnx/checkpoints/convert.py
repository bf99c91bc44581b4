"""From a checkpoint to ONNX: for one session of ONNX Runtime, or as a file to keep."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fastsam_onnx.checkpoints.builder import BuiltNetwork
from fastsam_onnx.checkpoints.checkpoint import Checkpoint, read_checkpoint
from fastsam_onnx.checkpoints.family import build
from fastsam_onnx.checkpoints.head import check_onnx_name
from fastsam_onnx.checkpoints.onnx_writer import external_model, float_bytes, model_parts
from fastsam_onnx.errors import CheckpointError, ModelError
from fastsam_onnx.files import write_file
from fastsam_onnx.options import input_size
from fastsam_onnx.runtime import model_name

logger = logging.getLogger("fastsam_onnx")

MODEL, PARAMETERS = "network.onnx", "parameters"


@contextmanager
def as_onnx(source: str | Path | bytes) -> Iterator[Path | bytes]:
    """A checkpoint as an ONNX model that exists until the end of the block.

    It lies in a temporary folder, its parameters in a file beside it: ONNX Runtime maps those into memory, which takes
    less memory and less time than a model in one piece. Where there is no room for the folder, and on Windows, which
    does not delete files that are mapped, it is in memory, in one piece.

    Args:
        source: Path or bytes of a checkpoint.

    Yields:
        The model's path, or its bytes.

    Raises:
        ModelNotFoundError: If the file does not exist.
        CheckpointError: If it is not a checkpoint that can be read.
        ModelError: If the network is not a segmentation network of a YOLO family, or its parameters are damaged.
    """
    with ExitStack() as stack:
        with _named(model_name(source)):
            built = build(read_checkpoint(source))
            model: Path | bytes | None = None if os.name == "nt" else _in_files(built, stack)
            if model is None:
                model = b"".join(model_parts(built.writer, built.metadata, built.parameters()))
        del built  # or the checkpoint would stay in memory beside what ONNX Runtime makes of it
        yield model


def export(
    checkpoint: Checkpoint,
    path: str | Path,
    *,
    imgsz: int | tuple[int, int] | None = None,
    half: bool = False,
    raw: bool = False,
    plain: bool = False,
) -> None:
    """Write a checkpoint as one self-contained ONNX file; it is complete, or absent.

    Args:
        checkpoint: The checkpoint.
        path: Path of the file.
        imgsz: (height, width) of the only size that the network takes, or its side; None for any size.
        half: True to store parameters as float16: half the bytes. The network computes in float32 all the same.
        raw: True to end before the decoding of boxes, as compilers of accelerators want it: for every stride there are
            the sides of the boxes, the scores (before the sigmoid) and the coefficients, then the prototypes.
        plain: True to write every layer as the checkpoint has it, as raw networks are; see `build`.

    Raises:
        OptionError: If `imgsz` is not a multiple of the network's largest stride, or the path ends as a checkpoint's.
        ModelError: If the network is not a segmentation network of a YOLO family, or its parameters are damaged.
        OutputError: If the file cannot be written.
    """
    check_onnx_name(path)
    built = build(checkpoint, None if imgsz is None else input_size("imgsz", imgsz), raw=raw, plain=plain)
    write_file(path, model_parts(built.writer, built.metadata, built.parameters(), half=half))


def _in_files(built: BuiltNetwork, stack: ExitStack) -> Path | None:
    """Write the model and its parameters to a folder that goes with the stack; None if there is no room."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="fastsam-onnx-", ignore_cleanup_errors=True)
        path = Path(stack.enter_context(folder))
        with (path / PARAMETERS).open("wb") as file:
            file.writelines(float_bytes(values) for _, values in built.parameters())
        (path / MODEL).write_bytes(external_model(built.writer, built.metadata, PARAMETERS))
    except OSError as error:
        logger.info("no room for a temporary model, memory instead: %s", error)
        return None
    return path / MODEL


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Begin messages with the name of the model, as those of `checkpoint.py` do already."""
    try:
        yield
    except ModelError as error:
        if isinstance(error, CheckpointError | OSError):
            raise
        raise ModelError(f"{name}: {error}") from error
